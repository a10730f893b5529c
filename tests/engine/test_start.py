"""What is started inline behaves as a task does: the same on every Python, on asyncio and on uvloop."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
import uvloop

from batchway.engine.start import start

from .clock import InstantLoop, play, settle

Play = Callable[[Coroutine[Any, Any, None]], None]

variable: ContextVar[str] = ContextVar("variable", default="unset")


@pytest.fixture(params=[InstantLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Play:
    return lambda main: play(main, request.param)


def begin(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None] | None":
    return start(work, asyncio.get_running_loop())


def test_what_never_suspends_makes_no_task(on_loop: Play) -> None:
    async def main() -> None:
        seen: list[str] = []

        async def work() -> None:
            seen.append("done")

        before = asyncio.all_tasks()
        assert begin(work()) is None
        assert seen == ["done"]
        assert asyncio.all_tasks() == before

    on_loop(main())


def test_first_step_runs_at_once_and_the_rest_later(on_loop: Play) -> None:
    async def main() -> None:
        seen: list[object] = []
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            seen.append("first")
            seen.append(await future)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append("last")

        task = begin(work())
        assert seen == ["first"]
        assert task is not None
        await settle()
        assert seen == ["first"]
        future.set_result("second")
        await task
        assert seen == ["first", "second", "last"]

    on_loop(main())


def test_bare_yield_suspends(on_loop: Play) -> None:
    async def main() -> None:
        seen: list[int] = []

        async def work(number: int) -> None:
            for _ in range(3):
                await asyncio.sleep(0)
                seen.append(number)

        tasks = [begin(work(number)) for number in (1, 2)]
        assert seen == []
        await asyncio.gather(*[task for task in tasks if task])
        assert seen == [1, 2, 1, 2, 1, 2]

    on_loop(main())


def test_future_that_is_done_already_does_not_suspend(on_loop: Play) -> None:
    async def main() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.set_result("there")
        seen: list[str] = []

        async def work() -> None:
            seen.append(await future)

        assert begin(work()) is None
        assert seen == ["there"]

    on_loop(main())


@pytest.mark.parametrize("cancelled_first", [False, True])
def test_several_may_wait_for_the_same_future(on_loop: Play, cancelled_first: bool) -> None:
    async def main() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        seen: list[object] = []

        async def work() -> None:
            try:
                seen.append(await future)
                seen.append(await future)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        tasks = [begin(work()) for _ in range(3)]
        if cancelled_first:
            assert tasks[0] is not None
            tasks[0].cancel()
        else:
            await settle()
            future.set_result("there")
        await asyncio.wait([task for task in tasks if task])
        assert seen == (["cancelled"] * 3 if cancelled_first else ["there"] * 6)

    on_loop(main())


def test_failures_of_what_is_waited_for_reach_the_work_every_time(on_loop: Play) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[None]] = [loop.create_future() for _ in range(4)]
        seen: list[str] = []

        async def work() -> None:
            for future in futures:
                try:
                    await future
                except ValueError as error:
                    seen.append(str(error))

        task = begin(work())
        assert task is not None
        for number, future in enumerate(futures):
            future.set_exception(ValueError(str(number)))
            await settle()
            assert len(seen) == number + 1
        await task
        assert seen == ["0", "1", "2", "3"]

    on_loop(main())


@pytest.mark.parametrize("early", [True, False], ids=["before_the_first_step", "after_the_first_step"])
@pytest.mark.parametrize("waiting_for", ["future", "done_future", "sleep", "task"])
def test_cancellation_reaches_the_work(on_loop: Play, waiting_for: str, early: bool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        inner = loop.create_task(asyncio.sleep(3600)) if waiting_for == "task" else None
        seen: list[str] = []

        async def work() -> None:
            try:
                if waiting_for == "sleep":
                    for _ in range(100):
                        await asyncio.sleep(0)
                await (inner or future)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            finally:
                await asyncio.sleep(0)  # freeing may take time
                seen.append("freed")

        task = begin(work())
        assert task is not None
        if not early:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        if waiting_for == "done_future":
            future.set_result(None)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled", "freed"]
        assert task.cancelled()
        if waiting_for == "future":
            assert future.cancelled()
        if inner is not None:
            assert inner.cancelled()

    on_loop(main())


@pytest.mark.parametrize("early", [True, False], ids=["before_the_first_step", "after_the_first_step"])
@pytest.mark.parametrize("more", [True, False], ids=["goes_on", "ends"])
def test_work_may_swallow_its_cancellation(on_loop: Play, early: bool, more: bool) -> None:
    async def main() -> None:
        seen: list[str] = []

        async def work() -> None:
            for _ in range(2):
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    seen.append("swallowed")
                if not more:
                    return
            await asyncio.sleep(0)
            seen.append("went on")

        task = begin(work())
        assert task is not None
        if not early:
            await settle()
        task.cancel()
        await settle()
        if more:
            task.cancel()
            await task
            assert seen == ["swallowed", "swallowed", "went on"]
        else:
            assert task.done()
            assert not task.cancelled()
            assert seen == ["swallowed"]

    on_loop(main())


def test_work_that_cancels_itself_at_once_does_not_cancel_who_started_it(on_loop: Play) -> None:
    async def main() -> None:
        given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        given_up.cancel()

        async def work() -> None:
            await given_up

        assert begin(work()) is None
        await asyncio.sleep(0)

    on_loop(main())


def test_work_that_cancels_itself_later_is_a_cancelled_task(on_loop: Play) -> None:
    async def main() -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            raise asyncio.CancelledError

        task = begin(work())
        assert task is not None
        await asyncio.wait([task])
        assert task.cancelled()

    on_loop(main())


def test_context_of_the_work_is_its_own(on_loop: Play) -> None:
    async def main() -> None:
        variable.set("caller")
        seen: list[str] = []

        async def work(number: int, suspends: bool) -> None:
            seen.append(variable.get())
            variable.set(f"item {number}")
            if suspends:
                await asyncio.sleep(0)
            seen.append(variable.get())

        first = begin(work(1, True))
        assert variable.get() == "caller"
        assert begin(work(2, False)) is None
        assert variable.get() == "caller"
        assert first is not None
        await first
        assert variable.get() == "caller"
        assert seen == ["caller", "caller", "item 2", "item 1"]

    on_loop(main())


def test_variable_that_was_set_before_suspending_can_be_reset_after(on_loop: Play) -> None:
    async def main() -> None:
        seen: list[str] = []

        async def work() -> None:
            token = variable.set("mine")
            try:
                await asyncio.sleep(0)
            finally:
                variable.reset(token)
                seen.append(variable.get())

        task = begin(work())
        assert task is not None
        await task
        assert seen == ["unset"]

    on_loop(main())


def test_work_may_ask_for_its_task_once_it_has_suspended(on_loop: Play) -> None:
    async def main() -> None:
        async def work() -> None:
            await asyncio.sleep(0)
            assert asyncio.current_task() is task
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await asyncio.get_running_loop().create_future()

        task = begin(work())
        assert task is not None
        await task

    on_loop(main())
