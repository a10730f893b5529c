"""Running a batch: every item has one reply in its own slot, in bounded time, and none is left behind."""

import asyncio
import gc
import heapq
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from batchway.engine import Bounds
from batchway.engine import run as run_typed
from batchway.errors import DeadlineExceeded, InternalError, RouteNotFound, UpstreamBroken
from batchway.model import Ready, Reply

from .clock import InstantLoop, now, play, settle, spend

LONG = Bounds(deadline_s=3600, concurrency=100)


class Sleeper:
    """Answers an item, a number of seconds, with itself after that time; 0 is answered at once."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.running = 0
        self.most_running = 0
        self.cancelled: list[float] = []
        self.last_cancelled_at = -1.0
        self.freed = 0

    async def __call__(self, seconds: float) -> float:
        self.started.append(seconds)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            if seconds:
                await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(seconds)
            self.last_cancelled_at = now()
            raise
        finally:
            self.running -= 1
            self.freed += 1
        return seconds


def run(
    items: Sequence[Any], target: Callable[[Any], Awaitable[Any]], bounds: Bounds
) -> AsyncGenerator[Reply[Any], None]:
    """As it is; what an item is and what it is answered with differs from test to test."""
    return run_typed(items, target, bounds)


async def replies(
    items: Sequence[Any], target: Callable[[Any], Awaitable[Any]], bounds: Bounds = LONG
) -> list[tuple[int, Any]]:
    """What `run` yields, as (index, result)."""
    return [(reply.index, reply.result) async for reply in run(items, target, bounds)]


# --- slots and order


def test_no_items_no_replies() -> None:
    async def main() -> None:
        sleeper = Sleeper()
        assert await replies([], sleeper) == []
        assert sleeper.started == []

    play(main())


def test_replies_come_as_they_finish_each_with_its_index() -> None:
    assert play(replies([3, 1, 2], Sleeper())) == [(1, 1), (2, 2), (0, 3)]


def test_reply_is_given_as_soon_as_it_is_there() -> None:
    async def main() -> None:
        times = []
        async for reply in run([3, 0, 1], Sleeper(), LONG):
            times.append((reply.result, now()))  # noqa: PERF401 - the time of each
        assert times == [(0, 0), (1, 1), (3, 3)]

    play(main())


def test_equal_items_are_told_apart() -> None:
    assert sorted(play(replies([1, 1, 0, 0], Sleeper()))) == [(0, 1), (1, 1), (2, 0), (3, 0)]


def test_a_thousand_items_each_in_its_slot() -> None:
    async def main() -> None:
        items = [(number * 7919) % 13 for number in range(1000)]
        sleeper = Sleeper()
        found = await replies(items, sleeper)
        assert sorted(index for index, _ in found) == list(range(1000))
        assert all(result == items[index] for index, result in found)
        assert sleeper.started == items
        assert sleeper.most_running == 100

    play(main())


def test_result_of_any_kind_is_passed_on() -> None:
    async def target(item: object) -> object:
        return item

    values: list[object] = [None, False, "", [], Exception("as a value")]
    assert play(replies(values, target)) == list(enumerate(values))


# --- concurrency


@pytest.mark.parametrize("concurrency", [1, 2, 5, 100])
def test_no_more_items_at_once_than_allowed_and_no_fewer(concurrency: int) -> None:
    async def main() -> None:
        sleeper = Sleeper()
        await replies([1] * 20, sleeper, Bounds(3600, concurrency))
        assert sleeper.most_running == min(concurrency, 20)
        assert now() == -(-20 // concurrency)

    play(main())


def test_one_slow_item_does_not_hold_up_the_queue() -> None:
    async def main() -> None:
        found = await replies([100, 1, 1, 1], Sleeper(), Bounds(3600, 2))
        assert [index for index, _ in found] == [1, 2, 3, 0]
        assert now() == 100

    play(main())


def test_item_starts_only_when_one_before_it_is_done() -> None:
    async def main() -> None:
        sleeper = Sleeper()
        batch = run([1, 2, 3], sleeper, Bounds(3600, 1))
        async with aclosing(batch):
            await anext(batch)
            assert sleeper.started == [1]
            await anext(batch)
            assert sleeper.started == [1, 2]

    play(main())


def expected(durations: list[int], concurrency: int, deadline: float) -> tuple[dict[int, bool], float]:
    """A model of the engine: which items are answered in time, and when all replies are there."""
    busy_until: list[float] = []
    in_time = {}
    end = 0.0
    for index, duration in enumerate(durations):
        start = heapq.heappop(busy_until) if len(busy_until) == concurrency else 0.0
        finish = start + duration
        in_time[index] = finish < deadline
        end = max(end, min(finish, deadline))
        if duration or start:
            heapq.heappush(busy_until, finish)
    return in_time, end


@given(
    st.lists(st.integers(min_value=0, max_value=6), max_size=12),
    st.integers(min_value=1, max_value=5),
    st.integers(min_value=0, max_value=20),
)
def test_any_batch_runs_as_the_model_says(durations: list[int], concurrency: int, whole: int) -> None:
    async def main() -> None:
        deadline = whole + 0.5
        sleeper = Sleeper()
        found = await replies(durations, sleeper, Bounds(deadline, concurrency))
        in_time, end = expected(durations, concurrency, deadline)
        assert now() == end
        assert sorted(index for index, _ in found) == list(range(len(durations)))
        for index, result in found:
            if in_time[index]:
                assert result == durations[index]
            else:
                assert isinstance(result, DeadlineExceeded)
        assert sleeper.most_running <= concurrency
        assert sleeper.started == durations[: len(sleeper.started)]
        await settle()
        assert sleeper.running == 0
        assert sleeper.freed == len(sleeper.started)

    play(main())


# --- the deadline


def test_deadline_answers_all_the_rest_at_once_in_item_order() -> None:
    async def main() -> None:
        sleeper = Sleeper()
        times = []
        found = []
        async for reply in run([50, 1, 40, 2, 30], sleeper, Bounds(deadline_s=10, concurrency=3)):
            found.append(reply)
            times.append(now())
        assert [reply.index for reply in found] == [1, 3, 0, 2, 4]
        assert [reply.result for reply in found[:2]] == [1, 2]
        assert all(isinstance(reply.result, DeadlineExceeded) for reply in found[2:])
        assert times == [1, 3, 10, 10, 10]
        await settle()
        assert sleeper.cancelled == [50, 40, 30]
        assert sleeper.running == 0

    play(main())


def test_deadline_is_a_504_that_says_upstream_timeout() -> None:
    ((_, late),) = play(replies([5], Sleeper(), Bounds(1, 1)))
    assert isinstance(late, DeadlineExceeded)
    assert (late.status, late.message) == (504, "upstream timeout")


def test_item_that_has_not_begun_is_not_begun_after_the_deadline() -> None:
    async def main() -> None:
        sleeper = Sleeper()
        found = await replies([9, 8, 0], sleeper, Bounds(deadline_s=1, concurrency=1))
        assert [index for index, _ in found] == [0, 1, 2]
        assert sleeper.started == [9]
        assert now() == 1

    play(main())


def test_reply_from_just_before_the_deadline_is_kept_however_slow_the_reader() -> None:
    async def main() -> None:
        found = []
        sleeper = Sleeper()
        async for reply in run([1, 9.99, 10.01, 5], sleeper, Bounds(deadline_s=10, concurrency=4)):
            found.append((reply.index, reply.result))
            await asyncio.sleep(100)
        assert found[:3] == [(0, 1), (3, 5), (1, 9.99)]
        assert len(found) == 4
        assert isinstance(found[3][1], DeadlineExceeded)
        assert sleeper.last_cancelled_at == 10  # nor did it run on until the reader came back

    play(main())


def test_late_result_is_dropped() -> None:
    async def main() -> None:
        dropped = []

        async def target(item: int) -> str:
            try:
                await asyncio.sleep(item)
            except asyncio.CancelledError:
                dropped.append(item)
                return "late"
            return "in time"

        found = await replies([1, 5, 6], target, Bounds(2, 10))
        await settle()
        assert dropped == [5, 6]
        assert found[0] == (0, "in time")
        assert [index for index, _ in found] == [0, 1, 2]
        assert all(isinstance(result, DeadlineExceeded) for _, result in found[1:])

    play(main())


def test_target_that_will_not_stop_does_not_hold_up_the_batch() -> None:
    async def main() -> None:
        ended = []

        async def target(item: int) -> str:
            until = now() + item
            while now() < until:
                try:
                    await asyncio.sleep(until - now())
                except asyncio.CancelledError:
                    continue
            ended.append(item)
            return "late"

        found = await replies([50, 1], target, Bounds(2, 10))
        assert now() == 2
        assert found[0] == (1, "late")
        assert found[1][0] == 0
        assert isinstance(found[1][1], DeadlineExceeded)
        assert ended == [1]
        await asyncio.sleep(100)  # it ends in peace
        assert ended == [1, 50]

    play(main())


def test_target_that_will_not_stop_is_not_lost_half_way() -> None:
    """The loop itself holds tasks weakly: this one waits for what nobody else knows of."""

    async def main() -> None:
        ended = []
        waiting: list[weakref.ref[asyncio.Future[None]]] = []

        async def target(item: int) -> None:
            try:
                await asyncio.sleep(50)
            except asyncio.CancelledError:
                future = asyncio.get_running_loop().create_future()
                waiting.append(weakref.ref(future))
                await future
                ended.append(item)

        await replies([1], target, Bounds(2, 10))
        await settle()
        gc.collect()
        future = waiting[0]()
        assert future is not None
        future.set_result(None)
        await settle()
        assert ended == [1]

    play(main())


def test_deadline_that_passes_while_items_hold_the_loop_up() -> None:
    async def main() -> None:
        inner = asyncio.create_task(asyncio.sleep(3600))
        begun = []

        async def target(item: int) -> str:
            begun.append(item)
            spend(0.001)
            if item == 0:
                return "in time"
            await inner
            return "late"

        found = await replies(range(50), target, Bounds(0.002, 100))
        assert found[0] == (0, "in time")
        assert [index for index, _ in found] == list(range(50))
        assert all(isinstance(result, DeadlineExceeded) for _, result in found[1:])
        assert len(begun) < 10
        await settle()
        assert inner.cancelled()

    play(main())


def test_failure_after_the_deadline_is_dropped() -> None:
    async def main() -> None:
        async def target(_: int) -> str:
            try:
                await asyncio.sleep(50)
            finally:
                message = "while cleaning up"
                raise RouteNotFound(message)

        found = await replies([1], target, Bounds(2, 10))
        await settle()
        assert [type(result) for _, result in found] == [DeadlineExceeded]

    play(main())


def test_batch_sets_one_timer_whatever_it_has_in_items_and_stops_it() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, InstantLoop)

        async def target(_: int) -> None:
            for _ in range(3):
                await asyncio.sleep(0)

        await replies(range(50), target, Bounds(77, 10))
        assert loop.timers == 1
        await settle()
        assert now() == 0
        await asyncio.sleep(100)  # what the timer did if it were not stopped would be a complaint

    play(main())


def test_batch_that_is_over_is_not_kept_until_its_deadline() -> None:
    class Item:
        pass

    async def main() -> None:
        async def target(_: Item) -> None:
            await asyncio.sleep(0)

        items = [Item()]
        item = weakref.ref(items[0])
        await replies(items, target, Bounds(3600, 1))
        del items
        await settle()
        gc.collect()
        assert item() is None

    play(main())


# --- failures


def test_failing_item_keeps_its_neighbours() -> None:
    async def main() -> None:
        async def target(item: int) -> int:
            await asyncio.sleep(item)
            if item == 2:
                message = "the secret is 42"
                raise KeyError(message)
            return item

        with structlog.testing.capture_logs() as logs:
            found = await replies([1, 2, 3], target)
        assert found[0] == (0, 1)
        assert found[2] == (2, 3)
        index, error = found[1]
        assert index == 1
        assert isinstance(error, InternalError)
        assert (error.status, error.message) == (500, "internal error")
        assert [(entry["event"], entry["index"]) for entry in logs] == [("item failed", 1)]

    play(main())


@pytest.mark.parametrize("suspends", [True, False])
def test_deliberate_error_is_the_reply_and_not_logged(suspends: bool) -> None:
    async def main() -> None:
        error = UpstreamBroken("cut off")

        async def target(_: int) -> None:
            if suspends:
                await asyncio.sleep(1)
            raise error

        with structlog.testing.capture_logs() as logs:
            found = await replies([1, 2], target)
        assert [result is error for _, result in found] == [True, True]
        assert logs == []

    play(main())


def test_failure_before_suspending_is_that_items_own() -> None:
    async def main() -> None:
        async def target(item: int) -> int:
            if item == 1:
                message = "at once"
                raise RuntimeError(message)
            return item

        with structlog.testing.capture_logs():
            found = await replies([0, 1, 2], target)
        assert [type(result) for _, result in found] == [int, InternalError, int]

    play(main())


@pytest.mark.parametrize("suspends", [True, False])
def test_item_that_cancels_itself_is_that_items_failure(suspends: bool) -> None:
    """For one, what it waited for was given up by somebody else."""

    async def main() -> None:
        given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        given_up.cancel()

        async def target(item: int) -> int:
            if item == 1:
                if suspends:
                    await asyncio.sleep(1)
                await given_up
            return item

        found = await replies([0, 1, 2], target)
        assert sorted((index, type(result)) for index, result in found if index != 1) == [
            (0, int),
            (2, int),
        ]
        assert [type(result) for index, result in found if index == 1] == [InternalError]
        assert now() == (1 if suspends else 0)

    play(main())


def test_task_of_an_item_cancelled_by_others_is_that_items_failure() -> None:
    async def main() -> None:
        tasks: list[asyncio.Task[Any] | None] = []

        async def target(item: int) -> int:
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())
            await asyncio.sleep(item)
            return item

        consumer = asyncio.ensure_future(replies([5, 6], target))
        await asyncio.sleep(1)
        assert tasks[0] is not None
        tasks[0].cancel()
        found = await consumer
        assert [type(result) for _, result in found] == [InternalError, int]
        assert now() == 6

    play(main())


# --- items that are ready


def test_ready_item_is_not_run() -> None:
    async def main() -> None:
        error = RouteNotFound("no")
        sleeper = Sleeper()
        items: list[float | Ready[float]] = [2, Ready(7), Ready(error), 1]
        found = await replies(items, sleeper)
        assert found == [(1, 7), (2, error), (3, 1), (0, 2)]
        assert sleeper.started == [2, 1]

    play(main())


def test_ready_items_alone_take_no_time_and_no_task() -> None:
    async def main() -> None:
        found = await replies([Ready(number) for number in range(1000)], Sleeper(), Bounds(0.001, 1))
        assert found == [(number, number) for number in range(1000)]
        assert len(asyncio.all_tasks()) == 1
        assert now() == 0

    play(main())


def test_ready_item_that_waits_for_its_turn_keeps_its_answer_at_the_deadline() -> None:
    async def main() -> None:
        items: list[float | Ready[float]] = [50, 60, Ready(7), 70]
        found = await replies(items, Sleeper(), Bounds(1, 1))
        assert [index for index, _ in found] == [0, 1, 2, 3]
        assert found[2] == (2, 7)
        assert [type(result) for index, result in found if index != 2] == [DeadlineExceeded] * 3

    play(main())


# --- starting inline


def test_items_that_never_suspend_make_no_task_and_take_no_room() -> None:
    async def main() -> None:
        most = 0

        async def target(item: int) -> int:
            nonlocal most
            most = max(most, len(asyncio.all_tasks()))
            return item

        assert await replies(range(500), target, Bounds(1, 1)) == [(item, item) for item in range(500)]
        assert len(asyncio.all_tasks()) == 1
        assert most <= 2  # an eager task is one only while it runs

    play(main())


# --- the end


def test_closing_the_iterator_cancels_what_runs() -> None:
    async def main() -> None:
        sleeper = Sleeper()
        batch = run([1, 50, 60, 70], sleeper, Bounds(3600, 3))
        assert (await anext(batch)).result == 1
        await batch.aclose()
        await settle()
        assert sleeper.cancelled == [50, 60]
        assert sleeper.running == 0
        assert sleeper.started == [1, 50, 60]
        assert now() == 1

    play(main())


def test_closing_before_the_items_took_their_second_step_cancels_them() -> None:
    """Right behind a reply that was there at once: their tasks have not run yet."""

    async def main() -> None:
        sleeper = Sleeper()
        batch = run([0, 50, 60], sleeper, LONG)
        assert (await anext(batch)).result == 0
        await batch.aclose()
        await settle()
        assert sleeper.cancelled == [50, 60]
        assert sleeper.running == 0

    play(main())


def test_closing_a_batch_that_has_not_begun_runs_nothing() -> None:
    async def main() -> None:
        sleeper = Sleeper()
        await run([1, 2], sleeper, LONG).aclose()
        assert sleeper.started == []

    play(main())


def test_leaving_the_loop_early_cancels_what_runs() -> None:
    async def main() -> None:
        sleeper = Sleeper()
        async with aclosing(run([1, 50], sleeper, LONG)) as batch:
            async for _ in batch:
                break
        await settle()
        assert sleeper.cancelled == [50]

    play(main())


@pytest.mark.parametrize("when", [0, 0.5, 1.5], ids=["at_once", "before_a_reply", "after_a_reply"])
def test_cancelling_the_consumer_cancels_the_items(when: float) -> None:
    async def main() -> None:
        sleeper = Sleeper()
        found: list[tuple[int, Any]] = []

        async def consume() -> None:
            async for reply in run([50, 1, 60, 70], sleeper, Bounds(3600, 3)):
                found.append((reply.index, reply.result))  # noqa: PERF401 - kept when cancelled

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(when)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        await settle()
        assert sleeper.running == 0
        assert sorted(sleeper.cancelled) == [
            seconds for seconds in (1, 50, 60, 70) if seconds in running_at(when)
        ]
        assert found == ([(1, 1)] if when > 1 else [])
        assert now() == when

    play(main())


def running_at(when: float) -> set[int]:
    """The items of the test above that run at that time."""
    return {50, 60, 70} if when > 1 else {1, 50, 60}


def test_cancelled_items_may_take_their_time_to_free_what_they_hold() -> None:
    async def main() -> None:
        freed = []

        async def target(item: int) -> None:
            try:
                await asyncio.sleep(50)
            finally:
                await asyncio.sleep(item)
                freed.append(item)

        batch = run([3, 4], target, LONG)
        waiting = asyncio.ensure_future(anext(batch))
        await asyncio.sleep(1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert now() == 1
        await asyncio.sleep(5)
        assert freed == [3, 4]

    play(main())


def test_two_batches_do_not_touch_each_other() -> None:
    async def main() -> None:
        sleeper = Sleeper()
        first, second = await asyncio.gather(
            replies([5, 6], sleeper, Bounds(2, 1)), replies([1, 7], sleeper, Bounds(20, 1))
        )
        assert [type(result) for _, result in first] == [DeadlineExceeded] * 2
        assert second == [(0, 1), (1, 7)]

    play(main())
