"""How an answer is written to a client, without a socket."""

import asyncio
import logging
from typing import Any, cast

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from batchway.server.exchange import Exchange


class Transport:
    """Takes down what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Wire:
    """An exchange whose request is there whole, and what comes of it. Made while a loop runs."""

    def __init__(
        self,
        method: str = "GET",
        version: str = "1.1",
        *,
        keep_alive: bool = True,
        default_headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        self.transport = Transport()
        self.answered = 0
        transport = cast(asyncio.Transport, self.transport)
        cycle = RequestResponseCycle(
            scope=cast(Any, {"type": "http", "method": method, "http_version": version}),
            transport=transport,
            flow=FlowControl(transport),
            logger=logging.getLogger("uvicorn.error"),
            access_logger=logging.getLogger("uvicorn.access"),
            access_log=False,
            default_headers=default_headers or [],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive and version != "1.0",
            on_response=self._count,
        )
        cycle.__class__ = Exchange
        self.exchange = cast(Exchange, cycle)
        self.exchange.more_body = False

    def _count(self) -> None:
        self.answered += 1

    @property
    def text(self) -> str:
        return b"".join(self.transport.written).decode("latin-1")

    async def start(self, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
        message = {"type": "http.response.start", "status": status, "headers": list(headers)}
        await self.exchange.send(message)

    async def piece(self, body: bytes, *, more: bool = True) -> None:
        await self.exchange.send({"type": "http.response.body", "body": body, "more_body": more})


LENGTH_2 = (b"Content-Length", b"2")


def test_whole_answer_is_one_write() -> None:
    async def main() -> None:
        wire = Wire()
        assert wire.exchange.answer(200, [(b"X-A", b"b")], b"hi")
        assert wire.transport.written == [b"HTTP/1.1 200 OK\r\nx-a: b\r\ncontent-length: 2\r\n\r\nhi"]
        assert (wire.exchange.response_complete, wire.answered, wire.transport.closed) == (True, 1, False)

    asyncio.run(main())


def test_asgi_answer_whose_body_follows_at_once_is_one_write() -> None:
    async def main() -> None:
        wire = Wire()
        await wire.start(200, LENGTH_2)
        await wire.piece(b"hi", more=False)
        assert wire.transport.written == [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"]
        await asyncio.sleep(0)
        assert len(wire.transport.written) == 1

    asyncio.run(main())


def test_head_does_not_wait_for_a_body_that_is_late() -> None:
    async def main() -> None:
        wire = Wire()
        await wire.start()
        await asyncio.sleep(0)
        assert wire.text == "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        await wire.piece(b"one")
        await wire.piece(b"", more=False)
        assert wire.transport.written[1:] == [b"3\r\none\r\n", b"0\r\n\r\n"]
        assert wire.answered == 1

    asyncio.run(main())


def test_large_body_is_not_copied() -> None:
    async def main() -> None:
        wire, body = Wire(), b"x" * 100_000
        wire.exchange.answer(200, [], body)
        assert wire.transport.written[1] is body

    asyncio.run(main())


@pytest.mark.parametrize("body", [None, b"hi"])
@pytest.mark.parametrize("status", [204, 304])
def test_answer_that_has_no_body(status: int, body: bytes | None) -> None:
    async def main() -> None:
        wire = Wire()
        wire.exchange.answer(status, [LENGTH_2], body)
        head, _, rest = wire.text.partition("\r\n\r\n")
        assert (rest, "content-length" in head, "transfer-encoding" in head) == ("", False, False)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("headers", "body", "framing"),
    [
        ([LENGTH_2], None, "content-length: 2\r\n"),
        ([LENGTH_2], b"hi", "content-length: 2\r\n"),
        ([], b"hi", "content-length: 2\r\n"),
        ([], None, ""),
    ],
)
def test_answer_to_head(headers: list[tuple[bytes, bytes]], body: bytes | None, framing: str) -> None:
    async def main() -> None:
        wire = Wire("HEAD")
        wire.exchange.answer(200, headers, body)
        assert wire.text == f"HTTP/1.1 200 OK\r\n{framing}\r\n"
        assert wire.answered == 1

    asyncio.run(main())


def test_answer_without_a_body_is_empty() -> None:
    async def main() -> None:
        wire = Wire()
        wire.exchange.answer(200, [], None)
        assert wire.text == "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"

    asyncio.run(main())


def test_of_unknown_length_it_ends_with_the_connection_of_an_old_client() -> None:
    async def main() -> None:
        wire = Wire(version="1.0")
        await wire.start()
        await wire.piece(b"one")
        await wire.piece(b"two", more=False)
        assert wire.text == "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nonetwo"
        assert wire.transport.closed

    asyncio.run(main())


@pytest.mark.parametrize("name", [b"Connection", b"connection"])
@pytest.mark.parametrize("value", [b"x, Close", b"close"])
def test_app_closes(name: bytes, value: bytes) -> None:
    async def main() -> None:
        wire = Wire()
        wire.exchange.answer(200, [(name, value)], b"hi")
        assert wire.transport.closed
        assert wire.text.count("\r\nconnection: close\r\n") == 1

    asyncio.run(main())


def test_server_closes() -> None:
    async def main() -> None:
        wire = Wire(keep_alive=False)
        wire.exchange.answer(200, [], b"hi")
        assert "\r\nconnection: close\r\n" in wire.text
        assert wire.transport.closed

    asyncio.run(main())


def test_headers_of_the_server_come_first() -> None:
    async def main() -> None:
        wire = Wire(default_headers=[(b"server", b"us")])
        wire.exchange.answer(200, [], b"hi")
        assert wire.text.startswith("HTTP/1.1 200 OK\r\nserver: us\r\ncontent-length")

    asyncio.run(main())


@pytest.mark.parametrize(
    "header",
    [
        (b"a\r\nb", b"c"), (b"a b", b"c"), (b"a:", b"c"), (b"a\x00", b"c"),
        (b"a", b"b\r\nc: d"), (b"a", b"b\nc"), (b"a", b"\x00"), (b"a", b"\x7f"), (b"a", b"\x01"),
    ],
)  # fmt: skip
def test_header_that_none_may_be(header: tuple[bytes, bytes]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [header]})

    async def main() -> None:
        wire = Wire()
        await wire.exchange.run_asgi(app)
        assert wire.text.startswith("HTTP/1.1 500 Internal Server Error\r\n")
        assert wire.transport.closed

    asyncio.run(main())


@pytest.mark.parametrize(
    "framing", [LENGTH_2, (b"Content-Length", b"two"), (b"Transfer-Encoding", b"chunked")]
)
def test_framing_of_a_head_that_cannot_be_sent_does_not_count(framing: tuple[bytes, bytes]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [framing, (b"a", b"b\nc")]})

    async def main() -> None:
        wire = Wire()
        await wire.exchange.run_asgi(app)
        head, _, body = wire.text.partition("\r\n\r\n")
        assert head.split("\r\n")[2:] == ["content-length: 21", "connection: close"]
        assert (body, wire.transport.closed) == ("Internal Server Error", True)

    asyncio.run(main())


@pytest.mark.parametrize("value", [b"a\tb", b"\xff", b"", b"a b"])
def test_header_that_may_be(value: bytes) -> None:
    async def main() -> None:
        wire = Wire()
        wire.exchange.answer(200, [(b"x", value)], b"")
        assert f"x: {value.decode('latin-1')}\r\n" in wire.text

    asyncio.run(main())


@pytest.mark.parametrize("body", [b"h", b"hi!"])
def test_body_that_is_not_as_long_as_announced_breaks_the_connection(body: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [LENGTH_2]})
        await send({"type": "http.response.body", "body": body})

    async def main() -> None:
        wire = Wire()
        await wire.exchange.run_asgi(app)
        await asyncio.sleep(0)
        assert wire.transport.closed
        assert (wire.answered, body.decode() in wire.text) == (0, False)

    asyncio.run(main())


def test_client_that_does_not_read_is_waited_for() -> None:
    async def main() -> None:
        wire = Wire()
        wire.exchange.flow.pause_writing()
        assert not wire.exchange.answer(200, [], b"hi")
        sending = asyncio.create_task(wire.start(200, LENGTH_2))
        await asyncio.sleep(0)
        assert not sending.done()
        wire.exchange.flow.resume_writing()
        await sending
        await wire.piece(b"hi", more=False)
        assert wire.text.endswith("\r\n\r\nhi")

    asyncio.run(main())


def test_client_that_has_left_gets_nothing() -> None:
    async def main() -> None:
        wire = Wire()
        wire.exchange.disconnected = True
        assert wire.exchange.gone
        assert wire.exchange.answer(200, [], b"hi")
        await wire.start()
        await asyncio.sleep(0)
        assert wire.transport.written == []

    asyncio.run(main())


@pytest.mark.parametrize("kinds", [["body"], ["start", "start"], ["start", "body", "body"]])
def test_messages_out_of_order(kinds: list[str]) -> None:
    async def main() -> None:
        wire = Wire("HEAD")
        *first, last = kinds
        for kind in first:
            await wire.exchange.send({"type": f"http.response.{kind}", "status": 200})
        with pytest.raises(RuntimeError, match="http.response"):
            await wire.exchange.send({"type": f"http.response.{last}", "status": 200})

    asyncio.run(main())


# --- an app that takes requests whole


class WholeApp:
    """Notes how it was called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def serve_whole(self, exchange: Exchange) -> None:
        self.calls.append(f"whole {exchange.take_body().decode()}")
        exchange.answer(200, [], b"")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append("asgi")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


@pytest.mark.parametrize(("more", "calls"), [(False, ["whole it"]), (True, ["asgi"])])
def test_request_that_is_there_whole(more: bool, calls: list[str]) -> None:
    async def main() -> None:
        wire, app = Wire(), WholeApp()
        wire.exchange.body += b"it"
        wire.exchange.more_body = more
        await wire.exchange.run_asgi(app)
        assert app.calls == calls
        assert wire.exchange.is_watched is not more
        assert wire.text == "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    asyncio.run(main())
