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

    Who gives a `fresh` finds the indexes in there, in the order in which the answers come; who gives an
    `on_failure` finds what that makes of an item and its error in place of the error.
    """

    __slots__ = (
        "_context", "_due", "_loop", "_on_failure", "_pristine", "_start", "_timer", "_waiter",
        "concurrency", "fresh", "items", "next", "open", "results", "target", "tasks",
    )  # fmt: skip

    def __init__(
        self,
        items: Sequence[I | Ready[R]],
        target: Callable[[I], Any],
        bounds: Bounds,
        start: Start,
        *,
        fresh: deque[int] | None = None,
        on_failure: Callable[[I, BatchwayError], R] | None = None,
    ) -> None:
        self.items = items
        self.target = target
        self.concurrency = bounds.concurrency
        self.results: list[R | BatchwayError] = [_OPEN] * len(items)
        self.fresh = fresh
        self._on_failure = on_failure
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
        begun = self._loop.time()
        count = 8
        while self._context.run(self._start_some, count):
            now = self._loop.time()
            if now >= self._due:
                self._expire()
            if now - begun >= SLICE_S:
                await asyncio.sleep(0)
                return
            if now - begun < SLICE_S / 16:  # slow ones are looked at often, quick ones do not pay for it
                count = min(count * 8, 256)
        if self.open == before:
            await self._wait()

    def _start_some(self, count: int) -> bool:
        """Start `count` items, fewer if one has changed the context. Whether there are more, and room."""
        items, target, results, fresh = self.items, self.target, self.results, self.fresh
        context, pristine = self._context, self._pristine
        plain: type | None = None  # the class of an answer that is no awaitable
        first, begun = self.next, 0
        has_room = len(self.tasks) < self.concurrency
        index = first - 1
        # Every nanosecond in here is one for each call of a JSON-RPC batch.
        for index in range(first, min(first + count, len(items)) if has_room else first):
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
                    begun += 1
                    if len(self.tasks) < self.concurrency:
                        continue
                    has_room = False
                    break
                plain = answer.__class__
            results[index] = answer
            if fresh is not None:
                fresh.append(index)
            if context != pristine:
                self._context = pristine.copy()
                break
        self.next = index + 1
        self.open -= self.next - first - begun
        return has_room and self.next < len(items)

    def take(self, index: int) -> R | BatchwayError:
        """The answer of an item; it is not kept."""
        result = self.results[index]
        self.results[index] = _TAKEN
        return result

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
            self._settle(index, self._failure(index, InternalError()))  # unheard when the batch is over
            raise
        except Exception as error:  # noqa: BLE001 - logged there, if it is no deliberate one
            result = self._failure(index, error)
        self.tasks.pop(index, None)
        self._settle(index, result)

    def _failure(self, index: int, error: Exception) -> R | BatchwayError:
        if not isinstance(error, BatchwayError):
            log.error("item failed", index=index, exc_info=error)
            error = InternalError()
        if self._on_failure is None:
            return error
        return self._on_failure(self.items[index], error)  # type: ignore[arg-type] # no Ready fails

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
                late = DeadlineExceeded()
                self._settle(index, item.result if isinstance(item, Ready) else self._failure(index, late))
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
