"""One end of the line between a supervisor and a worker: a Unix socket, read and written when it is ready.

It belongs to no event loop: the supervisor has a selector, the worker has uvloop.
"""

import os
import select
import socket
from collections import deque
from collections.abc import Iterable, Iterator

from msgspec import Struct

from batchway.server import messages
from batchway.server.messages import Message

_READ_BYTES = 1 << 16
_MAX_SOCKETS = 253  # Linux takes no more of them in one message
_MAX_UNSENT = 1 << 22


class Closed(Exception):
    """The other end is gone, or does not listen to what it is told."""


class _Unsent(Struct):
    data: memoryview
    descriptors: tuple[int, ...]


class Channel:
    """One end. Made in pairs."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._unsent: deque[_Unsent] = deque()
        self._unsent_bytes = 0

    @classmethod
    def pair(cls) -> "tuple[Channel, Channel]":
        """Both ends of a new line."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def has_news(self) -> bool:
        """Whether `receive` has something to read, be it the end."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` is to be called as soon as the socket can be written."""
        return bool(self._unsent)

    def send(self, message: Message, sockets: Iterable[socket.socket] = ()) -> None:
        """Say it, as far as that goes at once. Raises Closed.

        Of `sockets` the other end gets its own descriptors.
        """
        data = messages.encode(message)
        self._unsent.append(_Unsent(memoryview(data), tuple(_duplicates(sockets))))
        self._unsent_bytes += len(data)
        self.flush()
        if self._unsent_bytes > _MAX_UNSENT:
            raise Closed

    def flush(self) -> None:
        """Send what is unsent, as far as that goes at once. Raises Closed."""
        try:
            while self._unsent:
                self._send_some(self._unsent[0])
        except BlockingIOError:
            return
        except OSError as error:
            raise Closed from error

    def _send_some(self, first: _Unsent) -> None:
        if first.descriptors:
            sent = socket.send_fds(self._socket, [first.data], first.descriptors)
            _close_all(first.descriptors)
            first.descriptors = ()
        else:
            sent = self._socket.send(first.data)
        first.data = first.data[sent:]
        self._unsent_bytes -= sent
        if not first.data:
            self._unsent.popleft()

    def receive(self) -> Iterator[Message]:
        """What has come; nothing if nothing has. Raises Closed at the end."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _READ_BYTES, _MAX_SOCKETS)
        except BlockingIOError:
            return
        except OSError as error:
            raise Closed from error
        if not data:
            raise Closed
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._descriptors.extend(descriptors)
        self._received += data
        while (message := messages.take(self._received)) is not None:
            yield message

    def take_sockets(self, count: int) -> list[socket.socket]:
        """The first sockets that came along and were not taken; at most so many."""
        count = min(count, len(self._descriptors))
        return [socket.socket(fileno=self._descriptors.popleft()) for _ in range(count)]

    def close(self) -> None:
        """Close this end. A second time does nothing."""
        self._socket.close()
        _close_all(self._descriptors)
        self._descriptors.clear()
        for unsent in self._unsent:
            _close_all(unsent.descriptors)
        self._unsent.clear()


def _duplicates(sockets: Iterable[socket.socket]) -> list[int]:
    """They are there when their turn comes, whatever becomes of the originals."""
    found: list[int] = []
    try:
        found.extend(os.dup(one.fileno()) for one in sockets)
    except OSError as error:  # too many open files
        _close_all(found)
        raise Closed from error
    return found


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
