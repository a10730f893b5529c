"""The state of one batch while its items run: who is answered, who runs, who has not begun."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import copy_context
from typing import Any, Generic, TypeVar

import structlog
from msgspec import Struct

from batchway.errors import BatchwayError, DeadlineExceeded, InternalError
from batchway.model import Ready

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")

Start = Callable[[Coroutine[Any, Any, None], asyncio.AbstractEventLoop], "asyncio.Task[None] | None"]
"""Runs work up to where it first suspends; None if it came to its end before that."""

SLICE_S = 0.005
"""How long items are started before all else that the loop has to do gets its turn."""

log = structlog.get_logger(__name__)

_OPEN: Any = object()  # in the slot of an item that has no answer yet
_TAKEN: Any = object()  # in the slot of one whose answer nobody needs any more

# Cancelled items whose target does not stop at once: kept from the garbage collector until it does.
_stragglers: set[asyncio.Task[None]] = set()


class Bounds(Struct, frozen=True):
    """What one run may take: seconds from now for all items, and how many items at once."""

    deadline_s: float
    concurrency: int


class Running(Generic[I, R]):
    """One batch. `results` are the answers, in item order.

    Who gives a `fresh` finds the indexes in there, in the order in which the answers come.
    """

    def __init__(
        self,
        items: Sequence[I | Ready[R]],
        target: Callable[[I], Any],
        bounds: Bounds,
        start: Start,
        fresh: deque[int] | None = None,
    ) -> None:
        self.items = items
        self.target = target
        self.concurrency = bounds.concurrency
        self.results: list[R | BatchwayError] = [_OPEN] * len(items)
        self.fresh = fresh
        self.open = len(items)
        """How many items have no answer yet."""
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.next = 0
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + bounds.deadline_s
        # One timer for the batch, whatever the number of its items; none where nothing suspends.
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None
        # An item answered on the spot has run in here. If it has set a variable, the next one gets a copy
        # of what was before: as tasks, items do not see what their neighbours set.
        self._pristine = copy_context()
        self._context = self._pristine.copy()

    async def advance(self) -> None:
        """Start items while there is room; if none was answered on the spot, wait until one is."""
        before = self.open
        enough = self._loop.time() + SLICE_S
        count = 4
        while self._has_room():
            self._context.run(self._start_some, count)
            if self._context != self._pristine:
                self._context = self._pristine.copy()
            if self._has_room() and self._is_after(enough):
                await asyncio.sleep(0)
                return
            # Slow ones are noticed at once, and quick ones hardly pay for the look at the clock.
            count = min(count * 4, 256)
        if self.open == before:
            await self._wait()

    def _has_room(self) -> bool:
        return self.next < len(self.items) and len(self.tasks) < self.concurrency

    def _start_some(self, count: int) -> None:
        """Start `count` items, fewer if there is no room for more or one has changed the context."""
        items, target, results, fresh = self.items, self.target, self.results, self.fresh
        context, pristine = self._context, self._pristine
        plain: type | None = None  # the class of an answer that is no awaitable
        index, answered = self.next, 0
        # Every nanosecond in here is one for each call of a JSON-RPC batch.
        for index in range(index, min(index + count, len(items))):  # noqa: B020 - goes on from there
            item = items[index]
            if item.__class__ is Ready:
                answer = item.result
            else:
                try:
                    answer = target(item)  # type: ignore[arg-type] # no Ready here
                except Exception as error:  # noqa: BLE001 - logged there, if it is no deliberate one
                    answer = self._failure(index, error)
            if answer.__class__ is not plain:
                if hasattr(answer, "__await__"):
                    self._begin(index, answer)
                    if len(self.tasks) < self.concurrency:
                        continue
                    break
                plain = answer.__class__
            results[index] = answer
            answered += 1
            if fresh is not None:
                fresh.append(index)
            if context != pristine:
                break
        self.next = index + 1
        self.open -= answered

    def take(self, index: int) -> R | BatchwayError:
        """The answer of an item; it is not kept."""
        result = self.results[index]
        self.results[index] = _TAKEN
        return result

    def _is_after(self, enough: float) -> bool:
        """Whether to stop starting items for now, or for good."""
        now = self._loop.time()
        if now >= self._due:
            self._expire()
        return now >= enough

    def _begin(self, index: int, work: Awaitable[R]) -> None:
        task = self._start(self._finish(index, work), self._loop)
        if task is not None:
            self.tasks[index] = task
            if self._timer is None:
                self._timer = self._loop.call_later(self._due - self._loop.time(), self._expire)

    async def _finish(self, index: int, work: Awaitable[R]) -> None:
        result: R | BatchwayError
        try:
            result = await work
        except asyncio.CancelledError:
            self.tasks.pop(index, None)
            self._settle(index, InternalError())  # heard by nobody when the batch is over
            raise
        except Exception as error:  # noqa: BLE001 - logged there, if it is no deliberate one
            result = self._failure(index, error)
        self.tasks.pop(index, None)
        self._settle(index, result)

    def _failure(self, index: int, error: Exception) -> BatchwayError:
        if isinstance(error, BatchwayError):
            return error
        log.error("item failed", index=index, exc_info=error)
        return InternalError()

    def _settle(self, index: int, result: R | BatchwayError) -> None:
        if self.results[index] is not _OPEN:  # its deadline reply has gone out already
            return
        self.results[index] = result
        if self.fresh is not None:
            self.fresh.append(index)
        self.open -= 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expire(self) -> None:
        """Answer all that is still open, in item order, and cancel what runs of it."""
        self.next = len(self.items)
        for index, result in enumerate(self.results):
            if result is _OPEN:
                item = self.items[index]
                self._settle(index, item.result if isinstance(item, Ready) else DeadlineExceeded())
        self._cancel()

    def _cancel(self) -> None:
        for task in self.tasks.values():
            if not task.done():
                _stragglers.add(task)
                task.add_done_callback(_stragglers.discard)
                task.cancel()
        self.tasks.clear()

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Stop the timer, and cancel what still runs."""
        if self._timer is not None:
            self._timer.cancel()
        self._cancel()
