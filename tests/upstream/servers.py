"""Servers on real sockets whose behaviour is a function: it may break any rule of HTTP."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Self, cast

from msgspec import Struct

from tests.integration.ports import free_port

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() sends RST


class Received(Struct):
    """A request, byte for byte."""

    head: bytes
    """With the empty line."""
    body: bytes
    """As it was framed."""

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.split(b"\r\n", 1)[0]

    @property
    def lines(self) -> list[bytes]:
        """The header lines."""
        return self.head.split(b"\r\n")[1:-2]

    @property
    def host(self) -> bytes:
        """The value of the only Host header."""
        (value,) = [line[6:] for line in self.lines if line.lower().startswith(b"host: ")]
        return value


class Gone(Exception):
    """The client closed the connection."""


class Peer:
    """One connection, seen from the server."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        """0 for the first connection to its server."""
        self.reader = reader
        self.writer = writer
        self.requests: list[Received] = []

    async def request(self) -> Received:
        """The next request. Raises Gone when there is none."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
            received = Received(head, await self._body(head.lower()))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Gone from error
        self.requests.append(received)
        return received

    async def _body(self, head: bytes) -> bytes:
        if b"transfer-encoding: chunked" in head:
            return await self.reader.readuntil(b"0\r\n\r\n")
        _, found, rest = head.partition(b"\r\ncontent-length: ")
        return await self.reader.readexactly(int(rest.split(b"\r\n", 1)[0])) if found else b""

    async def say(self, data: bytes) -> None:
        """Send so much."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self, body: bytes = b"ok", *, status: bytes = b"200 OK", headers: bytes = b"", head: bool = False
    ) -> None:
        """Send a whole answer, to HEAD without its body."""
        start = b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n" % (status, headers, len(body))
        await self.say(start if head else start + body)

    def stop_reading(self) -> None:
        """Leave what comes where it is."""
        cast(asyncio.Transport, self.writer.transport).pause_reading()

    def close(self) -> None:
        """Close as it is done politely."""
        self.writer.close()

    def reset(self) -> None:
        """Break the connection off."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Return when the client has closed; what it sends until then is dropped."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


Script = Callable[[Peer], Awaitable[None]]


async def answer_all(peer: Peer) -> None:
    """Answer every request with 200 and `ok`."""
    while True:
        request = await peer.request()
        await peer.answer(head=request.head.startswith(b"HEAD "))


class Server:
    """Runs `script` for every connection, and closes it then."""

    def __init__(
        self,
        script: Script = answer_all,
        *,
        tls: ssl.SSLContext | None = None,
        ip: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """`port` 0: any that is free."""
        self.script = script
        self.ip = ip
        self.peers: list[Peer] = []
        self.open = 0
        """Connections whose script still runs."""
        self.most_open = 0
        self.port = port
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> list[Received]:
        """All requests, connection by connection."""
        return [request for peer in self.peers for request in peer.requests]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.ip, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        task = asyncio.get_running_loop().create_task(self._serve(peer))
        self._tasks.add(task)

    async def _serve(self, peer: Peer) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with contextlib.suppress(Gone, ConnectionError):
                await self.script(peer)
        finally:
            self.open -= 1
            peer.close()

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.writer.transport.abort()
        await asyncio.sleep(0)
        await self._server.wait_closed()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


def closed_port() -> int:
    """A port where nobody listens, nor comes to: another one each time."""
    return free_port()


class Door:
    """A listening socket without a loop behind it: what its peer does has happened when it returns."""

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(5)
        self.port: int = self._socket.getsockname()[1]
        self._accepted: list[socket.socket] = []
        return self

    def accept(self) -> socket.socket:
        """The next connection; it must have been made already."""
        connection, _ = self._socket.accept()
        connection.settimeout(5)
        self._accepted.append(connection)
        return connection

    def __exit__(self, *exc_info: object) -> None:
        for connection in self._accepted:
            connection.close()
        self._socket.close()


@contextlib.contextmanager
def slamming_door() -> Iterator[int]:
    """A port where every connection is taken and closed at once; a thread does."""
    listening = socket.create_server(("127.0.0.1", 0))

    def slam() -> None:
        with contextlib.suppress(OSError):
            while True:
                listening.accept()[0].close()

    thread = threading.Thread(target=slam)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
