"""Synchronous functions in threads: so many at once and no more, in turns between batches."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from batchway.engine.slots import Slots
from batchway.rpc.errors import Busy


class Threads:
    """A pool that starts with its first function. Once closed, it starts anew with the next."""

    def __init__(self, count: int, max_waiting: int) -> None:
        self._count = count
        self._max_waiting = max_waiting
        self._slots = Slots(count)
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, party: object, function: Callable[[], Any]) -> Any:
        """What `function` returns, called in a thread once it is the turn of `party`.

        Cancelled, it does not wait for the thread, which goes on and keeps its slot. Raises Busy if too
        many wait already.
        """
        if self._slots.waiting >= self._max_waiting:
            raise Busy
        await self._slots.acquire(party)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._count, "batchway-rpc")
        work = self._executor.submit(copy_context().run, _contained, function)
        # In that thread: it may outlive the loop, or the loop stand still, and others wait for the slot.
        work.add_done_callback(lambda _: self._slots.release())
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """End the threads, once their functions have."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)


def _contained(function: Callable[[], Any]) -> Any:
    """Call `function`; what would end the loop, or hang the future, when raised there becomes a failure."""
    try:
        return function()
    except Exception as error:
        if not isinstance(error, StopIteration):
            raise
        raise RuntimeError("StopIteration") from error
    except BaseException as error:
        raise RuntimeError(type(error).__name__) from error
