"""Middleware: around calls and around batches, in order, and with the last word."""

import asyncio
from contextvars import ContextVar
from typing import Any

from structlog.testing import capture_logs

from batchway.rpc import Context, Middleware, Procedure, Proceed, Proxy, RpcApp, RpcError, method

from .asking import answer, ask, call, error, play, result, run

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


def noting(seen: list[str], name: str) -> Middleware:
    """Notes when it is entered and left."""

    async def middleware(context: Context, proceed: Proceed) -> Any:
        seen.append(f"> {name} {context.method}")
        try:
            return await proceed()
        finally:
            seen.append(f"< {name}")

    return middleware


async def refuse(context: Context, proceed: Proceed) -> Any:
    raise RpcError(401, "Unauthorized")


def test_the_first_is_outside_of_all_and_the_apps_outside_of_the_procedures() -> None:
    seen: list[str] = []

    class Tennis(Procedure):
        name = "tennis"
        middleware = (noting(seen, "procedure"),)

        @method(middleware=[noting(seen, "method")])
        async def ping(self) -> str:
            seen.append("ping")
            return "pong"

    app = RpcApp(
        [Tennis],
        middleware=[noting(seen, "first"), noting(seen, "second")],
        batch_middleware=[noting(seen, "batch")],
    )
    caller = Context(middleware=[noting(seen, "caller")])
    assert result(app, "tennis@ping", context=caller) == "pong"
    names = ["caller", "first", "second", "procedure", "method"]
    assert seen == [
        "> batch ",
        *[f"> {name} tennis@ping" for name in names],
        "ping",
        *[f"< {name}" for name in reversed(names)],
        "< batch",
    ]


def test_middleware_of_a_procedure_is_for_its_methods_only() -> None:
    class Locked(Proxy):
        name = "locked"
        middleware = (refuse,)

        @method
        async def known(self) -> int:
            return 1

        async def forward(self, method: str, params: Any, context: Context) -> int:
            return 2

    class Open(Procedure):
        name = "open"

        @method
        async def ping(self) -> int:
            return 3

    app = RpcApp([Locked, Open])
    said = answer(app, [call("locked@known"), call("locked@any"), call("open@ping")])
    assert [one.get("result", one.get("error")) for one in said] == [
        {"code": 401, "message": "Unauthorized"},
        {"code": 401, "message": "Unauthorized"},
        3,
    ]


def test_middleware_has_the_last_word_on_a_result() -> None:
    async def double(context: Context, proceed: Proceed) -> Any:
        return [await proceed(), context.params]

    async def recover(context: Context, proceed: Proceed) -> Any:
        try:
            return await proceed()
        except ZeroDivisionError:
            return "infinite"

    async def skip(context: Context, proceed: Proceed) -> Any:
        return "skipped" if context.state.get("skip") else await proceed()

    app = RpcApp(middleware=[skip, double, recover])

    @app.method
    async def halve(number: int) -> float:
        return 1 / number

    assert result(app, "halve", [2]) == [0.5, [2]]
    assert result(app, "halve", [0]) == ["infinite", [0]]
    assert result(app, "halve", [2], Context(state={"skip": True})) == "skipped"


def test_middleware_comes_before_params_are_looked_at() -> None:
    app = RpcApp(middleware=[refuse])

    @app.method
    async def add(a: int) -> int:
        return a

    assert error(app, "add", ["x"])["code"] == 401
    assert error(app, "nothing")["code"] == -32601


def test_what_middleware_sets_is_for_its_call_only() -> None:
    async def set_tenant(context: Context, proceed: Proceed) -> Any:
        tenant.set(context.params[0])
        context.state["tenant"] = context.params[0]
        await asyncio.sleep(0)
        return await proceed()

    app = RpcApp(middleware=[set_tenant])

    @app.method
    async def who(name: str, context: Context) -> list[str]:
        await asyncio.sleep(0)
        return [name, tenant.get(), context.state["tenant"]]

    said = answer(app, [call("who", ["a"]), call("who", ["b"]), call("who", ["c"])])
    assert [one["result"] for one in said] == [["a"] * 3, ["b"] * 3, ["c"] * 3]


# --- around a batch


