"""How calls run: at once, in order, in time, in threads; and that nothing of them is left behind."""

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import Any

import pytest
from structlog.testing import capture_logs

from batchway.engine import running
from batchway.rpc import Context, Proxy, RpcApp
from tests.loops import Clock, pass_time, settle

from .asking import answer, ask, call, play, run

BATCH_TIMED_OUT = {"code": -32050, "message": "Batch timed out"}
CALL_TIMED_OUT = {"code": -32051, "message": "Call timed out"}

variable: ContextVar[str] = ContextVar("variable", default="unset")


def now() -> float:
    return asyncio.get_running_loop().time()


def sleeping(**options: Any) -> RpcApp:
    """An app whose method sleeps so many seconds, and returns when it began."""
    app = RpcApp(**options)

    @app.method
    async def sleep(seconds: float) -> float:
        begun = now()
        await asyncio.sleep(seconds)
        return begun

    return app


def test_calls_run_at_once_and_answers_keep_the_order() -> None:
    async def main() -> None:
        said = await ask(sleeping(), [call("sleep", [3], 1), call("sleep", [1], 2), call("sleep", [2], 3)])
        assert [(one["id"], one["result"]) for one in said] == [(1, 0), (2, 0), (3, 0)]
        assert now() == 3

    play(main())


def test_calls_run_within_their_bound() -> None:
    async def main() -> None:
        said = await ask(sleeping(concurrency=2), [call("sleep", [1], id) for id in range(5)])
        assert [one["result"] for one in said] == [0, 0, 1, 1, 2]

    play(main())


def test_sequential_calls_wait_for_those_before_them() -> None:
    async def main() -> None:
        said = await ask(sleeping(sequential=True), [call("sleep", [1], id) for id in range(3)])
        assert [one["result"] for one in said] == [0, 1, 2]

    play(main())


@pytest.mark.parametrize("sequential", [True, False])
def test_result_is_what_it_was_when_it_was_returned(sequential: bool) -> None:
    app = RpcApp(sequential=sequential)
    items: list[int] = []

    @app.method
    async def push(item: int) -> list[int]:
        items.append(item)
        return items

    @app.method
    async def push_later(item: int) -> list[int]:
        await asyncio.sleep(0)
        items.append(item)
        return items

    said = answer(
        app, [call("push", [1]), call("push", [2]), call("push_later", [3]), call("push_later", [4])]
    )
    assert [one["result"] for one in said] == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]


def test_duplicate_ids_are_answered_each_in_its_place() -> None:
    async def main() -> None:
        said = await ask(
            sleeping(), [call("sleep", [2], 1), call("nothing", None, 1), call("sleep", [1], 1)]
        )
        assert [one["id"] for one in said] == [1, 1, 1]
        assert ["result" in one for one in said] == [True, False, True]

    play(main())


# --- notifications


def test_notifications_run_and_are_not_answered_whatever_becomes_of_them() -> None:
    ran = []
    app = RpcApp(timeout_s=5)

    @app.method
    async def note(value: int) -> int:
        ran.append(value)
        if value == 2:
            raise KeyError(value)
        return value

    @app.method
    async def later(value: int) -> Any:
        await asyncio.sleep(value)
        ran.append(value)
        return object()  # which cannot be encoded

    async def main() -> None:
        notes = [
            call("note", [1], ...),
            call("note", [2], ...),
            call("later", [3], ...),
            call("later", [9], ...),
        ]
        assert await ask(app, [*notes, call("note", ["x"], ...), call("none", None, ...)]) is None
        assert ran == [1, 2, 3]
        await asyncio.sleep(0)  # by then the one that was too slow has stopped
        assert await ask(app, notes[0]) is None
        assert await ask(app, [notes[0], call("note", [7])]) == [{"jsonrpc": "2.0", "result": 7, "id": 1}]

    play(main())


# --- time


def test_batch_out_of_time_returns_what_is_finished() -> None:
    async def main() -> None:
        app = sleeping(timeout_s=5, concurrency=2)
        said = await ask(app, [call("sleep", [seconds], id) for id, seconds in enumerate([9, 1, 2, 8, 1])])
        assert now() == 5
        assert [one.get("result", one.get("error")) for one in said] == [
            BATCH_TIMED_OUT,
            0,
            1,
            BATCH_TIMED_OUT,
            BATCH_TIMED_OUT,
        ]
        assert [one["id"] for one in said] == [0, 1, 2, 3, 4]
        await asyncio.sleep(0)

    play(main())


