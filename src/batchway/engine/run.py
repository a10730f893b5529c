"""Running the items of one batch at once, within its bounds. Knows neither HTTP nor JSON."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog
from msgspec import Struct

from batchway.engine.start import start
from batchway.errors import BatchwayError, DeadlineExceeded, InternalError
from batchway.model import Ready, Reply

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")

Target = Callable[[I], Awaitable[R]]
"""Answers one item. Raises BatchwayError for a deliberate failure; must free what it holds when
cancelled."""

log = structlog.get_logger(__name__)

# Cancelled items whose target does not stop at once: kept from the garbage collector until it does.
_stragglers: set[asyncio.Task[None]] = set()


class Bounds(Struct, frozen=True):
    """What one run may take: seconds from now for all items, and how many items at once."""

    deadline_s: float
    concurrency: int


async def run(
    items: Sequence[I | Ready[R]], target: "Target[I, R]", bounds: Bounds
) -> AsyncGenerator[Reply[R], None]:
    """Answer every item; replies come as they finish, each with its item's index.

    An item that has no answer at the deadline gets DeadlineExceeded, and is cancelled: what its
    target answers after that is dropped. Raises for no item's sake. Closing the iterator cancels
    what still runs.
    """
    batch = _Run(items, target, bounds)
    try:
        while True:
            while batch.finished:
                yield batch.finished.popleft()
            if not batch.open:
                return
            if not batch.start_more():
                await batch.wait()
    finally:
        batch.close()


class _Run(Generic[I, R]):
    """The state of one batch while it runs."""

    def __init__(self, items: Sequence[I | Ready[R]], target: "Target[I, R]", bounds: Bounds) -> None:
        self.items = items
        self.target = target
        self.bounds = bounds
        self.finished: deque[Reply[R]] = deque()
        #: indexes that have no reply yet, in item order
        self.open: dict[int, None] = dict.fromkeys(range(len(items)))
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.next = 0
        self.waiter: asyncio.Future[None] | None = None
        self.loop = asyncio.get_running_loop()
        # One timer for the batch, whatever the number of its items.
        self.timer = self.loop.call_later(bounds.deadline_s, self.expire)

    def start_more(self) -> bool:
        """Start items while there is room; True if any was answered on the spot."""
        items, concurrency = self.items, self.bounds.concurrency
        while self.next < len(items) and len(self.tasks) < concurrency:
            index = self.next
            self.next = index + 1
            item = items[index]
            if isinstance(item, Ready):
                self.settle(index, item.result)
                continue
            task = start(self.answer(index, item), self.loop)
            if task is not None:
                self.tasks[index] = task
        return bool(self.finished)

    async def answer(self, index: int, item: I) -> None:
        result: R | BatchwayError
        try:
            result = await self.target(item)
        except BatchwayError as error:
            result = error
        except asyncio.CancelledError:
            self.tasks.pop(index, None)
            self.settle(index, InternalError())  # heard by nobody when the batch is over
            raise
        except Exception:
            log.exception("item failed", index=index)
            result = InternalError()
        self.tasks.pop(index, None)
        self.settle(index, result)

    def settle(self, index: int, result: R | BatchwayError) -> None:
        if index not in self.open:  # its deadline reply has gone out already
            return
        del self.open[index]
        self.finished.append(Reply(index, result))
        self.wake()

    def expire(self) -> None:
        """Answer all that is still open, in item order, and cancel what runs of it."""
        self.next = len(self.items)
        for index in list(self.open):
            item = self.items[index]
            self.settle(index, item.result if isinstance(item, Ready) else DeadlineExceeded())
        self.cancel()

    def cancel(self) -> None:
        for task in self.tasks.values():
            if not task.done():
                _stragglers.add(task)
                task.add_done_callback(_stragglers.discard)
                task.cancel()
        self.tasks.clear()

    async def wait(self) -> None:
        self.waiter = self.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def close(self) -> None:
        self.timer.cancel()
        self.cancel()