def test_state_and_variables_of_a_batch_reach_its_calls() -> None:
    async def authenticate(context: Context, proceed: Proceed) -> None:
        context.state["user"] = context.headers["authorization"]
        tenant.set("a tenant")
        assert [entry.method for entry in context.calls] == ["who", None]
        await proceed()

    app = RpcApp(batch_middleware=[authenticate])

    @app.method
    async def who(context: Context) -> list[str]:
        return [context.state["user"], tenant.get()]

    said = answer(app, [call("who"), 1], Context(headers={"Authorization": "me"}))
    assert said[0]["result"] == ["me", "a tenant"]
    assert said[1]["error"]["code"] == -32600


def test_batch_that_is_refused_has_one_answer_and_runs_nothing() -> None:
    ran = []
    app = RpcApp(batch_middleware=[refuse])

    @app.method
    async def note() -> None:
        ran.append(1)

    unauthorized = {"code": 401, "message": "Unauthorized"}
    said = answer(app, [call("note", id=1), call("note", id=2)])
    assert said == {"jsonrpc": "2.0", "error": unauthorized, "id": None}
    assert answer(app, call("note", id="mine")) == {"jsonrpc": "2.0", "error": unauthorized, "id": "mine"}
    assert answer(app, [call("note", id=...), call("note", id=1)])["error"] == unauthorized
    assert answer(app, call("note", id=...)) is None
    assert answer(app, [call("note", id=...)]) is None
    assert ran == []


def test_batch_middleware_that_fails_is_an_internal_error() -> None:
    async def fail(context: Context, proceed: Proceed) -> None:
        await proceed()
        raise KeyError("secret")

    async def forget(context: Context, proceed: Proceed) -> None: ...

    async def twice(context: Context, proceed: Proceed) -> None:
        await proceed()
        await proceed()

    for middleware, complaint in (
        (fail, "'secret'"),
        (forget, "middleware around a batch has not run it, and raised nothing"),
        (twice, "middleware around a batch has run it twice"),
    ):
        app = RpcApp(batch_middleware=[middleware])
        with capture_logs() as logs:
            said = answer(app, [call("nothing")])
        assert str(logs[0]["exc_info"]) == complaint
        assert said["error"]["code"] == -32603
        assert list(said["error"]["data"]) == ["error_id"]


def test_middleware_may_time_calls_and_batches() -> None:
    took: dict[str, float] = {}

    async def timing(context: Context, proceed: Proceed) -> Any:
        begun = asyncio.get_running_loop().time()
        try:
            return await proceed()
        finally:
            took[context.method] = asyncio.get_running_loop().time() - begun

    app = RpcApp(middleware=[timing], batch_middleware=[timing])

    @app.method
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def main() -> None:
        await ask(app, [call("sleep", [0.01])])

    run(main())
    assert took[""] >= took["sleep"] >= 0.005


def test_time_of_a_batch_is_that_of_its_middleware_too() -> None:
    async def slow(context: Context, proceed: Proceed) -> None:
        await asyncio.sleep(3)
        await proceed()

    app = RpcApp(batch_middleware=[slow], timeout_s=5)

    @app.method
    async def sleep(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def main() -> None:
        said = await ask(app, [call("sleep", [1]), call("sleep", [3])])
        assert [one.get("result", one.get("error")) for one in said] == [
            "done",
            {"code": -32050, "message": "Batch timed out"},
        ]
        assert asyncio.get_running_loop().time() == 5
        await asyncio.sleep(0)

    play(main())


def test_middleware_that_hangs_costs_its_batch() -> None:
    async def hang(context: Context, proceed: Proceed) -> None:
        await proceed()
        await asyncio.sleep(1000)

    app = RpcApp(batch_middleware=[hang], timeout_s=5)

    @app.method
    async def ping() -> str:
        return "pong"

    async def main() -> None:
        said = await ask(app, [call("ping")])
        assert said == {
            "jsonrpc": "2.0",
            "error": {"code": -32050, "message": "Batch timed out"},
            "id": None,
        }
        assert asyncio.get_running_loop().time() == 6

    play(main())


def test_middleware_of_a_caller_is_around_prompt_methods_too() -> None:
    app = RpcApp()

    @app.method
    async def prompt() -> int:
        return 1

    assert result(app, "prompt") == 1
    assert error(app, "prompt", context=Context(middleware=[refuse]))["code"] == 401
