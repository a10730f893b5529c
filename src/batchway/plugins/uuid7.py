"""UUIDs that sort by when they were made. Source: RFC 9562, sections 5.7 and 6.2, method 1."""

import secrets
import time
from collections.abc import Callable
from uuid import UUID

_COUNTER_BITS = 42
_LOW_BITS = 30
"""Of the counter, behind the variant; the others stand before it."""
_RANDOM_BITS = 32
_NS_PER_MS = 1_000_000


class Uuid7:
    """Makes UUIDs of version 7; each is greater than those it made before.

    A counter orders those of one millisecond. When the clock goes back, the time stays at what it was.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._clock_ns = clock_ns
        self._ms = self._counter = 0

    def __call__(self) -> UUID:
        """The next one."""
        ms = self._clock_ns() // _NS_PER_MS
        if ms > self._ms:
            self._restart(ms)
        elif self._counter + 1 < 1 << _COUNTER_BITS:
            self._counter += 1
        else:
            self._restart(self._ms + 1)
        before = self._ms << 16 | 0x7 << 12 | self._counter >> _LOW_BITS
        low = self._counter & (1 << _LOW_BITS) - 1
        after = 0b10 << 62 | low << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        return UUID(int=before << 64 | after)

    def _restart(self, ms: int) -> None:
        # not from its upper half, so that a millisecond has room for many more
        self._ms, self._counter = ms, secrets.randbits(_COUNTER_BITS - 1)
