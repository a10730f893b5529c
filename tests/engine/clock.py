"""An event loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
import contextlib
import contextvars
import gc
import selectors
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class Deadlock(AssertionError):
    """Nothing is left that could ever happen."""


class _Selector(selectors.DefaultSelector):
    """Waits for nobody: the time that it was to wait has passed."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not events:
            if timeout is None:
                message = "all tasks wait, and no timer is set"
                raise Deadlock(message)
            self.passed += max(timeout, 0)
        return events


class InstantLoop(asyncio.SelectorEventLoop):
    """Time begins at 0 and passes only while nothing else can run. `timers` counts those that were set."""

    def __init__(self) -> None:
        self._instant = _Selector()
        self.timers = 0
        super().__init__(self._instant)

    def time(self) -> float:
        return self._instant.passed

    def spend(self, seconds: float) -> None:
        """Let time pass as work does that holds the loop up."""
        self._instant.passed += seconds

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_later(delay, callback, *args, context=context)


def play(
    main: Coroutine[Any, Any, T], loop_factory: Callable[[], asyncio.AbstractEventLoop] = InstantLoop
) -> T:
    """Run `main` to its end. Fails if it leaves a task behind, or anything that the loop complains of."""
    complaints: list[Mapping[str, Any]] = []
    with _collected_alone(), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = runner.run(main)
        left = runner.run(_left_over())
        assert not left, left
        gc.collect()  # which is when asyncio tells of an exception that nobody has asked for
        assert runner.run(_left_over()) == set()
    assert not complaints, complaints
    return result


@contextlib.contextmanager
def _collected_alone() -> Iterator[None]:
    """What there was before is not looked at: in a run of all tests, that takes a second each time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def now() -> float:
    return asyncio.get_running_loop().time()


def spend(seconds: float) -> None:
    """Hold up the running loop, which must be an InstantLoop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, InstantLoop)
    loop.spend(seconds)


async def settle() -> None:
    """Let everything happen that needs no time to pass."""
    for _ in range(10):
        await asyncio.sleep(0)


async def _left_over() -> "set[asyncio.Task[Any]]":
    await settle()
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
