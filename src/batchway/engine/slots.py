"""Slots that parties wait for in turns: one that asks often does not starve one that asks once."""

import asyncio
from collections import deque


class Slots:
    """At most `count` holders at once. Turns go round between the parties that wait, not the waiters."""

    def __init__(self, count: int) -> None:
        self.waiting = 0
        self._free = count
        self._queues: dict[object, deque[asyncio.Future[None]]] = {}

    async def acquire(self, party: object) -> None:
        """Get a slot, once it is the turn of `party`. Cancelled, it holds none."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(party, deque()).append(turn)
        self.waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given a slot, and cancelled before it could run
                self.release()
            raise
        finally:
            self.waiting -= 1

    def release(self) -> None:
        """Give a slot back: to who is next, if somebody waits."""
        while self._queues:
            turn = self._next()
            if not turn.done() and not turn.get_loop().is_closed():
                turn.set_result(None)
                return
        self._free += 1

    def _next(self) -> "asyncio.Future[None]":
        party, queue = next(iter(self._queues.items()))
        turn = queue.popleft()
        del self._queues[party]
        if queue:
            self._queues[party] = queue  # behind all others
        return turn
