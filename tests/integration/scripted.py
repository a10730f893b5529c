"""An upstream whose behaviour is a function: it may break any rule of HTTP."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from msgspec import Struct

from .ports import free_port
from .wire import Address

PATIENCE_S = 30.0
"""A peer that waits for longer than this has been forgotten."""
WAIT_S = 20.0
"""What a test waits for has come about by then, however busy the machine is."""


class Gone(Exception):
    """The gateway closed the connection."""


class Received(Struct):
    """A request as it came, byte for byte."""

    head: bytes
    """With the empty line."""
    body: bytes
    """Without its framing."""

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        """Path and query, as they were spelled."""
        return self.head.split(b"\r\n", 1)[0].split(b" ", 1)[1].rsplit(b" ", 1)[0].decode("latin-1")

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The headers in order, names as they were spelled."""
        lines = self.head[:-4].decode("latin-1").split("\r\n")[1:]
        split = [line.split(":", 1) for line in lines]
        return [(name, value.removeprefix(" ")) for name, value in split]

    def all(self, name: str) -> list[str]:
        """The values of every header of that name."""
        return [value for given, value in self.pairs if given.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of the only header of that name, or None."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


class Peer:
    """One connection from the gateway, on the server's side."""

    def __init__(self, upstream: "Scripted", connection: socket.socket, number: int) -> None:
        self.upstream = upstream
        self.number = number
        """Connections count from 0."""
        self.socket = connection
        self._pending = b""

    def receive(self) -> bytes:
        """What comes next. Raises Gone at the end of the connection."""
        data, self._pending = self._pending, b""
        if data:
            return data
        try:
            data = self.socket.recv(262_144)
        except (ConnectionError, ValueError) as error:
            raise Gone from error
        if not data:
            raise Gone
        return data

    def _until(self, mark: bytes) -> bytes:
        data = b""
        while mark not in data:
            data += self.receive()
        found, _, self._pending = data.partition(mark)
        return found + mark

    def exactly(self, count: int) -> bytes:
        """That many bytes."""
        data = bytearray()
        while len(data) < count:
            data += self.receive()
        self._pending = bytes(data[count:])
        return bytes(data[:count])

    def read_head(self) -> Received:
        """The next request; its body is still to come."""
        return Received(self._until(b"\r\n\r\n"), b"")

    def read(self) -> Received:
        """The next request, whole, and noted by the upstream."""
        request = self.read_head()
        length, coded = request.header("content-length"), request.header("transfer-encoding")
        if length is not None:
            request.body = self.exactly(int(length))
        elif coded is not None:
            request.body = b"".join(self.chunks())
        self.upstream.requests.append(request)
        return request

    def chunks(self) -> Iterator[bytes]:
        """The pieces of a chunked body, as they come."""
        while size := int(self._until(b"\r\n"), 16):
            yield self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        assert self.exactly(2) == b"\r\n"

    def send(self, *pieces: bytes) -> None:
        """Write these bytes. Raises Gone if nobody listens."""
        try:
            self.socket.sendall(b"".join(pieces))
        except (ConnectionError, ValueError) as error:
            raise Gone from error

    def stall(self) -> None:
        """Do nothing until the gateway closes the connection."""
        while True:
            self.receive()

    def reset(self) -> None:
        """Close with an RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Behaviour = Callable[[Peer], object]


def ok(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> bytes:
    """A well-formed answer."""
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def each(answer: Callable[[Received], bytes]) -> Behaviour:
    """Answer every request of a connection, one after another."""

    def serve(peer: Peer) -> None:
        while True:
            peer.send(answer(peer.read()))

    return serve


def once(*answer: bytes) -> Behaviour:
    """Read one request, send these bytes, close."""

    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(*answer)

    return serve


def slowly(seconds: float, answer: bytes = b"") -> Behaviour:
    """Answer every request after that time."""

    def reply(_: Received) -> bytes:
        time.sleep(seconds)
        return answer or ok()

    return each(reply)


class Gate:
    """Answers that are held back until the test has seen what is to happen before them."""

    def __init__(self, answer: bytes = b"") -> None:
        self._answer = answer or ok()
        self._open = threading.Event()

    def __call__(self, peer: Peer) -> None:
        while True:
            peer.read()
            self.wait()
            peer.send(self._answer)

    def wait(self) -> None:
        """Return once it is open."""
        assert self._open.wait(PATIENCE_S), "nobody has opened the gate"

    def open(self) -> None:
        """Let all answers go, those to come too."""
        self._open.set()


def together(count: int) -> Behaviour:
    """Answer requests once there are so many at once; those that come later, at once."""
    waiting, all_here = threading.Semaphore(count), threading.Barrier(count)

    def reply(_: Received) -> bytes:
        if waiting.acquire(blocking=False):
            all_here.wait(PATIENCE_S)
        return ok()

    return each(reply)


def echo(request: Received) -> bytes:
    """The request, byte for byte, as the answer's body."""
    return ok(request.head + request.body)


class Scripted:
    """A server that runs its behaviour, in a thread, for every connection; it closes at the end."""

    def __init__(self, behaviour: Behaviour, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.behaviour = behaviour
        self.requests: list[Received] = []
        self.faults: list[Exception] = []
        """What went wrong in the behaviour itself."""
        self.accepted = 0
        self.most = 0
        """Of connections open at once."""
        self._open: dict[int, socket.socket] = {}
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self.address: Address = (host, port or free_port())
        self._listen()

    def _listen(self) -> None:
        self._listener = socket.create_server(self.address, backlog=1024)
        self._accepting = threading.Thread(target=self._accept, args=[self._listener])
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def wait(self, condition: Callable[["Scripted"], bool], timeout_s: float = WAIT_S) -> None:
        """Return as soon as that holds."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), timeout_s), (
                f"{self.accepted} accepted, {self.open} open, {len(self.requests)} requests"
            )

    def wait_requests(self, count: int = 1) -> None:
        """Return as soon as that many requests were read."""
        give_up = time.monotonic() + WAIT_S
        while len(self.requests) < count:
            assert time.monotonic() < give_up, f"{len(self.requests)} of {count} requests"
            time.sleep(0.002)

    def stop(self) -> None:
        """Close everything. Raises what went wrong in the behaviour."""
        self.close_listener()
        self.drop()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for fault in self.faults:
            raise fault

    def close_listener(self) -> None:
        """Refuse connections from now on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def drop(self) -> None:
        """End every connection that is open."""
        for connection in list(self._open.values()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def restart(self) -> None:
        """End every connection, as a server that is restarted on its port."""
        self.close_listener()
        self.drop()
        self.wait(lambda upstream: upstream.open == 0)
        self._listen()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                number = self.accepted
                self.accepted += 1
                self._open[number] = connection
                self.most = max(self.most, len(self._open))
                self._changed.notify_all()
            thread = threading.Thread(target=self._serve, args=[connection, number])
            self._threads.append(thread)
            thread.start()

    def wrap(self, connection: socket.socket) -> socket.socket:
        """The connection, ready for the behaviour: TLS may have something to do first."""
        return connection

    def _serve(self, connection: socket.socket, number: int) -> None:
        peer = Peer(self, connection, number)
        try:
            peer.socket = self._open[number] = self.wrap(connection)
            self.behaviour(peer)
        except (Gone, OSError):
            pass  # the gateway has closed the connection, or refused the certificate
        except Exception as fault:  # noqa: BLE001 - shown by `stop`
            self.faults.append(fault)
        finally:
            peer.socket.close()
            with self._changed:
                del self._open[peer.number]
                self._changed.notify_all()
