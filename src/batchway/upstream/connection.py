"""One HTTP/1.1 connection to an upstream: one exchange at a time, never two answers for one request.

Source: RFC 9112. httptools (llhttp, strict) finds the boundaries; what it does not know is decided here:
answers to HEAD, bodies that end with the connection, interim answers, what came too much.
"""

import asyncio
import select
from typing import Any, Protocol, cast

import httptools

from batchway.errors import BatchwayError, ReplyTooLarge, UpstreamBroken, UpstreamTimeout
from batchway.model import REASONS, Response, without_nominated
from batchway.upstream.exchange import CODED, LENGTH, NOMINATES, Exchange, meaning_of, spelled
from batchway.upstream.stream import ResponseStream

_NEVER = float("inf")
_SPACES = frozenset({b" ", b"\t"})
_NAMES_NO_HEADER = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})


class Owner(Protocol):
    """What a connection tells its pool."""

    max_header_bytes: int

    def watch(self, connection: "Connection") -> None:
        """The connection's `expires` has come nearer."""

    def free(self, connection: "Connection", *, reusable: bool) -> None:
        """The exchange is over; `reusable` if the connection may serve another."""

    def lost(self, connection: "Connection") -> None:
        """The connection is closed."""


class Connection(asyncio.Protocol):
    """Owned by a pool. `send` starts an exchange; its future gets the response or the error."""

    __slots__ = (
        "_budget", "_chunks", "_close_after", "_closed", "_complete", "_drained", "_excess",
        "_failure", "_future", "_has_grown", "_has_length", "_head_bytes", "_head_done", "_headers",
        "_idle_bytes", "_loop", "_no_body", "_nominated", "_owner", "_parser", "_poll", "_read_timeout_s",
        "_reason", "_received", "_send_timeout_s", "_status", "_stream", "_uploading", "expires",
        "idle_since", "served", "transport",
    )  # fmt: skip

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._future: asyncio.Future[Response] | None = None
        self._stream: ResponseStream | None = None
        self._closed = False
        self._drained: asyncio.Future[None] | None = None
        self._uploading = False
        self._head_bytes = 0
        self._failure: BatchwayError | None = None
        self.expires = _NEVER
        """Loop time at which the exchange is given up."""
        self.idle_since = 0.0
        self.served = 0
        """Exchanges begun on this connection."""

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    @property
    def closed(self) -> bool:
        """Whether no more can be sent."""
        return self._closed

    @property
    def answering(self) -> bool:
        """Whether any byte of an answer has come since the exchange began."""
        return self._head_bytes > 0

    def usable(self) -> bool:
        """Whether an idle connection is still good: open, and with nothing to read.

        A closed one is readable, and so is one whose server has sent what nobody asked for. Asks the
        kernel, since the event loop may not have heard of it yet.
        """
        return not self._closed and not self._poll.poll(0)

    def close(self) -> None:
        """Close at once; a running exchange fails."""
        self.fail(UpstreamBroken("the connection to the upstream was closed"))

    def connection_lost(self, exc: Exception | None) -> None:
        ended_cleanly = exc is None
        if ended_cleanly and self._head_done_until_eof():
            self._complete = True
            self._close_after = True
            self._deliver()
        self.fail(UpstreamBroken("the upstream closed the connection before its answer was whole"))
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._owner.lost(self)
        # Parser and transport know us as we know them: such a circle would wait for the collector.
        self._parser = self.transport = cast(Any, None)

    def _head_done_until_eof(self) -> bool:
        """Whether the answer is one that ends with the connection. RFC 9112, section 6.3, rule 8."""
        return self._in_exchange() and self._head_done and not self._has_length

    def _in_exchange(self) -> bool:
        return self._future is not None or self._stream is not None

    # --- an exchange

    def send(self, exchange: Exchange) -> "asyncio.Future[Response]":
        """Write the request; the future gets its Response, or an UpstreamError.

        Only while the connection is not `closed`. Whoever stops waiting for the future must call
        `abandon` with it.
        """
        self._budget = exchange.budget
        self._no_body = exchange.no_body
        self._read_timeout_s = exchange.read_timeout_s
        self._send_timeout_s = exchange.send_timeout_s
        self._reset()
        self.served += 1
        self._head_bytes = 0
        self._excess = self._close_after = self._uploading = False
        self._failure = None
        self._future = self._loop.create_future()
        self.expires = self._loop.time() + exchange.read_timeout_s
        self._owner.watch(self)
        self.transport.write(exchange.head + exchange.body if exchange.body else exchange.head)
        return self._future

    def abandon(self, waited_for: "asyncio.Future[Response]") -> None:
        """Nobody waits for the answer any more: close, unless the exchange is over by now."""
        if self._future is waited_for:
            self.close()
        elif self._stream is not None and self._stream.answers(waited_for):
            self.close()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self._nominated: tuple[bytes, ...] = ()
        self._reason = b""
        self._status = self._received = self._idle_bytes = 0
        self._head_done = self._complete = self._has_length = self._has_grown = False

    def begin_upload(self) -> None:
        """The body follows through `write`: the upstream need not answer before `end_upload`."""
        self._uploading = True
        self.expires = _NEVER

    async def write(self, data: bytes) -> bool:
        """Send a piece of the body, waiting for room; False if the upstream wants no more of it."""
        if self._closed or not self._uploading:
            return False
        self.transport.write(data)
        if self._drained is not None:
            await self._drained
        return not self._closed and self._uploading

    def end_upload(self) -> None:
        """The body is whole; from here the upstream's read timeout counts."""
        if self._uploading:
            self._uploading = False
            self._expire_in(self._read_timeout_s)

    def pause_writing(self) -> None:
        self._drained = self._loop.create_future()
        self._expire_in(self._send_timeout_s)

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self._uploading:
            self.expires = _NEVER
        else:
            self._expire_in(self._read_timeout_s)

    def _expire_in(self, seconds: float) -> None:
        self.expires = self._loop.time() + seconds
        self._owner.watch(self)

    def time_out(self) -> None:
        """Give the exchange up, unless it is our reader who is slow."""
        if self._stream is not None and self._stream.paused:
            self._expire_in(self._read_timeout_s)
            return
        self.fail(UpstreamTimeout("the upstream took too long"))

    def fail(self, error: BatchwayError) -> None:
        """End the exchange with `error` and close the connection: a late answer dies with it."""
        self.expires = _NEVER
        self._failure = None  # whoever catches it holds us: no circle
        future, self._future = self._future, None
        stream, self._stream = self._stream, None
        if future is not None:
            if self._budget is not None:
                self._budget.give_back(self._received)
            if not future.done():
                future.set_exception(error)
        if stream is not None:
            stream.end(error)
        if not self._closed:
            self._closed = True
            self.transport.abort()

    # --- what arrives

    def data_received(self, data: bytes) -> None:
        if self._future is None and self._stream is None:  # nobody asked
            self.close()
            return
        was_in_head = not self._head_done
        self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._complete:
                self.fail(self._failure or UpstreamBroken("the upstream's answer is not HTTP/1.1"))
                return
            self._excess = True  # the answer is whole; what came after it is not ours
        if was_in_head and self._head_bytes > self._owner.max_header_bytes:
            self._measure_head()
        if self._failure is not None:
            self.fail(self._failure)
        elif self._complete:
            self._deliver()
        elif self._head_done:
            self._go_on(len(data))

    def _measure_head(self) -> None:
        """Refuse a head that is too large, whether it came at once or bit by bit."""
        size = self._head_bytes
        if self._head_done:  # some of what came is body
            size = sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > self._owner.max_header_bytes:
            self._failure = UpstreamBroken("the headers of the upstream's answer are too large")

    def _go_on(self, size: int) -> None:
        """More of the body is to come."""
        self._idle_bytes = 0 if self._has_grown else self._idle_bytes + size
        self._has_grown = False
        if self._idle_bytes > self._owner.max_header_bytes:  # trailers or chunk extensions for ever
            self.fail(UpstreamBroken("the upstream sends what is no body"))
            return
        if self._budget is None:
            self._stream_chunks()
        if not self._uploading:
            self._expire_in(self._read_timeout_s)

    def _stream_chunks(self) -> None:
        if self._stream is None:
            future = self._answer()
            self._stream = ResponseStream(self, future)
            self._resolve(future, self._stream)
        self._stream.feed(self._chunks)
        self._chunks = []

    def _deliver(self) -> None:
        """The answer is whole: hand it over, then hand the connection back."""
        self.expires = _NEVER
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.feed(self._chunks)
            stream.end(None)
        else:
            chunks = self._chunks
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._resolve(self._answer(), None if self._bodiless() else body)
        self._chunks = []
        if self._no_body:
            # The old one still expects the body that a HEAD's answer speaks of.
            self._parser = httptools.HttpResponseParser(self)
        # A request that is still being written cannot be followed by another.
        reusable = not (
            self._close_after
            or self._excess
            or self._uploading
            or self._closed
            or self.transport.get_write_buffer_size()
        )
        if not reusable and not self._closed:
            self._closed = True
            self.transport.abort()  # what of the request is still unsent is wanted by nobody
        self._uploading = False
        self._owner.free(self, reusable=reusable)

    def _bodiless(self) -> bool:
        return self._no_body or self._status in (204, 304)

    def _answer(self) -> "asyncio.Future[Response]":
        """The future that waits for the answer, which is the exchange's no more."""
        future, self._future = self._future, None
        return cast("asyncio.Future[Response]", future)

    def _resolve(self, future: "asyncio.Future[Response]", body: bytes | ResponseStream | None) -> None:
        if not future.done():
            reason = self._reason.decode("latin-1") or REASONS.get(self._status, "")
            future.set_result(Response(self._status, reason, self._headers, body))
        elif self._budget is not None:  # cancelled: nobody will have these bytes
            self._budget.give_back(self._received)

    # --- callbacks of the parser

    def on_message_begin(self) -> None:
        if self._complete:
            self._excess = True

    def on_status(self, status: bytes) -> None:
        if not self._complete:
            self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:  # a trailer: read and dropped, as APISIX does
            return
        meaning = spelled.get(name)
        if meaning is None:
            meaning = meaning_of(name)
        if meaning:
            self._heed(meaning, value)
            if meaning != LENGTH:
                return
        if value[-1:] in _SPACES:  # RFC 9110, section 5.5: no part of the value; llhttp leaves it there
            value = value.rstrip(b" \t")
        self._headers.append((name, value))

    def _heed(self, meaning: int, value: bytes) -> None:
        """Take note of a header that is about the connection or the body's end."""
        if meaning == NOMINATES and value not in _NAMES_NO_HEADER:
            self._nominated += (value,)
        elif meaning == LENGTH:
            self._has_length = True
        elif meaning == CODED:
            self._has_length = True
            # The parser would read on for the chunks that an answer to HEAD does not have.
            self._excess = self._excess or self._no_body
            if value.strip().lower() != b"chunked":
                self._failure = UpstreamBroken("the upstream's transfer coding is not understood")

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        parser = self._parser
        status = parser.get_status_code()
        if status < 200:  # RFC 9110, section 15.2: any number of interim answers may come first
            if status == 101:
                self._failure = UpstreamBroken("the upstream switched protocols unasked")
            elif status < 100:
                self._failure = UpstreamBroken("the upstream's status is none that HTTP has")
            return
        self._status = status
        self._head_done = True
        if self._nominated:
            self._headers = without_nominated(self._headers, self._nominated)
        self._close_after = not parser.should_keep_alive()
        if self._no_body:
            self._complete = True
        elif status in (204, 304):
            self._has_length = True

    def on_body(self, body: bytes) -> None:
        if self._complete:
            self._excess = True
            return
        self._has_grown = True
        budget = self._budget
        if budget is not None:
            size = len(body)
            if self._received + size > budget.max_reply_size:
                self._failure = ReplyTooLarge("the reply is larger than max_reply_size")
            if self._failure is not None:
                return
            try:
                budget.take(size)
            except ReplyTooLarge as error:
                self._failure = error
                return
            self._received += size
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._head_done:
            self._complete = True
        else:  # an interim answer: the real one follows
            self._reset()
