"""Counters that all workers share: a hash table in memory that the supervisor makes before it forks.

A bucket is a row of slots, locked as one by a record lock on a file of no name: the kernel frees it
with the process that holds it, however that ends. What such a process has left half done is told by a
mark that stands in the bucket while a slot changes hands.
"""

import fcntl
import mmap
import os
import struct
import tempfile
from hashlib import blake2b

import structlog

log = structlog.get_logger(__name__)

_WAYS = 32
_EXPECTED = 16
"""So many keys a bucket has when the table has all that it was made for: hashes do not spread evenly."""
_PRINT_BYTES = 16
_EMPTY = bytes(_PRINT_BYTES)
#: a bucket: the mark, a fingerprint for each slot, then count and end of the window for each; native,
#: so that eight bytes are written as one
_MARK = struct.Struct("Q")
_COUNT = struct.Struct("Q")
_SLOT = struct.Struct("Qd")
_SLOTS = struct.Struct("Qd" * _WAYS)
_PRINTS_AT = _MARK.size
_SLOTS_AT = _PRINTS_AT + _WAYS * _PRINT_BYTES
_BUCKET_BYTES = _SLOTS_AT + _WAYS * _SLOT.size


class SharedCounters:
    """Like `LocalCounters`, for a process and the children that it forks.

    Bounded: where a bucket is full of windows that are not over, the one that ends first makes room
    for a new key. Not for several threads of one process: record locks do not keep these apart.
    """

    def __init__(self, max_keys: int) -> None:
        """Room for `max_keys`: of so many, one in thousands may find its bucket full."""
        self._buckets = -(-max_keys // _EXPECTED)
        self._memory = mmap.mmap(-1, self._buckets * _BUCKET_BYTES)
        # A secret, so that nobody can choose keys which push a certain other one out.
        self._secret = os.urandom(blake2b.MAX_KEY_SIZE)
        self._lock = _nameless_file()
        self._has_warned = False

    def close(self) -> None:
        """Free memory and lock."""
        self._memory.close()
        os.close(self._lock)

    def take(self, key: str, cost: int, limit: int, window_s: float, now: float) -> tuple[int, float]:
        """As `LocalCounters.take`. `now` is of a clock that all processes share, such as the monotonic."""
        print_ = blake2b(
            key.encode(errors="surrogatepass"), digest_size=_PRINT_BYTES, key=self._secret
        ).digest()
        bucket = int.from_bytes(print_[:8], "little") % self._buckets
        fcntl.lockf(self._lock, fcntl.LOCK_EX, 1, bucket)
        try:
            return self._take(bucket * _BUCKET_BYTES, print_, cost, limit, window_s, now)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, bucket)

    def _take(
        self, base: int, print_: bytes, cost: int, limit: int, window_s: float, now: float
    ) -> tuple[int, float]:
        memory = self._memory
        (mark,) = _MARK.unpack_from(memory, base)
        if mark:
            self._mend(base, mark - 1)
        way = self._find(base, print_)
        if way is not None:
            at = base + _SLOTS_AT + way * _SLOT.size
            count, ends_at = _SLOT.unpack_from(memory, at)
            if ends_at > now:
                left: int = limit - count - cost
                if left < 0:
                    return -1, ends_at - now
                _COUNT.pack_into(memory, at, count + cost)
                return left, ends_at - now
        if cost > limit:
            return -1, window_s
        self._begin(base, self._room(base, now) if way is None else way, print_, (cost, now + window_s))
        return limit - cost, window_s

    def _find(self, base: int, print_: bytes) -> int | None:
        """The slot with that fingerprint."""
        first = base + _PRINTS_AT
        at = self._memory.find(print_, first, base + _SLOTS_AT)
        while at >= 0 and (at - first) % _PRINT_BYTES:  # across two of them
            at = self._memory.find(print_, at + 1, base + _SLOTS_AT)
        return None if at < 0 else (at - first) // _PRINT_BYTES

    def _room(self, base: int, now: float) -> int:
        """A slot for a new key: an empty one, or the one whose window ends first."""
        ends = _SLOTS.unpack_from(self._memory, base + _SLOTS_AT)[1::2]
        soonest = min(ends)
        if soonest > now and not self._has_warned:
            self._has_warned = True
            log.warning("counters are full: some begin anew", setting="batchway.limits.counter_keys")
        return ends.index(soonest)

    def _begin(self, base: int, way: int, print_: bytes, slot: tuple[int, float]) -> None:
        memory, at = self._memory, base + _PRINTS_AT + way * _PRINT_BYTES
        _MARK.pack_into(memory, base, way + 1)
        memory[at : at + _PRINT_BYTES] = print_
        _SLOT.pack_into(memory, base + _SLOTS_AT + way * _SLOT.size, *slot)
        _MARK.pack_into(memory, base, 0)

    def _mend(self, base: int, way: int) -> None:
        """Whoever wrote into that slot was killed meanwhile: nobody knows what it holds."""
        self._begin(base, way % _WAYS, _EMPTY, (0, 0.0))


def _nameless_file() -> int:
    """A descriptor that no other code opens or closes: that would free the locks on the file."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("batchway-counters")  # needs no directory that can be written
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