def test_call_of_a_batch_out_of_time_is_cancelled() -> None:
    stopped = []
    app = RpcApp(timeout_s=1)

    @app.method
    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            stopped.append(now())

    async def main() -> None:
        assert (await ask(app, call("work")))["error"] == BATCH_TIMED_OUT
        await asyncio.sleep(0)
        assert stopped == [1]

    play(main())


def test_malformed_entries_and_late_ones_are_told_apart() -> None:
    async def main() -> None:
        said = await ask(
            sleeping(timeout_s=1, concurrency=1), [call("sleep", [5]), 1, call("sleep", [5], ...)]
        )
        assert [one["error"]["code"] for one in said] == [-32050, -32600]
        await asyncio.sleep(0)

    play(main())


def test_call_out_of_time_keeps_its_neighbours() -> None:
    async def main() -> None:
        app = sleeping()

        @app.method("limited", timeout=2)
        async def limited(seconds: float) -> str:
            async with asyncio.timeout(100):
                await asyncio.sleep(seconds)
            return "in time"

        said = await ask(app, [call("limited", [1]), call("limited", [3]), call("sleep", [4])])
        assert [one.get("result", one.get("error")) for one in said] == ["in time", CALL_TIMED_OUT, 0]
        assert now() == 4

    play(main())


def test_time_for_each_call_is_a_setting_that_a_method_may_override() -> None:
    async def main() -> None:
        app = sleeping(call_timeout_s=1)

        @app.method(timeout=5)
        async def patient() -> str:
            await asyncio.sleep(4)
            return "done"

        said = await ask(app, [call("sleep", [2]), call("patient")])
        assert [one.get("result", one.get("error")) for one in said] == [CALL_TIMED_OUT, "done"]

    play(main())


def test_proxies_have_no_more_time_than_methods() -> None:
    class Slow(Proxy):
        name = "slow"

        async def forward(self, method: str, params: Any, context: Context) -> None:
            await asyncio.sleep(100)

    async def main() -> None:
        app = RpcApp([Slow], call_timeout_s=1)
        assert (await ask(app, call("slow@any")))["error"] == CALL_TIMED_OUT

    play(main())


def test_timeout_of_the_methods_own_is_its_own_failure() -> None:
    async def main() -> None:
        app = RpcApp()

        @app.method(timeout=5)
        async def slow() -> None:
            async with asyncio.timeout(1):
                await asyncio.sleep(2)

        assert (await ask(app, call("slow")))["error"]["code"] == -32603

    play(main())


# --- tasks


def test_method_that_never_suspends_costs_no_task() -> None:
    app = RpcApp()
    most = 0

    async def inner() -> int:
        nonlocal most
        most = max(most, len(asyncio.all_tasks()))
        return 1

    @app.method
    async def at_once() -> int:
        return len(asyncio.all_tasks())

    @app.method
    async def awaits_but_never_suspends() -> int:
        return await inner()

    said = answer(app, [call("at_once") for _ in range(50)])
    assert {one["result"] for one in said} == {1}
    answer(app, [call("awaits_but_never_suspends") for _ in range(50)])
    assert most <= 2


def test_method_is_its_own_task_from_the_first_step() -> None:
    """Or else timeouts and task groups of its own would cancel the batch."""
    app = RpcApp()

    @app.method
    async def own_task() -> bool:
        before = asyncio.current_task()
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            pass
        return before is asyncio.current_task()

    @app.method
    async def group() -> str:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise KeyError

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await asyncio.sleep(10)
        except ExceptionGroup:
            return "failed"
        return "not failed"

    said = answer(app, [call("own_task"), call("group"), call("own_task")])
    assert [one["result"] for one in said] == [True, "failed", True]


