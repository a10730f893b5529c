"""Running the items of one batch at once, within its bounds. Knows neither HTTP nor JSON."""

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from batchway.engine.running import Bounds, Running
from batchway.engine.start import start
from batchway.engine.starter import Starter
from batchway.errors import BatchwayError
from batchway.model import Ready, Reply

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")

Target = Callable[[I], Awaitable[R]]
"""Answers one item. Raises BatchwayError for a deliberate failure; must free what it holds when
cancelled."""

PromptTarget = Callable[[I], R | Coroutine[Any, Any, R]]
"""A target that may also have its answer, which is no awaitable, on the spot."""


async def run(
    items: Sequence[I | Ready[R]],
    target: "Target[I, R] | PromptTarget[I, R]",
    bounds: Bounds,
    *,
    own_tasks: bool = False,
) -> AsyncGenerator[Reply[R], None]:
    """Answer every item; replies come as they finish, each with its item's index.

    An item that has no answer at the deadline gets DeadlineExceeded, and is cancelled: what its
    target answers after that is dropped. Raises for no item's sake. Closing the iterator cancels
    what still runs. `own_tasks`: targets are not ours, and may ask for their task before they suspend.
    """
    fresh: deque[int] = deque()
    starter = Starter() if own_tasks else None
    batch: Running[I, R] = Running(items, target, bounds, starter or start, fresh=fresh)
    try:
        while True:
            while fresh:
                index = fresh.popleft()
                yield Reply(index, batch.take(index))
            if not batch.open:
                break
            await batch.advance()
        if starter is not None and starter.unused:
            await starter.aclose()
    finally:
        batch.close()


async def collect(
    items: Sequence[I | Ready[R]],
    target: "PromptTarget[I, R]",
    bounds: Bounds,
    on_failure: Callable[[I, BatchwayError], R] | None = None,
) -> list[R | BatchwayError]:
    """Answer every item; the answers come all at once, in item order.

    For the rest as `run` with `own_tasks`. An item answered on the spot costs little more than its target.
    With `on_failure`, what that makes of an item and its error stands in place of the error.
    """
    starter = Starter()
    batch: Running[I, R] = Running(items, target, bounds, starter, on_failure=on_failure)
    try:
        while batch.open:
            await batch.advance()
        if starter.unused:
            await starter.aclose()
    finally:
        batch.close()
    return batch.results
