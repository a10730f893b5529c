"""Where one body ends and the next begins, in a stream of bytes. No I/O.

Sources: NDJSON; Language Server Protocol 3.17, base protocol.
"""

import re
from typing import Literal, Protocol

from batchway.formats.jsonrpc import PARSE_ERROR
from batchway.rpc.errors import RequestTooLarge, RpcError
from batchway.rpc.transport import as_line

Frame = bytes | RpcError
"""A body, or what is said to something that was none."""
FramingName = Literal["auto", "newline", "content-length"]

MAX_HEAD_BYTES = 4096
_SPACE = b" \t\r\n"
_LENGTH = b"content-length:"
_PREFIX = b"content-"
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_NUMBER = re.compile(rb"[0-9]{1,18}")


class Framing(Protocol):
    """One way to frame. It is fed what comes in, in pieces of any size."""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now."""

    def end(self) -> list[Frame]:
        """What was left unfinished."""

    @staticmethod
    def wrap(body: bytes) -> bytes:
        """A body as it is sent."""


def choose(name: FramingName, start: bytes, max_bytes: int) -> Framing | None:
    """The framing of that name, or of what a client began with; None if that is too little to tell."""
    said = start.lstrip(_SPACE)[: len(_PREFIX)].lower()
    if name == "auto":
        if said == _PREFIX:
            name = "content-length"
        elif _PREFIX.startswith(said):  # or empty
            return None
    return ContentLength(max_bytes) if name == "content-length" else Newline(max_bytes)


class Newline:
    """One body a line; empty lines mean nothing."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._seen = 0
        self._is_lost = False  # in a line that is too long, and was refused

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now."""
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        while (end := buffer.find(b"\n", self._seen)) >= 0:
            frames += self._take(bytes(buffer[:end]))
            del buffer[: end + 1]
            self._seen = 0
        if len(buffer) > self._max_bytes + 1 or self._is_lost:  # a return may stand before the newline
            if not self._is_lost:
                frames.append(RequestTooLarge())
            self._is_lost = True
            buffer.clear()
        self._seen = len(buffer)
        return frames

    def end(self) -> list[Frame]:
        """The last line, which may go without a newline."""
        line = bytes(self._buffer)
        self._buffer.clear()
        return self._take(line)

    def _take(self, line: bytes) -> list[Frame]:
        if self._is_lost:
            self._is_lost = False
            return []
        line = line.removesuffix(b"\r")
        if len(line) > self._max_bytes:
            return [RequestTooLarge()]
        return [line] if line.strip(_SPACE) else []

    @staticmethod
    def wrap(body: bytes) -> bytes:
        """A body as it is sent."""
        return as_line(body)


class ContentLength:
    """Headers before each body, with its length among them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._length: int | None = None  # of the body that is next; None where headers are
        self._excess = 0  # bytes yet to come of a body that was refused
        self._is_lost = False  # in something that was refused, and whose end nobody knows

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole now."""
        self._buffer += data
        frames: list[Frame] = []
        while self._step(frames):
            pass
        return frames

    def end(self) -> list[Frame]:
        """A refusal, if it ends in the middle of a frame."""
        is_cut = self._length is not None or (not self._is_lost and self._buffer.strip(_SPACE))
        return [_broken("the input ends within a frame")] if is_cut else []

    def _step(self, frames: list[Frame]) -> bool:
        """Take what is next off the buffer; False if there is too little of it."""
        if self._excess:
            return self._skip()
        if self._is_lost and not self._find_way():
            return False
        if self._length is None:
            return self._take_head(frames)
        return self._take_body(frames, self._length)

    def _skip(self) -> bool:
        here = min(self._excess, len(self._buffer))
        del self._buffer[:here]
        self._excess -= here
        return not self._excess

    def _find_way(self) -> bool:
        """Go on where the next frame seems to begin."""
        start = self._buffer.lower().find(_LENGTH)
        self._is_lost = start < 0
        del self._buffer[: start if start >= 0 else max(0, len(self._buffer) - len(_LENGTH) + 1)]
        return not self._is_lost

    def _take_head(self, frames: list[Frame]) -> bool:
        buffer = self._buffer
        del buffer[: len(buffer) - len(buffer.lstrip(_SPACE))]
        found = _END_OF_HEAD.search(buffer, 0, MAX_HEAD_BYTES)
        if found is None and len(buffer) < MAX_HEAD_BYTES:
            return False
        length = None if found is None else _length_of(bytes(buffer[: found.start()]))
        # What cannot be read is left behind up to its first byte, so that it is not found again.
        del buffer[: found.end() if found else 1]
        if length is None:
            self._is_lost = True
            frames.append(_broken("the headers of a frame have no Content-Length"))
        elif length > self._max_bytes:
            self._excess = length
            frames.append(RequestTooLarge())
        else:
            self._length = length
        return True

    def _take_body(self, frames: list[Frame], length: int) -> bool:
        if len(self._buffer) < length:
            return False
        frames.append(bytes(self._buffer[:length]))
        del self._buffer[:length]
        self._length = None
        return True

    @staticmethod
    def wrap(body: bytes) -> bytes:
        """A body as it is sent."""
        return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _length_of(head: bytes) -> int | None:
    """What the headers say of the length; None if that is nothing, or not one thing."""
    said = [line.partition(b":")[2].strip() for line in head.split(b"\n") if _is_length(line)]
    if len(said) != 1 or not _NUMBER.fullmatch(said[0]):
        return None
    return int(said[0])


def _is_length(line: bytes) -> bool:
    return line.partition(b":")[0].strip().lower() + b":" == _LENGTH


def _broken(reason: str) -> RpcError:
    return RpcError(PARSE_ERROR, "Parse error", reason)
