"""HTTP/1.1 clients for tests: a plain one, and one that says and hears every byte."""

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

TIMEOUT_S = 30.0

Address = tuple[str, int]
Headers = Mapping[str, str]


class Answer(Struct):
    """A whole response. Names of headers are as they came."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        """The values of every header of that name."""
        return [value for given, value in self.headers if given.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of the only header of that name, or None."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


class Broken(Exception):
    """The connection ended before the response was whole."""

    def __init__(self, received: bytes) -> None:
        super().__init__(f"after {len(received)} bytes: {received[:200]!r}")
        self.received = received


def fetch(
    address: Address,
    method: str,
    target: str,
    body: bytes | str | None = None,
    headers: Headers | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """The answer to one request on a connection of its own."""
    with closing(http.client.HTTPConnection(*address, timeout=timeout_s)) as connection:
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.reason, response.getheaders(), response.read())


class Wire:
    """One connection, byte by byte."""

    def __init__(self, address: Address, timeout_s: float = TIMEOUT_S, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        try:
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.settimeout(timeout_s)
            self.socket.connect(address)
        except BaseException:
            self.socket.close()
            raise
        self.pending = b""
        """What has come and was not read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        """Write these bytes."""
        self.socket.sendall(b"".join(pieces))

    def get(self, target: str) -> None:
        """Send a GET request."""
        self.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    def receive(self) -> bytes:
        """Whatever comes next; b"" at the end of the connection."""
        if self.pending:
            data, self.pending = self.pending, b""
            return data
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def until(self, mark: bytes) -> bytes:
        """The bytes up to `mark`, with it. Raises Broken if the connection ends first."""
        received = b""
        while mark not in received:
            data = self.receive()
            if not data:
                raise Broken(received)
            received += data
        found, _, rest = received.partition(mark)
        self.pending = rest + self.pending
        return found + mark

    def exactly(self, count: int) -> bytes:
        """That many bytes. Raises Broken if the connection ends first."""
        received = bytearray()
        while len(received) < count:
            data = self.receive()
            if not data:
                raise Broken(bytes(received))
            received += data
        self.pending = bytes(received[count:]) + self.pending
        return bytes(received[:count])

    def to_end(self) -> bytes:
        """All bytes until the connection ends."""
        received = b""
        while data := self.receive():
            received += data
        return received

    def head(self) -> Answer:
        """Status line and headers of the next response, interim ones too; its body is still to come."""
        raw = self.until(b"\r\n\r\n")
        status_line, *lines = raw[:-4].decode("latin-1").split("\r\n")
        _, status, reason = status_line.split(" ", 2)
        pairs = [line.partition(":")[::2] for line in lines]
        return Answer(int(status), reason, [(name, value.strip()) for name, value in pairs], b"")

    def answer(self, *, bodiless: bool = False) -> Answer:
        """The next response, whole. Raises Broken if it is not, AssertionError if it is malformed."""
        answer = self.head()
        if not bodiless and answer.status >= 200 and answer.status not in (204, 304):
            answer.body = self.body(answer)
        return answer

    def body(self, answer: Answer) -> bytes:
        """What comes behind that head. Raises as `answer` does."""
        coded, length = answer.header("transfer-encoding"), answer.header("content-length")
        assert coded is None or length is None, "a response with two lengths"
        if length is not None:
            return self.exactly(int(length))
        if coded is None:
            return self.to_end()
        assert coded == "chunked"
        body = bytearray()
        while size := int(self.until(b"\r\n").partition(b";")[0], 16):
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        assert self.exactly(2) == b"\r\n"
        return bytes(body)

    def is_closed(self) -> bool:
        """Whether the other side ends the connection, without a further byte, before the time is up."""
        try:
            return self.receive() == b""
        except TimeoutError:
            return False


def ask(address: Address, request: bytes) -> Answer:
    """The answer to these bytes."""
    with Wire(address) as wire:
        wire.send(request)
        return wire.answer()


def all_answers(wire: Wire) -> list[int]:
    """The statuses of all that comes until the connection ends, or nothing more does."""
    statuses = []
    with suppress(Broken, TimeoutError):
        while True:
            statuses.append(wire.answer().status)
    return statuses


def whole_conversation(wire: Wire, quiet_s: float = 0.5) -> list[int]:
    """The same, from the first answer on: only what comes behind it has to come soon."""
    try:
        statuses = [wire.answer().status]
    except Broken:
        return []
    wire.socket.settimeout(quiet_s)
    return statuses + all_answers(wire)
