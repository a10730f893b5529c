"""The wire side that every ASGI app of ours shares: a request's body, a response, the lifespan."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Protocol, cast

import structlog

from batchway.errors import UpstreamError
from batchway.model import ClientGone, Response, error_response

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Pairs = Iterable[tuple[bytes, bytes]]


class Whole(Protocol):
    """A request that is there whole, and the way of its answer: what our own server has besides ASGI."""

    scope: Scope
    send: Send

    @property
    def gone(self) -> bool:
        """Whether the client has left; the task that works for it is cancelled then."""

    @property
    def response_started(self) -> bool:
        """Whether some of an answer is sent."""

    def take_body(self) -> bytes:
        """The request's body."""

    def answer(self, status: int, headers: Pairs, body: bytes | None) -> bool:
        """Send a whole answer; False if that would not go on to the client now, and nothing is sent."""


class WireBody:
    """The body of a request from the wire, in pieces; also hears of the client's leaving."""

    def __init__(
        self, headers: list[tuple[bytes, bytes]], receive: Receive, *, unannounced: bool = False
    ) -> None:
        """`unannounced`: read a body that no header speaks of too, as HTTP/2 may have it."""
        self._receive = receive
        self.length: int | None = None
        self.expected = unannounced
        """Whether the request has a body at all."""
        self.gone = False
        for name, value in headers:
            if name == b"content-length":
                self.length = int(value)
                self.expected = self.expected or self.length > 0
            elif name == b"transfer-encoding":
                self.expected = True
        self._whole = asyncio.Event()
        if not self.expected:
            self._whole.set()
        self._work: asyncio.Task[Any] | None = None
        self._ahead: asyncio.Task[Message] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = self.expected
        while more:
            message = await (self._ahead or self._receive())
            self._ahead = None
            if message["type"] == "http.disconnect":
                raise ClientGone
            more = message.get("more_body", False)
            if more:
                # One message ahead of the reader, so that the client's leaving is heard of also
                # while the reader is held up, by an upstream that does not read, say.
                self._ahead = asyncio.ensure_future(self._receive())
                self._ahead.add_done_callback(self._heard)
            else:
                self._whole.set()
            piece = message.get("body", b"")
            if piece:
                yield piece

    def _heard(self, ahead: "asyncio.Task[Message]") -> None:
        if not ahead.cancelled() and ahead.exception() is None:
            self._left(ahead.result())

    def _left(self, message: Message) -> bool:
        """Whether the message says that the client has left; then the work for it is cancelled."""
        if message["type"] != "http.disconnect":
            return False
        self.gone = True
        if self._work is not None:
            self._work.cancel()
        return True

    async def watch(self, work: "asyncio.Task[Any] | None") -> None:
        """Cancel `work` when the client leaves."""
        self._work = work
        try:
            await self._whole.wait()
            while not self._left(await self._receive()):
                pass
        finally:
            if self._ahead is not None:
                self._ahead.cancel()


_BODILESS = (204, 304)


async def send_whole(response: Response, exchange: Whole) -> None:
    """Send all of `response`: with one write, if its body is there."""
    body = response.body
    sendable = 200 <= response.status <= 599 and (body is None or isinstance(body, bytes))
    if not (sendable and exchange.answer(response.status, response.headers, cast("bytes | None", body))):
        await send_response(response, exchange.send)


async def send_response(response: Response, send: Send) -> None:
    """Send all of `response`, with a Content-Length where its length is known.

    A body that breaks off is left unfinished: the server then breaks the connection, so that the
    client cannot take what came for the whole.
    """
    if not 200 <= response.status <= 599:
        if response.body is not None and not isinstance(response.body, bytes):
            await response.body.aclose()
        response = error_response(UpstreamError("the upstream's status is none that HTTP has"))
    body = response.body
    start = {"type": "http.response.start", "status": response.status, "headers": _headers(response)}
    if body is None or isinstance(body, bytes):
        await send(start)
        bodiless = body is None or response.status in _BODILESS
        await send({"type": "http.response.body", "body": b"" if bodiless else body})
        return
    try:
        await send(start)
        async for piece in body:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except UpstreamError as error:
        log.warning("response cut off", error=error.message)
        return
    finally:
        await body.aclose()
    await send({"type": "http.response.body", "body": b""})


def _headers(response: Response) -> list[tuple[bytes, bytes]]:
    body, headers = response.body, response.headers
    if response.status in _BODILESS:
        # Servers count what they were announced, and here nothing may follow. RFC 9110, section 8.6
        return [pair for pair in headers if pair[0].lower() != b"content-length"]
    if isinstance(body, bytes) and not any(name.lower() == b"content-length" for name, _ in headers):
        return [*headers, (b"Content-Length", b"%d" % len(body))]
    return headers


async def serve_reads(
    scope: Scope, receive: Receive, send: Send, answer: Callable[[Scope], Response]
) -> None:
    """Serve one connection of an app that answers from what it knows: `answer` reads no body."""
    match scope["type"]:
        case "http":
            await send_response(answer(scope), send)
        case "lifespan":
            await follow_lifespan(receive, send)
        case _:
            await send({"type": "websocket.close", "code": 1000})


async def follow_lifespan(receive: Receive, send: Send) -> None:
    """Say yes to the server's lifespan messages until it shuts down."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
