"""Work after the response: the app's, bounded, and awaited when it is closed."""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest
import structlog

from batchway.rpc import Context, RpcApp, RpcError

from .asking import ask, call, play, run

variable: ContextVar[str] = ContextVar("variable", default="unset")


def app_with_work(**options: Any) -> tuple[RpcApp, list[str]]:
    app = RpcApp(**options)
    done: list[str] = []

    async def work(name: str, seconds: float = 0) -> None:
        await asyncio.sleep(seconds)
        done.append(name)

    @app.method
    async def order(name: str, context: Context, seconds: float = 0) -> str:
        context.after(work, name, seconds=seconds)
        done.append(f"{name} called")
        return name

    @app.method
    async def fail(name: str, context: Context) -> None:
        context.after(work, name)
        raise RpcError(1, "no")

    @app.method
    async def slow(name: str, context: Context) -> None:
        context.after(work, name)
        await asyncio.sleep(100)

    return app, done


def test_work_begins_after_the_response() -> None:
    async def main() -> None:
        app, done = app_with_work()
        said = await ask(app, [call("order", ["a"]), call("order", ["b"])])
        assert [one["result"] for one in said] == ["a", "b"]
        assert done == ["a called", "b called"]
        await app.aclose()
        assert done == ["a called", "b called", "a", "b"]

    play(main())


def test_transport_says_when_the_response_is_sent() -> None:
    async def main() -> None:
        app, done = app_with_work()
        answered = await app.answer(b'{"jsonrpc":"2.0","method":"order","params":["a"],"id":1}')
        await asyncio.sleep(10)
        assert done == ["a called"]
        app.release(answered)
        await asyncio.sleep(10)
        assert done == ["a called", "a"]

    play(main())


def test_work_of_a_notification_is_done() -> None:
    async def main() -> None:
        app, done = app_with_work()
        assert await ask(app, call("order", ["a"], ...)) is None
        await app.aclose()
        assert done == ["a called", "a"]

    play(main())


@pytest.mark.parametrize("method", ["fail", "slow"])
def test_work_of_a_call_that_failed_is_forgotten(method: str) -> None:
    async def main() -> None:
        app, done = app_with_work(timeout_s=1, max_background=1)
        for _ in range(3):  # its room is given back
            assert "error" in await ask(app, call(method, ["a"]))
            await asyncio.sleep(1)
        await ask(app, call("order", ["b"]))
        await app.aclose()
        assert done == ["b called", "b"]

    play(main())


def test_work_of_calls_that_worked_is_done_though_their_batch_is_cancelled() -> None:
    async def main() -> None:
        app, done = app_with_work()
        batch = asyncio.create_task(ask(app, [call("order", ["a"]), call("slow", ["b"])]))
        await asyncio.sleep(1)
        batch.cancel()
        with pytest.raises(asyncio.CancelledError):
            await batch
        await asyncio.sleep(0)
        await app.aclose()
        assert done == ["a called", "a"]

    play(main())


def test_too_much_work_is_refused_to_the_call_that_asks_for_it() -> None:
    async def main() -> None:
        app, done = app_with_work(max_background=2)
        said = await ask(app, [call("order", [str(number)], number) for number in range(4)])
        assert [one.get("error") for one in said] == [
            None,
            None,
            *[{"code": -32055, "message": "Server busy"}] * 2,
        ]
        await app.aclose()
        assert sorted(done) == ["0", "0 called", "1", "1 called"]
        assert "result" in await ask(app, call("order", ["again"]))
        await app.aclose()

    play(main())


def test_so_much_work_at_once_and_no_more() -> None:
    async def main() -> None:
        app = RpcApp(background_concurrency=2)
        running = most = 0

        async def work() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1

        @app.method
        async def order(context: Context) -> None:
            context.after(work)

        await ask(app, [call("order")] * 6)
        begun = asyncio.get_running_loop().time()
        await app.aclose()
        assert most == 2
        assert asyncio.get_running_loop().time() - begun == 3

    play(main())


def test_work_that_takes_too_long_at_the_end_is_cancelled() -> None:
    async def main() -> None:
        app, done = app_with_work(background_grace_s=5, background_concurrency=2)
        await ask(
            app, [call("order", [name, seconds]) for name, seconds in [("a", 1), ("b", 100), ("c", 100)]]
        )
        await ask(app, [call("order", ["d", 100])])
        done.clear()
        with structlog.testing.capture_logs() as logs:
            await app.aclose()
        assert done == ["a"]
        assert asyncio.get_running_loop().time() == 5
        assert logs == [
            {
                "event": "background work given up",
                "log_level": "warning",
                "cancelled": 2,
                "not_begun": 1,
            }
        ]

    play(main())


def test_work_that_fails_is_logged_and_keeps_its_neighbours() -> None:
    async def main() -> None:
        app = RpcApp(background_concurrency=1)
        done = []

        async def fail() -> None:
            raise KeyError("x")

        async def work() -> None:
            done.append("done")

        @app.method
        async def order(context: Context) -> None:
            context.after(fail)
            context.after(work)

        await ask(app, call("order"))
        with structlog.testing.capture_logs() as logs:
            await app.aclose()
        assert done == ["done"]
        assert [entry["event"] for entry in logs] == ["background work failed"]

    play(main())


def test_work_that_is_not_async_runs_in_a_thread() -> None:
    where: list[int] = []
    app = RpcApp()

    def work() -> None:
        where.append(threading.get_ident())

    @app.method
    async def order(context: Context) -> None:
        context.after(work)

    async def main() -> None:
        await ask(app, call("order"))
        await app.aclose()

    run(main())
    assert len(where) == 1
    assert where[0] != threading.get_ident()


def test_work_sees_the_variables_of_its_call() -> None:
    seen: list[str] = []
    app = RpcApp()

    async def work() -> None:
        seen.append(variable.get())

    @app.method
    async def order(name: str, context: Context) -> None:
        variable.set(name)
        context.after(work)

    async def main() -> None:
        await ask(app, [call("order", ["a"]), call("order", ["b"])])
        await app.aclose()

    run(main())
    assert seen == ["a", "b"]


def test_work_that_returns_a_coroutine_is_awaited() -> None:
    done: list[str] = []

    class Worker:
        async def __call__(self) -> None:
            done.append("object")

    async def work() -> None:
        done.append("coroutine")

    app = RpcApp()

    @app.method
    async def order(context: Context) -> None:
        context.after(Worker())
        context.after(lambda: work())

    async def main() -> None:
        await ask(app, call("order"))
        await app.aclose()

    run(main())
    assert sorted(done) == ["coroutine", "object"]
