"""Which reload is wanted, which is under way, and who is told of its end. No I/O."""

from collections.abc import Iterable

Asker = tuple[int, int]
"""A worker, and what it calls its request."""

RELOAD_S = 30.0
"""How long a worker may take to go on with new settings."""


class Reloads:
    """One reload after another; any number of requests meanwhile become the next one.

    Workers are numbers here, and times are seconds of any one clock.
    """

    def __init__(self) -> None:
        self._is_wanted = False
        #: for the next reload, and for the one under way
        self._asking: list[Asker] = []
        self._telling: list[Asker] = []
        #: who has not gone on with the new settings yet
        self._pending: set[int] = set()
        self.until: float | None = None
        """When those who have not are overdue."""

    def want(self, asker: Asker | None = None) -> None:
        """Ask for a reload that has not begun yet."""
        self._is_wanted = True
        if asker is not None:
            self._asking.append(asker)

    def take(self) -> bool:
        """Whether one is to be begun now; that counts as begun."""
        if not self._is_wanted or self._pending:
            return False
        self._is_wanted = False
        self._telling, self._asking = self._asking, []
        return True

    def begin(self, workers: Iterable[int], now: float) -> None:
        """These have been told to go on with new settings."""
        self._pending = set(workers)
        self.until = now + RELOAD_S if self._pending else None

    def done(self, worker: int) -> bool:
        """A worker has gone on, or is no more; whether it was the last that the reload waited for."""
        if worker not in self._pending:
            return False
        self._pending.discard(worker)
        if self._pending:
            return False
        self.until = None
        return True

    def overdue(self, now: float) -> frozenset[int]:
        """Workers that take too long, once."""
        if self.until is None or now < self.until:
            return frozenset()
        self.until = None
        return frozenset(self._pending)

    def to_tell(self) -> list[Asker]:
        """Who has asked for the reload that has ended."""
        told, self._telling = self._telling, []
        return told

    def give_up(self) -> list[Asker]:
        """There will be none; who has asked for one."""
        told, self._asking = [*self.to_tell(), *self._asking], []
        self._is_wanted = False
        self.until = None
        return told
