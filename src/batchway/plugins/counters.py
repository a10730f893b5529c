"""Counters for one process. Several workers share those of `batchway.server.shared_counters`."""

from heapq import heappop, heappush

from msgspec import Struct

MAX_KEYS = 65_536


class _Window(Struct, gc=False):
    count: int
    ends_at: float


class LocalCounters:
    """Counts by key, each within a window that begins with the key's first count.

    Bounded: with `max_keys` in their windows, the one that ends first makes room for a new key.
    """

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._windows: dict[str, _Window] = {}
        #: the end of each window, with its key
        self._ends: list[tuple[float, str]] = []

    def take(self, key: str, cost: int, limit: int, window_s: float, now: float) -> tuple[int, float]:
        """What is left of `limit` after taking `cost`, and the seconds until the window ends.

        -1 is left when there was not enough: nothing is taken then. `now` is in seconds, of any clock
        that is not set back.
        """
        window = self._windows.get(key)
        if window is None or window.ends_at <= now:
            if cost > limit:
                return -1, window_s
            self._begin(key, _Window(cost, now + window_s), now)
            return limit - cost, window_s
        left = limit - window.count - cost
        if left < 0:
            return -1, window.ends_at - now
        window.count += cost
        return left, window.ends_at - now

    def _begin(self, key: str, window: _Window, now: float) -> None:
        ends = self._ends
        while ends and ends[0][0] <= now:
            self._windows.pop(heappop(ends)[1])
        if len(ends) >= self._max_keys:
            self._windows.pop(heappop(ends)[1])
        self._windows[key] = window
        heappush(ends, (window.ends_at, key))
