"""Calls of many tasks, gathered: those that are made about the same time leave as one batch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from batchway.rpc.client.calls import PendingCall
from batchway.rpc.client.errors import AnswerTimedOut, ClientClosed

Deliver = Callable[[Sequence[PendingCall], float], Awaitable[object]]
"""Sends calls, and settles each. The second argument: how many seconds that may take."""


class _Flight:
    """Calls that leave together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.calls: list[PendingCall] = []
        self.landed: asyncio.Future[None] = loop.create_future()
        self.timeout_s = 0.0
        self.waiting = 0
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None


class Gatherer:
    """Belongs to one event loop."""

    def __init__(self, deliver: Deliver, *, window_s: float, max_batch: int) -> None:
        self._deliver = deliver
        self._window_s = window_s
        self._max_batch = max_batch
        self._loop = asyncio.get_running_loop()
        self._next: _Flight | None = None
        self._under_way: set[_Flight] = set()

    async def run(self, call: PendingCall, timeout_s: float) -> None:
        """Settle a call, together with others. Raises AnswerTimedOut.

        Cancelled, it leaves the others alone: one that is not sent yet never is, and the answer to one
        that is sent is dropped.
        """
        flight = self._board(call, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):
                # Shielded: whoever stops waiting must not cancel what others wait for.
                await asyncio.shield(flight.landed)
        except TimeoutError:
            self._leave(flight, call)
            raise AnswerTimedOut(f"{call.method}: no answer within {timeout_s:g} s") from None
        except asyncio.CancelledError:
            self._leave(flight, call)
            raise

    def _board(self, call: PendingCall, timeout_s: float) -> _Flight:
        flight = self._next
        if flight is None:
            flight = self._next = _Flight(self._loop)
            flight.timer = self._loop.call_later(self._window_s, self._depart, flight)
        flight.calls.append(call)
        flight.waiting += 1
        flight.timeout_s = max(flight.timeout_s, timeout_s)
        if len(flight.calls) >= self._max_batch:
            self._depart(flight)
        return flight

    def _depart(self, flight: _Flight) -> None:
        self._next = None
        if flight.timer is not None:
            flight.timer.cancel()
        self._under_way.add(flight)
        flight.task = self._loop.create_task(self._fly(flight))

    async def _fly(self, flight: _Flight) -> None:
        try:
            await self._deliver(flight.calls, flight.timeout_s)
        finally:
            self._under_way.discard(flight)
            self._land(flight)

    def _land(self, flight: _Flight) -> None:
        for call in flight.calls:
            if not call.reply.is_done:
                call.reply.fail(ClientClosed("the client was closed before there was an answer"))
        if not flight.landed.done():
            flight.landed.set_result(None)

    def _leave(self, flight: _Flight, call: PendingCall) -> None:
        flight.waiting -= 1
        if flight.task is None:
            flight.calls.remove(call)
            if not flight.calls and flight is self._next and flight.timer is not None:
                flight.timer.cancel()
                self._next = None
        elif not flight.waiting:  # nobody wants any of the answers
            flight.task.cancel()

    async def aclose(self) -> None:
        """Send nothing more; calls under way fail."""
        flights = list(self._under_way)
        if self._next is not None and self._next.timer is not None:
            self._next.timer.cancel()
            self._land(self._next)
            self._next = None
        tasks = [flight.task for flight in flights if flight.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for flight in flights:
            self._land(flight)