def test_calls_that_wait_for_the_same_are_both_answered() -> None:
    app = RpcApp()
    loading: list[asyncio.Task[str]] = []

    async def load() -> str:
        await asyncio.sleep(0)
        return "loaded"

    @app.method
    async def get() -> str:
        if not loading:
            loading.append(asyncio.ensure_future(load()))
        return await loading[0]

    said = answer(app, [call("get") for _ in range(5)])
    assert [one["result"] for one in said] == ["loaded"] * 5


@pytest.mark.parametrize("kind", ["prompt", "inline", "suspending", "threaded"])
def test_variables_that_a_call_sets_are_its_own(kind: str) -> None:
    app = RpcApp()

    @app.method
    async def prompt(value: str) -> str:
        before = variable.get()
        variable.set(value)
        return before

    @app.method(inline=True)
    def inline(value: str) -> str:
        before = variable.get()
        variable.set(value)
        return before

    @app.method
    async def suspending(value: str) -> str:
        before = variable.get()
        variable.set(value)
        await asyncio.sleep(0)
        assert variable.get() == value
        return before

    @app.method
    def threaded(value: str) -> str:
        before = variable.get()
        variable.set(value)
        return before

    async def main() -> None:
        variable.set("caller")
        said = await ask(app, [call(kind, [str(number)]) for number in range(5)])
        assert [one["result"] for one in said] == ["caller"] * 5
        assert variable.get() == "caller"

    run(main())


@pytest.mark.parametrize("when", [0, 0.5])
def test_cancelling_the_batch_cancels_its_calls(when: float) -> None:
    app = sleeping()
    stopped = []

    @app.method
    async def work() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            stopped.append(now())
            raise

    async def main() -> None:
        batch = asyncio.create_task(ask(app, [call("work"), call("work")]))
        await asyncio.sleep(when)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        await asyncio.sleep(0)
        assert stopped == [when, when]
        assert now() == when

    play(main())


@pytest.mark.parametrize("suspends", [True, False])
def test_method_that_cancels_itself_fails_alone(suspends: bool) -> None:
    app = RpcApp()

    @app.method
    async def cancel() -> None:
        raise asyncio.CancelledError

    @app.method
    async def cancel_later() -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    @app.method
    async def fine() -> int:
        return 1

    with capture_logs() as logs:
        said = answer(app, [call("cancel_later" if suspends else "cancel"), call("fine")])
    assert said[0]["error"]["code"] == -32603
    assert said[0]["error"]["data"]["error_id"] == logs[0]["error_id"]
    assert said[1]["result"] == 1


def test_prompt_calls_go_on_after_one_has_failed() -> None:
    app = RpcApp()

    @app.method
    async def halve(number: int) -> float:
        return 1 / number

    said = answer(app, [call("halve", [number]) for number in (1, 0, 2, 0, 4)])
    assert [one.get("result") for one in said] == [1, None, 0.5, None, 0.25]


def test_others_get_their_turn_while_a_large_batch_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SLICE_S", 0.0)  # else a quick machine is through within one or two
    app = RpcApp(max_items=20_000, max_body_bytes=2**24)

    @app.method
    async def add(a: int, b: int) -> int:
        return a + b

    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        said = await ask(app, [call("add", [number, 1], number) for number in range(10_000)])
        assert [one["result"] for one in said] == list(range(1, 10_001))
        assert turns > 1
        beside.cancel()
        await asyncio.gather(beside, return_exceptions=True)

    run(main())


# --- threads


def test_synchronous_methods_run_in_threads_and_inline_ones_do_not() -> None:
    app = RpcApp()

    @app.method
    def threaded() -> int:
        return threading.get_ident()

    @app.method(inline=True)
    def inline() -> int:
        return threading.get_ident()

    said = answer(app, [call("threaded"), call("inline")])
    here = threading.get_ident()
    assert [one["result"] == here for one in said] == [False, True]


def test_no_more_threads_than_allowed_and_no_fewer() -> None:
    app = RpcApp(threads=3)
    lock = threading.Lock()
    as_many = threading.Barrier(3, timeout=30)
    running = most = 0

    @app.method
    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        as_many.wait()  # no fewer
        time.sleep(0.01)  # for one too many to begin
        with lock:
            running -= 1

    said = answer(app, [call("work") for _ in range(12)])
    assert all("result" in one for one in said)
    assert most == 3


