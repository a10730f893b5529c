"""A method's own limits: its rate, its time, and how many calls of it run at once."""

import asyncio
from typing import Any

from batchway.engine.slots import Slots
from batchway.rpc.context import Proceed
from batchway.rpc.errors import CallTimedOut, LimitExceeded


class Rate:
    """So many a second, and at most one second's worth, or one, at once."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, per_second)
        self._left = self._most
        self._at = 0.0

    def take(self, now: float) -> None:
        """Count one. Raises LimitExceeded if that is one too many. `now` is any clock's time in seconds."""
        passed = max(0.0, now - self._at)  # another event loop has another clock
        self._left = min(self._most, self._left + passed * self._per_second)
        self._at = now
        if self._left < 1:
            raise LimitExceeded
        self._left -= 1


class Guard:
    """The limits of one method."""

    def __init__(
        self, *, timeout_s: float | None, concurrency: int | None = None, rate: float | None = None
    ) -> None:
        self._timeout_s = timeout_s
        self._slots = None if concurrency is None else Slots(concurrency)
        self._rate = None if rate is None else Rate(rate)

    async def run(self, party: object, proceed: Proceed) -> Any:
        """What `proceed` returns. Raises LimitExceeded, CallTimedOut. `party`: whose turn it is to be."""
        if self._rate is not None:
            self._rate.take(asyncio.get_running_loop().time())
        if self._timeout_s is None:
            return await self._in_turn(party, proceed)
        try:
            async with asyncio.timeout(self._timeout_s) as scope:
                return await self._in_turn(party, proceed)
        except TimeoutError:
            if not scope.expired():
                raise
            raise CallTimedOut from None

    async def _in_turn(self, party: object, proceed: Proceed) -> Any:
        if self._slots is None:
            return await proceed()
        await self._slots.acquire(party)
        try:
            return await proceed()
        finally:
            self._slots.release()
