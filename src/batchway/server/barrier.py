"""Which write is to be answered when: a write counts once every worker has applied it. No I/O."""

from collections.abc import Iterable

from msgspec import Struct

PATIENCE_S = 5.0
"""So long a write waits for workers that do not answer."""


class _Wait(Struct):
    """A write that is not settled."""

    writer: int
    revision: int
    give_up_at: float


class Barrier:
    """Workers are numbers here, and times are seconds of any one clock."""

    def __init__(self) -> None:
        #: what each worker has applied
        self._applied: dict[int, int] = {}
        #: workers that are not waited for, since they kept a write waiting for too long
        self._late: set[int] = set()
        self._waits: list[_Wait] = []
        self._newest = 0

    def join(self, worker: int) -> int:
        """Let writes wait for `worker`, too; the newest revision, which it has to apply by itself."""
        self._applied[worker] = 0
        return self._newest

    def leave(self, worker: int) -> None:
        """Forget a worker, and what it waits for."""
        self._applied.pop(worker, None)
        self._late.discard(worker)
        self._waits = [wait for wait in self._waits if wait.writer != worker]

    def wrote(self, writer: int, revision: int, now: float) -> list[int]:
        """A worker has written `revision`, and has it; the others, who are to be told."""
        self._newest = max(self._newest, revision)
        self._waits.append(_Wait(writer, revision, now + PATIENCE_S))
        return [worker for worker in self._applied if worker != writer]

    def applied(self, worker: int, revision: int) -> bool:
        """A worker has applied all up to `revision`; whether it was late, and is in time again."""
        if worker not in self._applied:
            return False
        self._applied[worker] = max(self._applied[worker], revision)
        if worker in self._late and revision >= self._newest:
            self._late.discard(worker)
            return True
        return False

    def settled(self) -> list[tuple[int, int]]:
        """Writers and revisions that all have applied, or are not waited for; each is told once."""
        done = [wait for wait in self._waits if not self._behind(wait)]
        self._waits = [wait for wait in self._waits if wait not in done]
        return [(wait.writer, wait.revision) for wait in done]

    def overdue(self, now: float) -> list[int]:
        """Workers that keep a write waiting for too long: from now on none waits for them."""
        late = {worker for wait in self._waits if wait.give_up_at <= now for worker in self._behind(wait)}
        self._late |= late
        return sorted(late)

    def next_deadline(self) -> float | None:
        """When `overdue` may have something to say."""
        return min((wait.give_up_at for wait in self._waits), default=None)

    def _behind(self, wait: _Wait) -> Iterable[int]:
        others = self._applied.keys() - self._late - {wait.writer}
        return [worker for worker in others if self._applied[worker] < wait.revision]
