"""A network that is a test: a transport that records, and an owner that does."""

import asyncio
import socket
from typing import Any, Literal

from batchway.errors import BatchwayError, UpstreamBroken
from batchway.model import Budget, Response
from batchway.upstream.connection import Connection
from batchway.upstream.exchange import Exchange

HEAD = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"


class FakeTransport(asyncio.Transport):
    """Records what is asked of it. Has a real socket, so that it can be polled."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.socket, self.peer = socket.socketpair()
        self.written = bytearray()
        self.reading = True
        self.ended: Literal["", "close", "abort"] = ""
        self._loop = loop
        self._protocol: asyncio.Protocol | None = None

    def serve(self, protocol: asyncio.Protocol) -> None:
        """Connect `protocol`."""
        self._protocol = protocol
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.socket if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "written to after the end"
        self.written += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self._end("close")

    def abort(self) -> None:
        self._end("abort")

    def _end(self, how: Literal["close", "abort"]) -> None:
        if not self.ended:
            self.ended = how
            self._loop.call_soon(self.lose)

    def lose(self, error: Exception | None = None) -> None:
        """Tell the protocol, once, that the connection is over."""
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            self.ended = self.ended or "close"
            self.socket.close()
            self.peer.close()
            protocol.connection_lost(error)


class FakeOwner:
    """Records what a connection tells its pool."""

    def __init__(self, max_header_bytes: int = 65536) -> None:
        self.max_header_bytes = max_header_bytes
        self.freed: list[bool] = []
        """For each exchange that is over: whether the connection may serve another."""
        self.lost_count = 0

    def watch(self, connection: Connection) -> None:
        pass

    def free(self, connection: Connection, *, reusable: bool) -> None:
        self.freed.append(reusable)

    def lost(self, connection: Connection) -> None:
        self.lost_count += 1


class Wire:
    """A connection whose other end is the test. `budget` is that of all its buffered exchanges."""

    def __init__(
        self, *, max_header_bytes: int = 65536, max_reply_size: int = 1 << 20, budget: int = 1 << 20
    ) -> None:
        loop = asyncio.get_running_loop()
        self.owner = FakeOwner(max_header_bytes)
        self.transport = FakeTransport(loop)
        self.connection = Connection(self.owner, loop)
        self.transport.serve(self.connection)
        self.budget = Budget(max_reply_size=max_reply_size, max_response_size=budget)
        self._asked: list[asyncio.Future[Response]] = []

    def ask(
        self, *, streamed: bool = False, no_body: bool = False, head: bytes = HEAD, body: bytes = b""
    ) -> "asyncio.Future[Response]":
        """Begin an exchange."""
        budget = None if streamed else self.budget
        future = self.connection.send(Exchange(head, body, no_body, budget, 60.0, 60.0))
        self._asked.append(future)
        return future

    def feed(self, *pieces: bytes) -> None:
        """Let the upstream say this. Like a real one, a transport that was closed hears nothing."""
        for piece in pieces:
            if not self.transport.ended:
                self.connection.data_received(piece)

    def end(self, error: Exception | None = None) -> None:
        """Let the upstream close, or with `error` break, the connection."""
        if self.connection.eof_received():
            self.transport.close()
        self.transport.lose(error)

    def close(self) -> None:
        """Clean up; what is still asked for fails, and nobody minds."""
        self.connection.close()
        self.transport.lose()
        for future in self._asked:
            if not future.cancelled():
                future.exception()

    def untouched(self) -> bool:
        """Whether the connection is open and may serve another exchange."""
        return not self.transport.ended and not self.connection.closed


async def read(response: Response) -> bytes | None:
    """The whole body, streamed or not."""
    body = response.body
    if body is None or isinstance(body, bytes):
        return body
    return b"".join([piece async for piece in body])


def outcome(future: "asyncio.Future[Response]") -> Response | BatchwayError | None:
    """What the future has; None as long as it has nothing."""
    if not future.done():
        return None
    error = future.exception()
    assert error is None or isinstance(error, BatchwayError)
    return future.result() if error is None else error


def is_broken(future: "asyncio.Future[Response]") -> bool:
    """Whether the exchange failed as one that the upstream broke."""
    return isinstance(outcome(future), UpstreamBroken)
