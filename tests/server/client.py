"""A client on a real socket that may break any rule of HTTP."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import msgspec
from msgspec import Struct


class Answer(Struct):
    """A response, framed by its Content-Length."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        """What an error of ours says; checks its shape."""
        assert self.headers["content-type"] == "application/json"
        document = self.json()
        assert list(document) == ["error_msg"]
        message: str = document["error_msg"]
        return message


class Client:
    """One connection. What the server said before it broke the connection off is read all the same.

    It has no clock: one that is put forward would not tell how long it has waited. pytest's ends a wait
    for what never comes.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._unread = b""

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        """Connects to a port of 127.0.0.1."""
        connection = socket.socket()
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield cls(connection)
        finally:
            connection.close()

    def leave(self) -> None:
        """Close the connection."""
        self._socket.close()

    def reset(self) -> None:
        """Break the connection off."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    async def send(self, *pieces: bytes) -> None:
        """Send these, each in a segment of its own as far as that can be had.

        Stops as soon as the server has closed: it need not read what it has refused.
        """
        with contextlib.suppress(ConnectionError):
            for number, piece in enumerate(pieces):
                if number:
                    await asyncio.sleep(0.002)
                await self._loop.sock_sendall(self._socket, piece)

    async def _read(self) -> bool:
        """Read some more; False if that was all."""
        try:
            data = await self._loop.sock_recv(self._socket, 1 << 20)
        except ConnectionError:
            return False
        self._unread += data
        return bool(data)

    async def answer(self) -> Answer:
        """The next response."""
        line, *lines = (await self.head()).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
        size = int(headers.get("content-length", "0"))
        while len(self._unread) < size:
            assert await self._read(), "the connection ended in an answer"
        body, self._unread = self._unread[:size], self._unread[size:]
        return Answer(int(line.split(" ")[1]), headers, body)

    async def head(self) -> bytes:
        """The head of the next response, without the empty line."""
        while b"\r\n\r\n" not in self._unread:
            assert await self._read(), "the connection ended before an answer"
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        return head

    async def ask(self, *pieces: bytes) -> Answer:
        """The response to these."""
        await self.send(*pieces)
        return await self.answer()

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        while await self._read():
            pass
        return self._unread

    async def some(self, size: int) -> bool:
        """Read so much and forget it; False if there is not so much."""
        while len(self._unread) < size:
            if not await self._read():
                return False
        self._unread = b""
        return True

    async def is_open(self, patience_s: float = 0.05) -> bool:
        """Whether the server leaves the connection open, and says nothing."""
        try:
            async with asyncio.timeout(patience_s):
                more = await self._read()
        except TimeoutError:
            more = True
        assert not self._unread, "the server said something"
        return more

    def has_answer(self) -> bool:
        """Whether the server has said something by now."""
        with contextlib.suppress(BlockingIOError):
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        return False


def get(path: str = "/", *lines: str) -> bytes:
    """A GET request, with these header lines."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: a.test", *lines, "", ""]).encode("latin-1")


def post(body: bytes, path: str = "/", *lines: str) -> bytes:
    """A POST request."""
    length = f"Content-Length: {len(body)}"
    return get(path, length, *lines).replace(b"GET", b"POST", 1) + body
