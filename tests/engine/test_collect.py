"""`collect`: all answers at once, in item order; targets may answer on the spot, or be code not ours."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any

import pytest
import structlog
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from batchway.engine import Bounds
from batchway.engine import collect as collect_typed
from batchway.errors import DeadlineExceeded, InternalError, RouteNotFound

from .clock import InstantLoop, now, play, settle, spend

Play = Callable[[Coroutine[Any, Any, None]], None]

LONG = Bounds(deadline_s=3600, concurrency=100)

variable: ContextVar[str] = ContextVar("variable", default="unset")


@pytest.fixture(params=[InstantLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Play:
    return lambda main: play(main, request.param)


async def collect(items: Sequence[Any], target: Callable[[Any], Any], bounds: Bounds) -> list[Any]:
    """As it is; types would have to tell answers from coroutines that bring them."""
    return await collect_typed(items, target, bounds)


async def sleeper(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


def test_answers_come_in_item_order_however_they_are_given(on_loop: Play) -> None:
    async def later(item: int) -> int:
        await asyncio.sleep(0.001 * (5 - item))
        return item

    async def at_once(item: int) -> int:
        return item

    def target(item: int) -> Any:
        return [lambda one: one, later, at_once][item % 3](item)

    async def main() -> None:
        assert await collect(range(6), target, LONG) == list(range(6))

    on_loop(main())


def test_no_items_no_answers() -> None:
    assert play(collect([], sleeper, LONG)) == []


@given(st.lists(st.sampled_from([0, 0, 1, 2, 3]), max_size=10), st.integers(min_value=1, max_value=3))
def test_every_item_is_answered_in_its_slot_within_the_bounds(
    durations: list[int], concurrency: int
) -> None:
    running = most = 0

    async def work(seconds: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.sleep(seconds)
        finally:
            running -= 1
        return seconds

    def target(seconds: int) -> Any:
        return work(seconds) if seconds else 0

    async def main() -> None:
        assert await collect(durations, target, Bounds(3600, concurrency)) == durations
        assert most <= concurrency

    play(main())


def test_items_may_wait_for_the_same_task(on_loop: Play) -> None:
    async def main() -> None:
        shared = asyncio.create_task(sleeper(0.001))

        async def target(item: int) -> float:
            return item + await shared

        assert await collect(range(4), target, LONG) == [0.001, 1.001, 2.001, 3.001]

    on_loop(main())


def test_deadline_answers_the_rest() -> None:
    async def main() -> None:
        answers = await collect([1, 50, 2, 60], sleeper, Bounds(10, 10))
        assert now() == 10
        assert [answers[0], answers[2]] == [1, 2]
        assert [type(answers[1]), type(answers[3])] == [DeadlineExceeded, DeadlineExceeded]

    play(main())


@pytest.mark.parametrize("suspends", [True, False, None], ids=["later", "at_once", "on_the_spot"])
def test_failing_item_keeps_its_neighbours(on_loop: Play, suspends: bool | None) -> None:
    missing = RouteNotFound("no")

    def fail(item: int) -> Any:
        if item == 1:
            raise missing
        if item == 2:
            message = "secret"
            raise ValueError(message)
        return item

    async def work(item: int) -> Any:
        if suspends:
            await asyncio.sleep(0)
        return fail(item)

    async def main() -> None:
        with structlog.testing.capture_logs() as logs:
            answers = await collect(range(4), fail if suspends is None else work, LONG)
        assert answers[:2] == [0, missing]
        assert isinstance(answers[2], InternalError)
        assert answers[2].message == "internal error"
        assert answers[3] == 3
        assert [(entry["event"], entry["index"]) for entry in logs] == [("item failed", 2)]

    on_loop(main())


def test_first_step_runs_in_the_task_that_the_item_goes_on_in(on_loop: Play) -> None:
    """So `asyncio.timeout` cancels the item that asked for it, and neither the batch nor a neighbour."""

    async def target(item: int) -> Any:
        before = asyncio.current_task()
        if item % 2:
            return item
        try:
            # Room for the one that is quick: a busy machine may take a millisecond for a single step.
            async with asyncio.timeout(30 if item == 2 else 0.001):
                await asyncio.sleep(0 if item == 2 else 60)
        except TimeoutError:
            assert asyncio.current_task() is before
            return "timed out"
        assert asyncio.current_task() is before
        return item

    async def main() -> None:
        outer = asyncio.current_task()
        assert await collect(range(6), target, LONG) == ["timed out", 1, 2, 3, "timed out", 5]
        assert asyncio.current_task() is outer

    on_loop(main())


def test_task_groups_may_be_used_before_the_first_suspension(on_loop: Play) -> None:
    async def target(item: int) -> int:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(sleeper(0.001 * number)) for number in range(item)]
        assert len(tasks) == item
        return item

    async def main() -> None:
        assert await collect(range(4), target, LONG) == [0, 1, 2, 3]

    on_loop(main())


def test_item_that_cancels_its_own_task_is_its_own_failure(on_loop: Play) -> None:
    async def target(item: int) -> int:
        task = asyncio.current_task()
        assert task is not None
        if item == 1:
            task.cancel()
        await asyncio.sleep(0)
        return item

    async def main() -> None:
        answers = await collect(range(3), target, LONG)
        assert [type(answer) for answer in answers] == [int, InternalError, int]

    on_loop(main())


def test_cancellation_that_an_item_asked_for_but_did_not_wait_for_hits_no_neighbour(on_loop: Play) -> None:
    async def target(item: int) -> int:
        task = asyncio.current_task()
        assert task is not None
        if item == 0:
            task.cancel()
            return item
        await asyncio.sleep(0)
        return item

    async def main() -> None:
        assert (await collect(range(3), target, LONG))[1:] == [1, 2]

    on_loop(main())


@pytest.mark.parametrize("how", ["on_the_spot", "at_once", "later"])
def test_context_of_an_item_is_its_own(on_loop: Play, how: str) -> None:
    seen = []

    def look(item: int) -> int:
        seen.append(variable.get())
        variable.set(f"item {item}")
        return item

    async def work(item: int) -> int:
        look(item)
        if how == "later":
            token = variable.set("mine")
            await asyncio.sleep(0)
            variable.reset(token)
            assert variable.get() == f"item {item}"
        return item

    async def main() -> None:
        variable.set("caller")
        await collect(range(5), look if how == "on_the_spot" else work, LONG)
        assert seen == ["caller"] * 5
        assert variable.get() == "caller"

    on_loop(main())


def test_cancelled_it_cancels_the_items(on_loop: Play) -> None:
    freed = []

    async def target(item: int) -> int:
        try:
            if item:
                await asyncio.sleep(30)
        finally:
            freed.append(item)
        return item

    async def main() -> None:
        batch = asyncio.create_task(collect(range(4), target, LONG))
        await settle()
        assert freed == [0]
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        await settle()
        assert sorted(freed) == [0, 1, 2, 3]

    on_loop(main())


@pytest.mark.parametrize("coroutine", [True, False])
def test_answers_that_are_at_hand_leave_no_task(on_loop: Play, coroutine: bool) -> None:
    async def at_once(item: int) -> int:
        return item

    def on_the_spot(item: int) -> int:
        return item

    async def main() -> None:
        target: Callable[[int], Any] = at_once if coroutine else on_the_spot
        assert await collect(range(500), target, LONG) == list(range(500))
        assert len(asyncio.all_tasks()) == 1

    on_loop(main())


def test_others_get_their_turn_while_many_quick_items_run() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        for _ in range(1000):
            turns += 1
            await asyncio.sleep(0)

    def target(item: int) -> int:
        spend(0.0005)
        return item

    async def main() -> None:
        beside = asyncio.create_task(others())
        assert await collect(range(1000), target, LONG) == list(range(1000))
        assert now() == pytest.approx(0.5)
        assert turns >= 3
        beside.cancel()

    play(main())


@pytest.mark.parametrize("deadline", [0.002, 0.02])
def test_deadline_holds_for_items_that_never_suspend(deadline: float) -> None:
    """As nearly as a slice of items allows that are started without a look at the clock."""
    asked = []

    def target(item: int) -> int:
        asked.append(item)
        spend(0.0005)
        return item

    async def main() -> None:
        answers = await collect(range(1000), target, Bounds(deadline, 100))
        assert deadline <= now() < deadline + 0.15
        answered = len(asked)
        assert asked == answers[:answered]
        assert all(isinstance(answer, DeadlineExceeded) for answer in answers[answered:])
        assert len(answers) == 1000

    play(main())


def test_item_past_the_deadline_before_its_second_step_is_cancelled_all_the_same() -> None:
    async def main() -> None:
        inner = asyncio.create_task(asyncio.sleep(3600))
        seen = []

        async def target(_: int) -> None:
            spend(10)
            try:
                await inner
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        (answer, *_) = await collect(range(20), target, Bounds(1, 100))
        assert isinstance(answer, DeadlineExceeded)
        await settle()
        assert inner.cancelled()
        assert set(seen) == {"cancelled"}

    play(main())


def test_items_suspend_in_live_tasks_also_after_a_pause_between_quick_ones() -> None:
    async def target(item: int) -> int:
        if item % 5 < 4:
            spend(0.01)
        else:
            await asyncio.sleep(0)
        return item

    assert play(collect(range(50), target, LONG)) == list(range(50))
