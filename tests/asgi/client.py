"""Calls an ASGI app as a server would, without a socket, and small apps to be called."""

import asyncio
import gc
import gzip
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from batchway.wire import App, Message, Receive, Scope, Send
from tests.loops import Clock, pass_time, settle, until

T = TypeVar("T")

Json = Any


class Answer(Struct):
    """What the app answered."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def json(self) -> Json:
        """The body, decoded and parsed."""
        body = gzip.decompress(self.body) if self.header("content-encoding") == "gzip" else self.body
        return msgspec.json.decode(body)

    def header(self, name: str) -> str | None:
        """The only header of that name, or None."""
        values = [value.decode() for key, value in self.headers if key == name.encode()]
        assert len(values) < 2, f"{name} came twice"
        return values[0] if values else None


class Client:
    """Sends requests to `app`; `scope` overrides what stands in every scope."""

    def __init__(self, app: App, /, **scope: Any) -> None:
        self.app = app
        self.scope = scope
        self.gone = asyncio.Event()
        """Set it, and the client has left."""

    async def batch(
        self,
        items: Sequence[Json],
        *,
        path: str = "/batch",
        outer: Iterable[tuple[str, str]] = (),
        **batch: Json,
    ) -> list[Json]:
        """The replies to a batch, which was not refused."""
        document = {"pipeline": [{"path": one} if isinstance(one, str) else one for one in items], **batch}
        answer = await self.request("POST", path, msgspec.json.encode(document), outer)
        assert answer.status == 200, answer
        replies: list[Json] = answer.json()
        assert len(replies) == len(items)
        return replies

    async def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        *,
        pieces: int = 1,
    ) -> Answer:
        """The answer to one request, whose body comes in so many pieces."""
        sent: list[Message] = []
        whole = asyncio.Event()
        size = -(-len(body) // pieces) or 1
        incoming = [body[start : start + size] for start in range(0, len(body), size)] or [b""]

        async def receive() -> Message:
            if incoming:
                piece = incoming.pop(0)
                return {"type": "http.request", "body": piece, "more_body": bool(incoming)}
            waits = [asyncio.ensure_future(event.wait()) for event in (whole, self.gone)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                whole.set()

        await self.app(http_scope(method, target, headers, **self.scope), receive, send)
        return _answer(sent)


def _answer(sent: Sequence[Message]) -> Answer:
    start, *parts = sent
    assert start["type"] == "http.response.start"
    assert all(part["type"] == "http.response.body" for part in parts)
    assert [bool(part.get("more_body")) for part in parts] == [True] * (len(parts) - 1) + [False]
    headers = [(bytes(name), bytes(value)) for name, value in start["headers"]]
    assert all(name == name.lower() for name, _ in headers)
    return Answer(start["status"], headers, b"".join(part.get("body", b"") for part in parts))


def http_scope(method: str, target: str, headers: Iterable[tuple[str, str]] = (), **more: Any) -> Scope:
    """A scope as uvicorn makes it: the path has `root_path` in front."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in [HOST, *headers]],
        "client": ("192.0.2.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        **more,
    }


HOST = ("host", "example.org")


class Lifespan:
    """Follows an app through its lifespan: `async with Lifespan(app) as state`."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self._in: asyncio.Queue[Message] = asyncio.Queue()
        self._out: asyncio.Queue[Message] = asyncio.Queue()

    async def __aenter__(self) -> dict[str, Any]:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        self._task = asyncio.create_task(_awaited(self.app(scope, self._in.get, self._out.put)))
        await self._pass("lifespan.startup")
        return self.state

    async def __aexit__(self, *_: object) -> None:
        await self._pass("lifespan.shutdown")
        await self._task

    async def _pass(self, kind: str) -> None:
        await self._in.put({"type": kind})
        answer = await self._out.get()
        assert answer["type"] == kind + ".complete", answer


async def _awaited(call: Awaitable[None]) -> None:
    await call


async def overdue(
    client: Client, items: Sequence[Json], begun: Callable[[], object] = lambda: True
) -> list[Json]:
    """The replies to a batch whose time is over once `begun` holds, and all has gone as far as it can."""
    asking = asyncio.create_task(client.batch(items, timeout=1_000_000))
    await until(begun)
    await settle(50)
    await pass_time(1001)
    return await asking


def run(main: Coroutine[Any, Any, T]) -> T:
    """The result of `main`, on a `Clock` of its own. Fails if tasks stay, or errors that nobody takes."""

    async def watched() -> T:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        try:
            result = await main
            left = asyncio.all_tasks() - {asyncio.current_task()}
            if left:  # what an app does after its response, or once cancelled, comes to its end
                _, left = await asyncio.wait(left, timeout=30)
            assert not left, left
            gc.collect(1)  # for the errors of tasks that nobody asked
            return result
        finally:
            assert not complaints, complaints

    with asyncio.Runner(loop_factory=Clock) as runner:
        return runner.run(watched())


# --- apps


async def reply(
    send: Send,
    body: bytes = b"",
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = ((b"content-type", b"text/plain"),),
) -> None:
    """Send a whole response."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what it was asked, as JSON."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    asked = {
        "method": scope["method"],
        "path": scope["path"],
        "raw_path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "body": body.decode(),
    }
    await reply(send, msgspec.json.encode(asked), headers=[(b"content-type", b"application/json")])


def by_path(**apps: Callable[[Scope, Receive, Send], Awaitable[None]]) -> App:
    """An app that hands `/name` to the app of that name; 404 for others."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found = apps.get(scope["path"].strip("/"))
        if found is None:
            await reply(send, b"nothing here", 404)
        else:
            await found(scope, receive, send)

    return app
