"""uvicorn's HTTP/1.1 protocol with the bounds that it leaves out.

uvicorn limits neither the size nor the number of headers, takes requests without Host, and waits for
a request's head for ever. Bodies are bounded where they are read.
"""

import asyncio
import re
import select
from http import HTTPStatus
from typing import Any, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from batchway.config import ServerLimits
from batchway.model import NO_HOST
from batchway.server.exchange import Exchange

HEAD_TIMEOUT_S = 60.0
"""nginx's client_header_timeout: how long a client may take to send a request's head."""
BODY_TIMEOUT_S = 60.0
"""nginx's client_body_timeout: how long it may pause while it sends a body."""


_LOOK_S = 1.0
"""How often to look whether a client that we do not read from at the moment is still there."""


_GONE_S = 0.1
"""How long work for a client that has left may take to end by itself."""


_DRAINING_S = 1.0
"""How long the rest of a request's head is awaited where the listener ends."""


class _Trailers(list[tuple[bytes, bytes]]):
    """Where the trailers of a request end: an app must not take them for its headers."""

    def append(self, header: tuple[bytes, bytes]) -> None:
        """Forget it."""


_ABSOLUTE = re.compile(rb"https?://([^/?#]*)", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_SPACES = frozenset({b" ", b"\t"})


class Bounds:
    """The limits that hold now: a reload replaces them for all connections at once."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits


class BoundedProtocol(HttpToolsProtocol):
    """One client connection. Made through `bounded`."""

    bounds: Bounds

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.timeout_keep_alive = self.bounds.limits.keepalive_timeout_s  # type: ignore[assignment] # a float works
        self._in_head = False
        self._head_bytes = 0
        self._begun = 0
        self._before = b""  # the last bytes of a head that is not whole
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._is_draining = False
        self._in_body = False
        self._has_grown = False
        self._idle_bytes = 0
        self._heard_at = 0.0
        self._work: asyncio.Task[None] | None = None
        self._working: Exchange | None = None
        self._unsent = 0
        self._send_timer: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first request's head."""
        super().connection_made(transport)
        self._expect(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer; what works for a client that has left must not go on for long.

        Who listens hears of it at once; but nobody may be listening while, say, a connection to the
        upstream is waited for.
        """
        self._expect_nothing()
        if self._send_timer is not None:
            self._send_timer.cancel()
        super().connection_lost(exc)
        # Else they keep all this in memory: the timer till its end, what waits for its turn in a circle.
        self._unset_keepalive_if_required()
        if self.pipeline:
            self.pipeline.clear()
            self.cycle.on_response = lambda: None
        exchange, work = self._working, self._work
        if exchange is None or work is None or exchange.response_complete:
            return
        exchange.disconnected = True
        exchange.message_event.set()
        if exchange.is_watched:
            work.cancel()
        else:
            self.loop.call_later(_GONE_S, work.cancel)

    def data_received(self, data: bytes) -> None:
        """Parse, unless the client has been refused; count what belongs to an unfinished head."""
        if self._refusal is not None:
            return
        was_in_body, begun = self._in_body, self._begun
        if not was_in_body and (b"pgrade:" in data or b"PGRADE:" in data):
            data = self._without_upgrade(data)
        super().data_received(data)
        if self._in_head:
            self._before = (self._before + data)[-3:]
            # Else some of it belongs to other requests.
            self._count_head(0 if was_in_body or self._begun > begun + 1 else len(data))
        elif self._in_body:
            self._count_body(len(data))
        elif self.timeout_keep_alive_task is None and self._timer is None and self._is_idle():
            # What came was an empty line, say, or the rest of a body that was answered before.
            self._expect(_DRAINING_S if self._is_draining else self.timeout_keep_alive)

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.bounds.limits.max_header_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request headers are too large")
        elif self._timer is None:
            self._expect(HEAD_TIMEOUT_S)

    def _count_body(self, size: int) -> None:
        self._heard_at = self.loop.time()
        if self._timer is None:
            self._expect(_LOOK_S)
        self._idle_bytes = 0 if self._has_grown else self._idle_bytes + size
        self._has_grown = False
        if self._idle_bytes > self.bounds.limits.max_header_bytes:  # trailers, chunk extensions
            self._refusal = (HTTPStatus.BAD_REQUEST, "the body does not end")
            self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _without_upgrade(self, data: bytes) -> bytes:
        """`data`, which begins in a request's head, with an Upgrade in there made a header that is dropped.

        We speak nothing else, so it means nothing (RFC 9110, section 7.8). But the parser would stop
        there, and clients that ask for HTTP/2 in this way send whole requests behind it. An Upgrade that
        this does not find, since it comes in pieces, is refused.
        """
        blank = (self._before + data).find(b"\r\n\r\n")
        end = len(data) if blank < 0 else max(0, blank - len(self._before))
        return _UPGRADE.sub(b"\r\nkeep-alive:", data[:end]) + data[end:]

    # --- callbacks of the parser

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self._in_head = True
        self._head_bytes = 0
        self._begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the head, then start the app."""
        if self._refusal is not None:  # it came right behind one that was refused
            return
        self._in_head = False
        self._in_body = True
        self._before = b""
        self._idle_bytes = 0
        self._expect_nothing()
        problem = self._problem()
        if problem is None and not self.url.startswith(b"/"):
            problem = self._take_absolute()
        if problem is not None:
            self._refuse(*problem)
            return
        super().on_headers_complete()
        self.headers = _Trailers()
        if self._is_draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Drop what a refused client still sends."""
        self._has_grown = True
        if self._refusal is None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._in_body = False
        self._expect_nothing()
        if self._refusal is None:
            super().on_message_complete()

    def _problem(self) -> tuple[HTTPStatus, str] | None:
        if self.parser.get_http_version() not in ("1.0", "1.1"):
            return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.0 and HTTP/1.1 are understood here"
        if self.parser.get_method() in (b"CONNECT", b"TRACE"):
            return HTTPStatus.METHOD_NOT_ALLOWED, "CONNECT and TRACE are not allowed"
        size, hosts, has_body, host = len(self.url), 0, False, b""
        for index, (name, value) in enumerate(self.headers):
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
                host = value
            elif name == b"content-length":
                has_body = has_body or value != b"0"
            elif name == b"transfer-encoding":
                has_body = True
                if value.lower() != b"chunked":
                    return HTTPStatus.BAD_REQUEST, "the only transfer coding that is understood is chunked"
            if value[-1:] in _SPACES:  # RFC 9110, section 5.5: no part of the value
                self.headers[index] = (name, value.rstrip(b" \t"))
        if has_body and self.parser.should_upgrade():
            # The parser would take this request's body for the next request.
            return HTTPStatus.BAD_REQUEST, "an upgrade of the protocol is not possible here"
        return self._problem_of(size, hosts, host)

    def _take_absolute(self) -> tuple[HTTPStatus, str] | None:
        """A target as proxies get it, `http://host/path`: its host counts, not the header's.

        Source: RFC 9112, section 3.2.2.
        """
        if self.url == b"*":
            return None
        found = _ABSOLUTE.match(self.url)
        if found is None or not found[1] or found[1].translate(None, NO_HOST) != found[1]:
            return HTTPStatus.BAD_REQUEST, "the request's target has no usable host"
        host, self.url = found[1], b"/" + self.url[found.end() :].removeprefix(b"/")
        self.headers[:] = [(b"host", host), *(pair for pair in self.headers if pair[0] != b"host")]
        return None

    def _problem_of(self, size: int, hosts: int, host: bytes) -> tuple[HTTPStatus, str] | None:
        limits = self.bounds.limits
        if len(self.headers) > limits.max_header_count:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request has too many headers"
        if size > limits.max_header_bytes:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request headers are too large"
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            # RFC 9112, section 3.2
            return HTTPStatus.BAD_REQUEST, "exactly one Host header is expected"
        if host.translate(None, NO_HOST) != host.rstrip(b" \t"):  # likewise
            return HTTPStatus.BAD_REQUEST, "the Host header has characters that no host has"
        return None

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer and close; nothing that comes after counts."""
        self._refusal = (status, why)
        if self.cycle is not None and not self.cycle.response_complete:
            # No other may cut into the answer to an earlier request. That goes out first, if it can.
            self.cycle.keep_alive = False
            if self.cycle.more_body:
                self.transport.close()
            return
        body = msgspec.json.encode({"error_msg": why})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + body)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser gives up."""
        if self._refusal is None:
            self._refuse(HTTPStatus.BAD_REQUEST, "the request is not HTTP/1.1")

    # --- the end of the listener

    def drain(self) -> None:
        """Say with the answer to the request under way, or else to the next, that the connection closes."""
        self._is_draining = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close, unless a request is under way, or is there and only has not been read yet."""
        self.drain()
        if self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
            return
        if self._in_head or self._has_news(select.POLLIN):
            self._expect_nothing()
            self._expect(_DRAINING_S)
        else:
            self.transport.close()

    # --- the wait for a client that reads

    def pause_writing(self) -> None:
        """The client does not keep up."""
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._send_timer = self.loop.call_later(self.bounds.limits.send_timeout_s, self._send_overdue)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _send_overdue(self) -> None:
        unsent, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        if self._unsent < unsent:
            self._send_timer = self.loop.call_later(self.bounds.limits.send_timeout_s, self._send_overdue)
        else:
            self._send_timer = None
            self.transport.abort()

    # --- the wait for the rest of a request

    def _expect(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._overdue)

    def _expect_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._in_body:
            self._look_after_body()
        elif self._is_idle() and not self._in_head:
            self.transport.close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")

    def _look_after_body(self) -> None:
        """The rest of a body is awaited, by us or, when it reads slowly, by the app."""
        now = self.loop.time()
        if self.flow.read_paused:
            self._heard_at = now
            if self._has_news(select.POLLRDHUP):  # it has closed, which does not show while we do not read
                self.transport.abort()
                if self._work is not None:  # it waits for something else than the body
                    self._work.cancel()
                return
        if now - self._heard_at < BODY_TIMEOUT_S:
            self._expect(_LOOK_S)
        else:
            self.transport.close()  # the app has a part of the request already, and hears of it

    def _has_news(self, events: int) -> bool:
        """Whether the socket has something of that kind that we have not read."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), events)
        return bool(poll.poll(0))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """As uvicorn does, but the exchange is one of ours, and with a hold of the task."""
        cycle.__class__ = Exchange
        self._working = cast(Exchange, cycle)
        self._work = self.loop.create_task(self._working.run_asgi(app))
        self._work.add_done_callback(self.tasks.discard)
        self.tasks.add(self._work)


def bounded(bounds: Bounds) -> type[HttpToolsProtocol]:
    """The protocol class for a listener that obeys `bounds`."""
    return type("BoundedProtocol", (BoundedProtocol,), {"bounds": bounds})
