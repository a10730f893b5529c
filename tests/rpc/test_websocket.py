"""An app over WebSocket, under a client that is no server's: messages, notifications, and their bounds."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, Self

import pytest
from msgspec import UNSET, Raw
from structlog.testing import capture_logs

from batchway.errors import ConfigError
from batchway.rpc import Context, RpcApp
from batchway.wire import Message

from .asking import call, play, result, run


def make_app(**options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def echo(value: Any) -> Any:
        return value

    @app.method
    async def sleep(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "slept"

    @app.method
    async def count(to: int, context: Context) -> str:
        for number in range(to):
            await context.notify("counted", [number])
        return "done"

    @app.method
    async def look(context: Context) -> list[Any]:
        return [context.client, context.transport, context.headers.get("x-a"), context.state]

    return app


class Client:
    """One connection to an app. `reads`: what is sent to it is taken."""

    def __init__(self, app: RpcApp, *headers: tuple[bytes, bytes], **scope: Any) -> None:
        usual = {
            "type": "websocket",
            "headers": list(headers),
            "client": ("10.0.0.1", 5),
            "subprotocols": [],
        }
        self.scope = {**usual, **scope}
        self.app = app
        self.said: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.received = 0
        self.failure: Exception | None = None

    async def receive(self) -> Message:
        message = await self.said.get()
        self.received += 1
        return message

    async def send(self, message: Message) -> None:
        await self.reads.wait()
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)
        if message["type"] == "websocket.send":
            self.heard.put_nowait(json.loads(message.get("text") or message["bytes"]))

    async def __aenter__(self) -> Self:
        self.said.put_nowait({"type": "websocket.connect"})
        self.serving = asyncio.ensure_future(self.app(self.scope, self.receive, self.send))
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.reads.set()
        self.leave()
        await asyncio.wait_for(self.serving, 5)
        await asyncio.sleep(0)

    def say(self, said: Any) -> None:
        text = said if isinstance(said, str) else json.dumps(said)
        self.said.put_nowait({"type": "websocket.receive", "text": text})

    def leave(self) -> None:
        self.said.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def hear(self) -> Any:
        return await asyncio.wait_for(self.heard.get(), 1000)

    async def ask(self, said: Any) -> Any:
        self.say(said)
        return await self.hear()


def with_client(
    test: Callable[[Client], Coroutine[Any, Any, None]], app: RpcApp | None = None, **scope: Any
) -> list[Message]:
    """Run a test with a client; what was sent to it. Waiting takes no time there."""

    async def main() -> list[Message]:
        async with Client(app or make_app(), **scope) as client:
            await test(client)
        return client.sent

    return play(main())


# --- messages


def test_a_call_a_batch_and_what_is_neither() -> None:
    async def test(client: Client) -> None:
        assert await client.ask(call("echo", [1])) == {"jsonrpc": "2.0", "result": 1, "id": 1}
        found = await client.ask([call("echo", [1]), call("echo", [2], 2), call("echo", [3], ...)])
        assert [one["result"] for one in found] == [1, 2]
        assert (await client.ask("{"))["error"]["code"] == -32700
        assert (await client.ask([]))["error"]["code"] == -32600

    with_client(test)


def test_notifications_have_no_answer() -> None:
    async def test(client: Client) -> None:
        client.say(call("echo", [1], ...))
        client.say([call("echo", [1], ...)])
        assert (await client.ask(call("echo", [2])))["result"] == 2

    with_client(test)


def test_answer_is_of_the_kind_that_the_message_is() -> None:
    async def test(client: Client) -> None:
        client.said.put_nowait(
            {"type": "websocket.receive", "bytes": json.dumps(call("echo", ["ä"])).encode()}
        )
        assert (await client.hear())["result"] == "ä"
        assert (await client.ask(call("echo", ["ä"])))["result"] == "ä"

    _, binary, text = with_client(test)
    assert isinstance(binary["bytes"], bytes)
    assert isinstance(text["text"], str)


def test_slow_answer_is_of_the_kind_of_its_own_message() -> None:
    async def test(client: Client) -> None:
        client.say(call("sleep", [1], "text"))
        binary = json.dumps(call("sleep", [2], "binary")).encode()
        client.said.put_nowait({"type": "websocket.receive", "bytes": binary})
        assert [(await client.hear())["id"], (await client.hear())["id"]] == ["text", "binary"]

    _, text, binary = with_client(test)
    assert isinstance(text["text"], str)
    assert isinstance(binary["bytes"], bytes)


def test_message_that_is_too_large_is_refused() -> None:
    async def test(client: Client) -> None:
        assert (await client.ask(call("echo", ["x" * 100])))["error"]["code"] == -32053
        assert (await client.ask(call("echo", [1])))["result"] == 1

    with_client(test, make_app(max_body_bytes=100))


def test_quick_answers_overtake_slow_ones() -> None:
    async def test(client: Client) -> None:
        for id, seconds in ((1, 9), (2, 1), (3, 5)):
            client.say(call("sleep", [seconds], id))
        assert [(await client.hear())["id"] for _ in range(3)] == [2, 3, 1]

    with_client(test)


def test_call_knows_who_calls() -> None:
    async def test(client: Client) -> None:
        found = await client.ask(call("look"))
        assert found["result"] == ["10.0.0.1", "websocket", "b", {"db": 1}]

    with_client(test, headers=[(b"x-a", b"b")], state={"db": 1})


def test_work_begins_when_the_answer_is_sent() -> None:
    app = make_app()

    async def work(context: Context) -> None:
        await context.notify("worked")

    @app.method
    async def order(context: Context) -> str:
        context.after(work, context)
        return "ordered"

    async def test(client: Client) -> None:
        assert (await client.ask(call("order")))["result"] == "ordered"
        assert await client.hear() == {"jsonrpc": "2.0", "method": "worked"}
        await app.aclose()

    with_client(test, app)


# --- bounds


def test_only_so_many_messages_run_at_once() -> None:
    app = make_app(connection_concurrency=3)
    running = []

    @app.method
    async def work() -> int:
        running.append(1)
        most = len(running)
        await asyncio.sleep(1)
        running.pop()
        return most

    async def test(client: Client) -> None:
        for _ in range(10):
            client.say(call("work"))
        await asyncio.sleep(0.5)
        assert client.received == 5  # the handshake, three that run, and one that waits
        assert max([(await client.hear())["result"] for _ in range(10)]) == 3

    with_client(test, app)


def test_client_that_does_not_read_is_read_no_further() -> None:
    async def test(client: Client) -> None:
        client.reads.clear()
        for _ in range(10):
            client.say(call("echo", [1]))
        await asyncio.sleep(20)
        assert client.received == 5
        client.reads.set()
        for _ in range(10):
            await client.hear()

    with_client(test, make_app(connection_concurrency=3))


@pytest.mark.parametrize("hears_of_it", [True, False])
def test_client_that_never_reads_is_given_up(hears_of_it: bool) -> None:
    async def test(client: Client) -> None:
        client.reads.clear()
        client.say(call("echo", [1]))
        client.say(call("sleep", [99]))
        await asyncio.sleep(30.5)
        if hears_of_it:
            client.reads.set()
        await asyncio.sleep(1)
        assert client.serving.done()

    with capture_logs() as logs:
        sent = with_client(test)
    assert [entry["event"] for entry in logs] == ["connection closed"]
    assert sent[1:] == ([{"type": "websocket.close", "code": 1013}] if hears_of_it else [])


def test_client_that_leaves_takes_its_calls_with_it() -> None:
    app = make_app()
    stopped = []

    @app.method
    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            stopped.append(1)

    async def test(client: Client) -> None:
        client.say(call("work"))
        client.say([call("work"), call("work")])
        await asyncio.sleep(1)
        client.leave()
        await client.serving
        assert stopped == [1, 1, 1]
        assert len(app.connections) == 0

    sent = with_client(test, app)
    assert [message["type"] for message in sent] == ["websocket.accept"]


@pytest.mark.parametrize("error", [OSError, RuntimeError])
def test_client_that_is_found_gone_takes_its_calls_with_it(error: type[Exception]) -> None:
    async def test(client: Client) -> None:
        client.say(call("sleep", [20]))
        await asyncio.sleep(1)
        client.failure = error()
        client.say(call("echo", [1]))
        await asyncio.sleep(1)
        assert client.serving.done()

    with_client(test)


def test_server_that_cancels_is_heard() -> None:
    async def main() -> None:
        client = Client(make_app())
        await client.__aenter__()
        client.say(call("sleep", [100]))
        await asyncio.sleep(0.01)
        client.serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.serving
        await asyncio.sleep(0)

    run(main())


# --- notifications to clients


def test_notifications_come_before_the_answer() -> None:
    async def test(client: Client) -> None:
        client.say(call("count", [2]))
        assert [await client.hear() for _ in range(3)] == [
            {"jsonrpc": "2.0", "method": "counted", "params": [0]},
            {"jsonrpc": "2.0", "method": "counted", "params": [1]},
            {"jsonrpc": "2.0", "result": "done", "id": 1},
        ]

    with_client(test)


def test_notifying_waits_for_the_reader() -> None:
    app = make_app()
    sent = []

    @app.method
    async def flood(context: Context) -> None:
        for number in range(100):
            await context.notify("n", {"number": number})
            sent.append(number)

    async def test(client: Client) -> None:
        client.reads.clear()
        client.say(call("flood"))
        await asyncio.sleep(10)
        assert sent == []
        client.reads.set()
        assert [(await client.hear())["params"]["number"] for _ in range(100)] == list(range(100))
        await client.hear()

    with_client(test, app)


def test_methods_in_threads_notify_too() -> None:
    app = make_app()

    @app.method
    def count_down(start: int, context: Context) -> str:
        for number in range(start, 0, -1):
            context.notify_from_thread("counted", [number])
        return "done"

    @app.method
    async def wrongly(context: Context) -> None:
        with pytest.raises(RuntimeError, match="await notify"):
            context.notify_from_thread("counted", [1])

    async def main() -> None:
        async with Client(app) as client:
            client.say(call("count_down", [2]))
            found = [await client.hear() for _ in range(3)]
            assert [one.get("params") for one in found] == [[2], [1], None]
            assert (await client.ask(call("wrongly")))["result"] is None

    run(main())


def test_nobody_is_notified_over_http() -> None:
    app = make_app()
    found = []

    @app.method
    async def try_it(context: Context) -> None:
        with pytest.raises(RuntimeError, match=r"notify\(\) is for clients of a WebSocket"):
            await context.notify("n")
        with pytest.raises(RuntimeError, match=r"notify\(\) is for clients of a WebSocket"):
            context.notify_from_thread("n")
        found.append(context.connection)

    result(app, "try_it", None, Context(transport="http"))
    assert found == [None]


def test_nobody_is_notified_who_has_left() -> None:
    app = make_app()
    found: list[Context] = []

    @app.method
    async def keep(context: Context) -> None:
        found.append(context)

    async def test(client: Client) -> None:
        await client.ask(call("keep"))
        client.leave()
        await client.serving
        with pytest.raises(ConnectionError, match="closed"):
            await found[0].notify("n")

    with_client(test, app)


@pytest.mark.parametrize("params", [1, None, "text", Raw(b"true")])
def test_params_of_a_notification_are_an_array_or_an_object(params: Any) -> None:
    app = make_app()
    with pytest.raises(TypeError, match="params: expected an array or an object"):
        run(app.broadcast("n", params))


def test_broadcast_reaches_all_who_are_there() -> None:
    async def main() -> None:
        app = make_app()
        assert await app.broadcast("n") == 0
        async with Client(app) as one, Client(app) as other, Client(app) as leaver:
            leaver.leave()
            await leaver.serving
            assert len(app.connections) == 2
            assert await app.broadcast("n", {"a": 1}) == 2
            assert await app.broadcast("m", UNSET) == 2
            for client in (one, other):
                assert await client.hear() == {"jsonrpc": "2.0", "method": "n", "params": {"a": 1}}
                assert await client.hear() == {"jsonrpc": "2.0", "method": "m"}

    play(main())


def test_broadcast_waits_for_nobody_and_closes_who_falls_behind() -> None:
    async def main() -> None:
        app = make_app(max_unsent_bytes=1000)
        async with Client(app) as slow, Client(app) as quick:
            slow.reads.clear()
            reached = []
            for number in range(100):
                reached.append(await app.broadcast("n", [number, "x" * 150]))
                assert (await quick.hear())["params"][0] == number
            assert reached == [2] * 5 + [1] * 95
            assert asyncio.get_running_loop().time() == 0
            slow.reads.set()
            await slow.serving
            assert slow.sent[-1] == {"type": "websocket.close", "code": 1013}

    with capture_logs():
        play(main())


def test_broadcast_larger_than_the_bound_reaches_who_has_read_all() -> None:
    async def test(client: Client) -> None:
        for _ in range(2):
            await client.app.broadcast("n", ["x" * 5000])
            await client.hear()

    with_client(test, make_app(max_unsent_bytes=1000))


# --- the handshake


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        ([], None),
        (["jsonrpc"], "jsonrpc"),
        (["graphql", "jsonrpc-2.0", "jsonrpc"], "jsonrpc-2.0"),
        (["graphql"], None),
    ],
)
def test_subprotocol(offered: list[str], spoken: str | None) -> None:
    async def test(client: Client) -> None:
        await client.ask(call("echo", [1]))

    sent = with_client(test, subprotocols=offered)
    assert sent[0] == {"type": "websocket.accept", "subprotocol": spoken}


def is_let_in(origin: bytes | None, host: bytes | None, *allowed: str) -> bool:
    headers = [(b"origin", origin), (b"host", host)]

    async def main() -> bool:
        given = [(name, value) for name, value in headers if value is not None]
        async with Client(make_app(allowed_origins=allowed), *given) as client:
            await asyncio.sleep(0)
        assert client.sent[0]["type"] in ("websocket.accept", "websocket.close")
        return bool(client.sent[0]["type"] == "websocket.accept")

    return run(main())


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, b"localhost:8000"),
        (None, None),
        (b"http://localhost:8000", b"localhost:8000"),
        (b"https://Example.com", b"example.COM"),
    ],
)
def test_own_pages_and_what_is_no_browser_are_let_in(origin: bytes | None, host: bytes | None) -> None:
    assert is_let_in(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"https://evil.example", b"localhost:8000"),
        (b"http://localhost:8001", b"localhost:8000"),
        (b"http://localhost", b"localhost:8000"),
        (b"https://localhost:8000.evil.example", b"localhost:8000"),
        (b"null", b"localhost:8000"),
        (b"null", b""),
        (b"", b"localhost:8000"),
        (b"", None),
        (b"http://", b""),
    ],
)
def test_pages_of_other_sites_are_not(origin: bytes, host: bytes | None) -> None:
    assert not is_let_in(origin, host)


def test_pages_of_other_sites_that_are_allowed() -> None:
    allowed = ("https://App.example", "http://localhost:3000")
    assert is_let_in(b"https://app.example", b"api.example", *allowed)
    assert is_let_in(b"http://localhost:3000", b"api.example", *allowed)
    assert not is_let_in(b"http://app.example", b"api.example", *allowed)
    assert not is_let_in(b"https://app.example:444", b"api.example", *allowed)
    assert is_let_in(b"null", b"api.example", "*")


@pytest.mark.parametrize(
    "allowed", ["https://app.example", ["app.example"], ["https://app.example/"], ["https://"], [""]]
)
def test_what_is_no_origin_is_told_so(allowed: Any) -> None:
    with pytest.raises(ConfigError, match="allowed_origins: "):
        RpcApp(allowed_origins=allowed)
