"""Who is next for a free connection: turns go round between batches.

A batch of a thousand items must not starve a batch of one, so it is not the items that queue, but
their batches, each with its items behind it.
"""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue of queues. Constant time for every call."""

    __slots__ = ("_queues", "_size")

    def __init__(self) -> None:
        self._queues: dict[object, deque[T]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, party: object, waiting: T) -> None:
        """Let `waiting` queue behind what else its party waits for."""
        self._queues.setdefault(party, deque()).append(waiting)
        self._size += 1

    def next(self) -> T:
        """The first of the party whose turn it is; that party goes to the end of the round."""
        party, queue = next(iter(self._queues.items()))
        waiting = queue.popleft()
        self._size -= 1
        del self._queues[party]
        if queue:
            self._queues[party] = queue
        return waiting
