"""The clients that ask an app with no server."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import msgspec
import pytest

from batchway.rpc import (
    AnswerTimedOut,
    AsyncRpcTestClient,
    BadAnswer,
    Context,
    InvalidParams,
    MethodNotFound,
    Procedure,
    RpcApp,
    RpcError,
    RpcTestClient,
    method,
)

visitor: ContextVar[str] = ContextVar("visitor", default="nobody")


class User(msgspec.Struct):
    name: str
    age: int = 0


class Desk(Procedure):
    """Answers questions."""

    name = "desk"

    def __init__(self) -> None:
        self.done: list[str] = []

    @method
    async def ping(self) -> str:
        return "pong"

    @method
    async def add(self, a: int, b: int = 1) -> int:
        return a + b

    @method
    async def user(self) -> User:
        return User("Ada", 36)

    @method
    async def refuse(self) -> None:
        raise RpcError(7, "not today", {"until": "tomorrow"})

    @method
    async def who(self, context: Context) -> dict[str, Any]:
        return {
            "key": context.headers.get("X-Key"),
            "client": context.client,
            "transport": context.transport,
            "tenant": context.state.get("tenant"),
        }

    @method
    async def later(self, what: str, context: Context) -> None:
        context.after(self._do, what)

    async def _do(self, what: str) -> None:
        await asyncio.sleep(0.01)
        self.done.append(what)

    @method
    def blocking(self) -> bool:
        return threading.current_thread() is not threading.main_thread()

    @method
    async def hang(self) -> None:
        await asyncio.Event().wait()

    @method
    async def visitor(self) -> str:
        await asyncio.sleep(0)
        return visitor.get()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def app(desk: Desk) -> RpcApp:
    return RpcApp([desk])


@pytest.fixture
def client(app: RpcApp) -> Iterator[RpcTestClient]:
    with RpcTestClient(app) as client:
        yield client


def test_a_call_by_position_and_by_name(client: RpcTestClient) -> None:
    assert client.call("desk@add", 2, 3) == 5
    assert client.call("desk@add", a=2) == 3
    assert client.request("desk@add", {"a": 1, "b": 1}) == 2


def test_params_of_both_kinds_are_no_call(client: RpcTestClient) -> None:
    with pytest.raises(TypeError, match="not both"):
        client.call("desk@add", 1, b=2)


def test_errors_are_raised_with_code_message_and_data(client: RpcTestClient) -> None:
    with pytest.raises(RpcError) as refused:
        client.call("desk@refuse")
    error = refused.value
    assert (error.code, error.message, error.data) == (7, "not today", {"until": "tomorrow"})


def test_errors_of_the_specification_have_classes(client: RpcTestClient) -> None:
    with pytest.raises(MethodNotFound):
        client.call("desk@nope")
    with pytest.raises(InvalidParams) as refused:
        client.call("desk@add", "two")
    assert refused.value.data == {"a": ["expected integer, got string"]}


def test_results_have_the_type_that_is_asked_for(client: RpcTestClient) -> None:
    assert client.call("desk@user") == {"name": "Ada", "age": 36}
    assert client.call("desk@user", result_type=User) == User("Ada", 36)
    with pytest.raises(BadAnswer, match="desk@ping: the result is not what was expected"):
        client.call("desk@ping", result_type=User)


def test_background_work_is_done_before_the_answer_is_returned(client: RpcTestClient, desk: Desk) -> None:
    client.call("desk@later", "one")
    assert desk.done == ["one"]
    client.notify("desk@later", "two")
    assert desk.done == ["one", "two"]


def test_a_batch_collects_calls(client: RpcTestClient) -> None:
    with client.batch() as batch:
        pong = batch.call("desk@ping")
        total = batch.proxy("desk").add(2, 3)
        refused = batch.call("desk@refuse")
        batch.notify("desk@ping")
        user = batch.call("desk@user", result_type=User)
    assert (pong.result, total.result, user.result) == ("pong", 5, User("Ada", 36))
    assert isinstance(refused.error, RpcError)
    with pytest.raises(RpcError, match="not today"):
        _ = refused.result


def test_a_batch_of_a_list(client: RpcTestClient) -> None:
    replies = client.batch(["desk@ping", ("desk@add", [1, 2]), ("desk@add", {"a": 5}), "desk@nope"])
    assert [reply.result for reply in replies[:3]] == ["pong", 3, 6]
    assert isinstance(replies[3].error, MethodNotFound)


def test_a_reply_before_its_batch_is_sent_has_no_result(client: RpcTestClient) -> None:
    with client.batch() as batch:
        reply = batch.call("desk@ping")
        assert not reply.is_done
        with pytest.raises(RuntimeError, match="not sent yet"):
            _ = reply.result
    assert reply.is_done
    with pytest.raises(RuntimeError, match="sent already"):
        batch.call("desk@ping")


def test_a_batch_is_not_sent_if_its_block_raises(client: RpcTestClient, desk: Desk) -> None:
    def fail() -> None:
        with client.batch() as batch:
            batch.call("desk@later", "never")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert desk.done == []


def test_a_batch_of_one_is_an_array(app: RpcApp, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[bytes | str] = []
    handle = app.handle

    async def noting(body: bytes | str, context: Context | None = None) -> bytes | None:
        bodies.append(body)
        return await handle(body, context)

    monkeypatch.setattr(app, "handle", noting)
    with RpcTestClient(app) as client:
        client.batch(["desk@ping"])
        client.call("desk@ping")
        with client.batch():
            pass
    assert [bytes(body, "ascii") if isinstance(body, str) else body[:1] for body in bodies] == [b"[", b"{"]


def test_headers_state_and_client_reach_the_call(app: RpcApp) -> None:
    with RpcTestClient(app, headers={"x-key": "k"}, state={"tenant": 5}, client="10.0.0.1") as client:
        expected = {"key": "k", "client": "10.0.0.1", "transport": "test", "tenant": 5}
        assert client.call("desk@who") == expected
        client.headers["X-Key"] = "other"
        del client.headers["x-key"]
        client.state.clear()
        assert client.call("desk@who") == {**expected, "key": "other", "tenant": None}


def test_raw_bodies_are_answered_as_they_are(client: RpcTestClient) -> None:
    said = client.raw(b"[1")
    assert said == b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'
    assert client.raw([1])[0]["error"]["code"] == -32600
    assert client.raw({"jsonrpc": "2.0", "method": "desk@ping"}) is None
    assert client.raw(b'{"jsonrpc":"2.0","method":"desk@ping"}') is None


def test_context_variables_of_the_test_are_those_of_the_call(client: RpcTestClient) -> None:
    token = visitor.set("Ada")
    try:
        assert client.call("desk@visitor") == "Ada"
    finally:
        visitor.reset(token)
    assert client.call("desk@visitor") == "nobody"


def test_a_call_may_have_a_time_limit(client: RpcTestClient) -> None:
    with pytest.raises(AnswerTimedOut):
        client.request("desk@hang", timeout_s=0.01)


def test_synchronous_methods_run_in_threads(client: RpcTestClient) -> None:
    assert client.call("desk@blocking") is True


def test_without_with_it_needs_no_closing(app: RpcApp) -> None:
    assert RpcTestClient(app).call("desk@ping") == "pong"


def test_it_may_be_forgotten_where_a_loop_runs(app: RpcApp) -> None:
    clients = [RpcTestClient(app)]
    assert clients[0].call("desk@ping") == "pong"

    async def forget() -> None:
        clients.clear()
        gc.collect()

    asyncio.run(forget())


def test_it_is_gone_as_soon_as_it_is_forgotten(app: RpcApp) -> None:
    client = RpcTestClient(app)
    client.call("desk@ping")
    gone = weakref.ref(client)
    del client
    assert gone() is None, "not when the collector comes, in the middle of something else"


def test_where_a_loop_runs_it_says_what_to_use(client: RpcTestClient) -> None:
    async def ask() -> None:
        client.call("desk@ping")

    with pytest.raises(RuntimeError, match="AsyncRpcTestClient"):
        asyncio.run(ask())


def test_another_delimiter_is_for_proxies() -> None:
    app = RpcApp([Desk()], delimiter=".")
    with RpcTestClient(app, delimiter=".") as client:
        assert client.proxy("desk").ping() == "pong"


def test_async(app: RpcApp, desk: Desk) -> None:
    async def ask() -> None:
        async with AsyncRpcTestClient(app, headers={"x-key": "k"}) as client:
            assert await client.call("desk@add", 1, 2) == 3
            assert (await client.call("desk@who"))["key"] == "k"
            await client.notify("desk@later", "one")
            assert desk.done == ["one"]
            async with client.batch() as batch:
                pong = batch.call("desk@ping")
            assert pong.result == "pong"
            (total,) = await client.batch([("desk@add", [1])])
            assert total.result == 2
            assert await client.proxy("desk").ping() == "pong"
            assert (await client.raw(b"x") or b"").startswith(b'{"jsonrpc"')
            with pytest.raises(RpcError, match="not today"):
                await client.call("desk@refuse")

    asyncio.run(ask())


def test_an_app_with_another_profile_has_the_same_methods(app: RpcApp, desk: Desk) -> None:
    @app.method("plain")
    async def plain() -> int:
        return 3

    other = app.with_profile("sajya")
    assert (app.limits.max_items, other.limits.max_items) == (100, 30)
    with RpcTestClient(other) as client:
        assert client.raw({"jsonrpc": "2.0", "method": "plain", "id": 1}) == {
            "id": "1",
            "result": 3,
            "jsonrpc": "2.0",
        }
        client.call("desk@later", "in the other")
        assert client.call("rpc.discover") == {**app.openrpc()}
    assert desk.done == ["in the other"]


def test_what_was_set_stays_with_another_profile() -> None:
    class Service(RpcApp):
        shade = "green"

    app = Service([Desk], max_items=7, title="Desk", max_depth=5)
    app.shade = "blue"
    other = app.with_profile("sajya")
    assert isinstance(other, Service)
    assert other.connections is app.connections
    assert other.shade == "blue"
    assert (other.limits.max_items, other.limits.max_depth) == (7, 5)
    assert other.openrpc()["info"]["title"] == "Desk"
