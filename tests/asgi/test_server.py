"""The middleware under a real server, uvicorn, spoken to over a socket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from batchway.asgi import BatchMiddleware
from batchway.wire import App, Receive, Scope, Send

from .client import echo, reply, run

pytestmark = pytest.mark.integration


class Service:
    """An app with a lifespan, a slow path and work in the background."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self.events: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["path"] == "/slow":
            await self._wait()
        elif scope["path"] == "/background":
            await reply(send, scope["state"]["db"].encode())
            await asyncio.sleep(0.05)
            self.events.append("background")
        else:
            await echo(scope, receive, send)

    async def _wait(self) -> None:
        self.started.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.ended.set()

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        scope["state"]["db"] = "open"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.events.append("shutdown")
        await send({"type": "lifespan.shutdown.complete"})


@contextlib.asynccontextmanager
async def serve(app: App, **options: Any) -> AsyncIterator[int]:
    """uvicorn with `app`; gives its port."""
    config = uvicorn.Config(app, port=0, log_config=None, ws="none", lifespan="on", **options)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.005)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def post(port: int, body: bytes, *, path: str = "/batch", chunked: bool = False) -> list[Any]:
    """The replies to a batch that is sent over a connection of its own."""
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    if chunked:
        body = b"".join(b"%x\r\n%b\r\n" % (1, body[at : at + 1]) for at in range(len(body))) + b"0\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_head(path, framing) + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK"), head
    replies: list[Any] = json.loads(rest)
    return replies


def _head(path: str, framing: bytes) -> bytes:
    lines = b"POST %b HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n%b\r\n\r\n"
    return lines % (path.encode(), framing)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_batch_over_the_wire(chunked: bool) -> None:
    async def main() -> None:
        async with serve(BatchMiddleware(Service())) as port:
            body = b'{"pipeline":[{"path":"/a%20b?c=d"},{"path":"/e","method":"PUT","body":"f"}]}'
            first, second = [json.loads(one["body"]) for one in await post(port, body, chunked=chunked)]
        assert (first["path"], first["raw_path"], first["query"]) == ("/a b", "/a%20b", "c=d")
        assert first["headers"] == {"host": "example.org"}
        assert (second["method"], second["body"], second["headers"]["content-length"]) == ("PUT", "f", "1")

    run(main())


def test_a_client_that_leaves_cancels_its_items() -> None:
    async def main() -> None:
        service = Service()
        async with serve(BatchMiddleware(service)) as port:
            body = b'{"pipeline":[{"path":"/slow"}]}'
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_head("/batch", b"Content-Length: %d" % len(body)) + body)
            await asyncio.wait_for(service.started.wait(), 30)
            assert not service.ended.is_set()
            writer.close()
            await writer.wait_closed()
            await asyncio.wait_for(service.ended.wait(), 30)

    run(main())


def test_background_work_ends_before_the_app_shuts_down() -> None:
    async def main() -> None:
        service = Service()
        async with serve(BatchMiddleware(service)) as port:
            [one] = await post(port, b'{"pipeline":[{"path":"/background"}]}')
            assert one["body"] == "open"
        assert service.events == ["background", "shutdown"]

    run(main())


def test_behind_a_root_path() -> None:
    async def main() -> None:
        async with serve(BatchMiddleware(Service()), root_path="/api") as port:
            replies = await post(port, b'{"pipeline":[{"path":"/api/a"},{"path":"/a"}]}')
        assert [one["status"] for one in replies] == [200, 404]
        assert json.loads(replies[0]["body"])["raw_path"] == "/api/a"

    run(main())
