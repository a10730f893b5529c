"""Event loops for tests: what a loop complains of, or a task left behind, fails the test."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVarTuple

import uvloop

Ts = TypeVarTuple("Ts")


class Clock(asyncio.SelectorEventLoop):
    """asyncio's loop, whose time can be put forward: what falls due then runs without a wait."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        super().__init__()

    def time(self) -> float:
        return super().time() + self._ahead_s

    async def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self._ahead_s += seconds
        await settle()


class _Timer(asyncio.TimerHandle):
    """What falls due by such a loop's own clock, whichever clock wakes it."""

    def __init__(
        self, when: float, callback: Callable[..., Any], args: Any, loop: Any, context: Context | None
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self._woken_by: asyncio.Handle | None = None

    def wake_by(self, handle: asyncio.Handle) -> None:
        if self._woken_by is not None:
            self._woken_by.cancel()
        self._woken_by = handle

    def cancel(self) -> None:
        if self._woken_by is not None:
            self._woken_by.cancel()
        super().cancel()


class UvClock(uvloop.Loop):
    """The same over uvloop's. Its own timers cannot be moved: they are set anew."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead_s = 0.0
        self._timers: set[_Timer] = set()

    def time(self) -> float:
        return super().time() + self._ahead_s

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        self._timers.add(timer)
        self._set(timer)
        return timer

    def _set(self, timer: _Timer) -> None:
        left_s = max(0.0, timer.when() - self.time())
        timer.wake_by(super().call_later(left_s, self._due, timer))

    def _due(self, timer: _Timer) -> None:
        self._timers.discard(timer)
        if not timer.cancelled():
            timer._run()

    def _timer_handle_cancelled(self, timer: _Timer) -> None:
        """By `TimerHandle.cancel`."""
        self._timers.discard(timer)

    async def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self._ahead_s += seconds
        now = self.time()
        for timer in sorted(self._timers, key=asyncio.TimerHandle.when):
            if timer.when() <= now:
                timer.wake_by(self.call_soon(self._due, timer))
            else:
                self._set(timer)
        await settle()


LOOPS: dict[str, Callable[[], Clock | UvClock]] = {"asyncio": Clock, "uvloop": UvClock}


async def settle(rounds: int = 10) -> None:
    """Let everything run that needs no waiting."""
    for _ in range(rounds):
        await asyncio.sleep(0)


async def pass_time(seconds: float) -> None:
    """Let so many seconds pass at once. Only on one of `LOOPS`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Clock | UvClock)
    await loop.pass_time(seconds)


async def until(condition: Callable[[], Any], what: str = "", patience_s: float = 30.0) -> None:
    """Return as soon as `condition` holds; fails after `patience_s`, which no busy machine needs."""
    deadline = time.monotonic() + patience_s  # which nobody puts forward
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what or condition}"
        await asyncio.sleep(0.001)


@contextmanager
def running(loop: str = "asyncio") -> Iterator[asyncio.Runner]:
    """A runner over the loop of that name."""
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        yield runner
        runner.run(settle())
        left = asyncio.all_tasks(runner.get_loop())
    assert not complaints
    assert not left, "tasks were left behind"