def test_turns_for_threads_go_round_between_batches() -> None:
    app = RpcApp(threads=1)
    gate = threading.Event()
    order = []

    @app.method
    def work(who: str) -> None:
        gate.wait(30)
        order.append(who)

    async def main() -> None:
        large = asyncio.create_task(ask(app, [call("work", ["large"]) for _ in range(10)]))
        await settle()
        small = asyncio.create_task(ask(app, call("work", ["small"])))
        await settle()
        gate.set()
        await small
        await large

    run(main())
    assert order.index("small") <= 2


def test_too_many_that_wait_for_a_thread_are_told_so() -> None:
    app = RpcApp(threads=1, max_waiting=2)
    gate = threading.Event()

    @app.method
    def work() -> str:
        gate.wait(30)
        return "done"

    async def main() -> Any:
        batch = asyncio.create_task(ask(app, [call("work") for _ in range(5)]))
        await settle()
        gate.set()
        return await batch

    said = run(main())
    assert [one.get("result") for one in said].count("done") == 3
    assert [one["error"] for one in said if "error" in one] == [
        {"code": -32055, "message": "Server busy"}
    ] * 2


def test_thread_of_a_call_out_of_time_keeps_its_slot_until_it_ends() -> None:
    app = RpcApp(threads=1, timeout_s=50)
    gate = threading.Event()

    @app.method
    def work() -> None:
        gate.wait(30)

    @app.method
    def quick() -> str:
        return "done"

    async def main() -> None:
        for name in ("work", "quick"):
            asking = asyncio.create_task(ask(app, call(name)))
            await settle()
            await pass_time(51)
            assert (await asking)["error"] == BATCH_TIMED_OUT
        gate.set()
        assert (await ask(app, call("quick")))["result"] == "done"

    run(main(), Clock)


def test_thread_gives_its_slot_back_while_its_loop_stands_still() -> None:
    app = RpcApp(threads=1)
    gate = threading.Event()

    @app.method(timeout=0.01)
    def work() -> None:
        gate.wait(30)

    @app.method
    def quick() -> str:
        return "done"

    with asyncio.Runner() as still:
        assert still.run(ask(app, call("work")))["error"] == CALL_TIMED_OUT
        gate.set()
        assert run(ask(app, call("quick")))["result"] == "done"


@pytest.mark.parametrize("failure", [StopIteration(), SystemExit(), KeyError("x"), GeneratorExit()])
def test_whatever_a_thread_raises_is_that_calls_failure(failure: BaseException) -> None:
    app = RpcApp()

    @app.method
    def fail() -> None:
        raise failure

    @app.method
    def fine() -> int:
        return 1

    said = answer(app, [call("fail"), call("fine")])
    assert said[0]["error"]["code"] == -32603
    assert said[1]["result"] == 1


def test_function_that_returns_a_coroutine_is_awaited() -> None:
    app = RpcApp()

    async def inner(a: int) -> int:
        await asyncio.sleep(0)
        return a

    @app.method
    def outer(a: int) -> Any:
        return inner(a)

    assert answer(app, call("outer", [3]))["result"] == 3


def test_app_works_in_one_loop_after_another_and_once_closed() -> None:
    app = RpcApp(threads=1)

    @app.method(concurrency=1)
    def work(context: Context) -> str:
        context.after(print, end="")
        return "done"

    async def main() -> None:
        said = await ask(app, [call("work"), call("work")])
        assert [one["result"] for one in said] == ["done", "done"]
        await app.aclose()

    for _ in range(3):
        run(main())


def test_an_app_serves_loops_of_several_threads_at_once() -> None:
    app = RpcApp(threads=1, background_concurrency=1)
    done: list[int] = []

    @app.method
    def threaded(context: Context) -> None:
        context.after(done.append, 1)

    @app.method(concurrency=1)
    async def guarded() -> None:
        await asyncio.sleep(0.001)

    said: list[Any] = []

    async def main() -> None:
        said.extend(await ask(app, [call("threaded"), call("guarded")]))
        await app.finish_background()

    threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    run(app.aclose())
    assert ["result" in one for one in said] == [True] * 24
    assert len(done) == 12
