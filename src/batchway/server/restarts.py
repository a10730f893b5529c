"""When a worker that has died is started again. No I/O."""

_SOON_S = 5.0
"""A worker that has not lived for so long died at its start."""
_FIRST_S = 0.1
_LONGEST_S = 10.0


class Restarts:
    """Workers are numbers here, and times are seconds of any one clock."""

    def __init__(self) -> None:
        self._delays_s: dict[int, float] = {}
        self._due: dict[int, float] = {}

    def died(self, worker: int, born: float, now: float) -> float:
        """Note it; in how many seconds it is due again: at once, unless it died young, again and again."""
        before = self._delays_s.get(worker, 0.0)
        delay = min(before * 2 or _FIRST_S, _LONGEST_S) if now - born < _SOON_S else 0.0
        self._delays_s[worker] = delay
        self._due[worker] = now + delay
        return delay

    def left(self, worker: int, now: float) -> None:
        """Note that it has ended in good order: it is due again at once."""
        self._delays_s.pop(worker, None)
        self._due[worker] = now

    def take_due(self, now: float) -> list[int]:
        """Workers to be started now."""
        due = sorted(worker for worker, at in self._due.items() if at <= now)
        for worker in due:
            del self._due[worker]
        return due

    def next_due(self) -> float | None:
        """When there will be one."""
        return min(self._due.values(), default=None)

    def give_up(self) -> None:
        """None is due any more."""
        self._due.clear()
