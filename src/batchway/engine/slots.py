"""Slots that parties wait for in turns: one that asks often does not starve one that asks once.

Several event loops may share them, each in a thread of its own, as under WSGI.
"""

import asyncio
import threading
from collections import deque


class _Turn:
    """One that waits. `is_given`: it has its slot; `is_over`: it does not want one any more."""

    __slots__ = ("future", "is_given", "is_over", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()
        self.is_given = self.is_over = False

    def call(self) -> bool:
        """Let it go on. False if its loop has ended, and did not even cancel it."""
        if self.loop is _running_loop():
            self._wake()
            return True
        try:
            self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return False
        return True

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Slots:
    """At most `count` holders at once. Turns go round between the parties that wait, not the waiters."""

    def __init__(self, count: int) -> None:
        self.waiting = 0
        self._free = count
        self._queues: dict[object, deque[_Turn]] = {}
        self._lock = threading.RLock()  # the collector may end a waiter of a closed loop in here

    async def acquire(self, party: object) -> None:
        """Get a slot, once it is the turn of `party`. Cancelled, it holds none."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = _Turn()
            self._queues.setdefault(party, deque()).append(turn)
            self.waiting += 1
        try:
            await turn.future
        except BaseException:  # also where the loop ends
            with self._lock:
                turn.is_over = True
                was_given = turn.is_given
            if was_given:
                self.release()
            raise
        finally:
            with self._lock:
                self.waiting -= 1

    def release(self) -> None:
        """Give a slot back, in any thread: to who is next, if somebody waits."""
        while True:
            with self._lock:
                turn = self._next()
                if turn is None:
                    self._free += 1
                    return
                turn.is_given = True
            if turn.call():
                return
            with self._lock:
                if turn.is_over:  # ended meanwhile, and has passed its slot on
                    return
                turn.is_given = False

    def _next(self) -> _Turn | None:
        while self._queues:
            party, queue = next(iter(self._queues.items()))
            turn = queue.popleft()
            del self._queues[party]
            if queue:
                self._queues[party] = queue  # behind all others
            if not turn.is_over:
                return turn
        return None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
