"""The data plane's app behind a listener: what the client sees of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from batchway.config import Address, ServerLimits
from batchway.errors import UpstreamBroken
from batchway.gateway import GatewayApp, Trust
from batchway.model import Request, Response, read_body
from batchway.server import protocol
from batchway.server.listener import Listener
from batchway.server.protocol import Bounds
from tests.integration.ports import free_port
from tests.loops import until

from .client import Client, get, post

Handler = Callable[[Request], Awaitable[Response]]


class Stream:
    """A body in pieces, that may break off."""

    def __init__(self, *pieces: bytes, breaks: bool = False) -> None:
        self.pieces = pieces
        self.breaks = breaks
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
            await asyncio.sleep(0)
        if self.breaks:
            message = "broken"
            raise UpstreamBroken(message)

    async def aclose(self) -> None:
        self.closed = True


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[tuple[Listener, Client]]:
    app = GatewayApp(handler, Trust())
    listener = Listener(Address("127.0.0.1", free_port()), app, Bounds(ServerLimits()))
    listener.start()
    with capture_logs():
        try:
            async with Client.to(listener.address.port) as client:
                yield listener, client
        finally:
            await listener.stop(0)


def test_length_of_what_is_not_sent_leaves_the_connection_usable(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async def handle(request: Request) -> Response:
            return Response(int(request.path[1:]), "", [(b"Content-Length", b"10")], None)

        async with serving(handle) as (_, client):
            for status in (204, 304, 204, 304):
                for method in (b"GET", b"HEAD"):
                    await client.send(get(f"/{status}").replace(b"GET", method, 1))
                    answer = await client.answer()
                    assert (answer.status, answer.body) == (status, b"")

    each_loop.run(main())


def test_answer_to_head_leaves_the_connection_usable(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async def handle(request: Request) -> Response:
            if request.method == "HEAD":
                return Response(200, "", [(b"Content-Length", b"10")], None)
            return Response(200, "", [], b"got")

        async with serving(handle) as (_, client):
            await client.send(get().replace(b"GET", b"HEAD", 1) + get())
            head = await client.head()
            assert b"content-length: 10" in head.lower()
            assert (await client.answer()).body == b"got"

    each_loop.run(main())


def test_body_that_breaks_off_breaks_the_connection(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        stream = Stream(b"one", b"two", breaks=True)

        async def handle(request: Request) -> Response:
            return Response(200, "", [], stream)

        async with serving(handle) as (_, client):
            await client.send(get())
            rest = await client.rest()
            assert b"one" in rest
            assert not rest.endswith(b"0\r\n\r\n"), "nobody may take it for whole"
            assert stream.closed

    each_loop.run(main())


def test_body_shorter_than_its_length_breaks_the_connection(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async def handle(request: Request) -> Response:
            return Response(200, "", [(b"Content-Length", b"10")], Stream(b"one", breaks=True))

        async with serving(handle) as (_, client):
            await client.send(get())
            assert (await client.rest()).endswith(b"one")

    each_loop.run(main())


@pytest.mark.parametrize(
    ("wire", "reads"),
    [
        pytest.param(get(), False, id="no body"),
        pytest.param(post(b"hi"), True, id="a body that is read"),
        pytest.param(post(b"hi"), False, id="a body that is not"),
        pytest.param(post(b"hi")[:-1], False, id="a part of a body"),
    ],
)
def test_client_that_leaves_takes_its_request_with_it(
    each_loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, wire: bytes, reads: bool
) -> None:
    """Also while a connection to the upstream is waited for, when nothing of the body is wanted yet."""
    for name in ("_LOOK_S", "_GONE_S"):
        monkeypatch.setattr(protocol, name, 0.01, raising=False)

    async def main() -> None:
        heard: list[str] = []

        async def handle(request: Request) -> Response:
            if reads:
                await read_body(request.body, 100)
            heard.append("begun")
            try:
                await asyncio.sleep(60)
            finally:
                heard.append("cancelled")
            return Response(200, "", [], b"")

        async with serving(handle) as (_, client):
            await client.send(wire)
            await until(lambda: heard)
            client.leave()
            await until(lambda: heard == ["begun", "cancelled"], "it is cancelled")

    each_loop.run(main())


def test_client_that_leaves_stops_a_stream(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        stream = Stream(*[b"x" * 1000] * 1_000_000)

        async def handle(request: Request) -> Response:
            return Response(200, "", [], stream)

        async with serving(handle) as (_, client):
            await client.send(get())
            await client.head()
            client.leave()
            await until(lambda: stream.closed)

    each_loop.run(main())


def test_end_of_the_grace_is_told(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def handle(request: Request) -> Response:
            begun.set()
            await asyncio.sleep(60)
            return Response(200, "", [], b"")

        async with serving(handle) as (listener, client):
            await client.send(get())
            await begun.wait()
            await listener.stop(0)
            answer = await client.answer()
            assert (answer.status, answer.error) == (503, "shutting down")
            assert await client.rest() == b""

    each_loop.run(main())
