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
_LOOK_EVERY = 64  # items, between looks at the clock

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
    """One batch. `results` are the answers in item order, `fresh` the indexes in the order they came."""

    def __init__(
        self, items: Sequence[I | Ready[R]], target: Callable[[I], Any], bounds: Bounds, start: Start
    ) -> None:
        self.items = items
        self.target = target
        self.concurrency = bounds.concurrency
        self.results: list[R | BatchwayError] = [_OPEN] * len(items)
        self.fresh: deque[int] = deque()
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
        if not self._context.run(self._start_more):
            if self._context == self._pristine:
                await asyncio.sleep(0)  # it has had its slice of time
            else:
                self._context = self._pristine.copy()
        elif self.open == before:
            await self._wait()

    def _start_more(self) -> bool:
        """False if it stopped though there was room: time is up, or the context is used up."""
        items, target, results, tasks = self.items, self.target, self.results, self.tasks
        context, pristine, fresh = self._context, self._pristine, self.fresh
        look = self.next + _LOOK_EVERY
        enough = self._loop.time() + SLICE_S
        plain: type | None = None  # the class of an answer that is no awaitable
        while (index := self.next) < len(items) and len(tasks) < self.concurrency:
            if index == look:
                look += _LOOK_EVERY
                if self._is_after(enough):
                    return False
            self.next = index + 1
            item = items[index]
            if item.__class__ is Ready:
                answer = item.result
            else:
                try:
                    answer = target(item)
                except Exception as error:  # noqa: BLE001 - logged there, if it is no deliberate one
                    answer = self._failure(index, error)
            kind = answer.__class__
            if kind is not plain:
                if hasattr(kind, "__await__"):
                    self._begin(index, answer)
                    continue
                plain = kind
            results[index] = answer
            fresh.append(index)
            self.open -= 1
            if context != pristine:
                return False
        return True

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
