"""Bodies as JSON can carry them: decoded from their content coding, text as it is, the rest base64.

Source: RFC 9110, section 8.4 (content codings).
"""

import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import brotli
import zstandard

from batchway.errors import ReplyTooLarge

MAX_CODINGS = 3
"""A body wrapped more often than this is left as it is."""
_SLICE_BYTES = 4096
_READ_BYTES = 65536


class Undecodable(ValueError):
    """The body is not what its Content-Encoding says, or is cut short."""


def decode(body: bytes, coding: str, max_bytes: int) -> bytes | None:
    """The body without its content codings, or None if one of them is unknown to us.

    Raises ReplyTooLarge over `max_bytes` before that much was made of it, Undecodable if broken.
    """
    codings = [name.strip().lower() for name in coding.split(",")]
    codings = [name for name in codings if name not in ("", "identity")]
    if len(codings) > MAX_CODINGS or not all(name in _DECODERS for name in codings):
        return None
    if not body:  # some servers name the coding of a body that is not there
        return body
    for name in reversed(codings):  # listed in the order in which they were applied
        body = _DECODERS[name](body, max_bytes)
    return body


def _checked(body: bytes, max_bytes: int, *, whole: bool) -> bytes:
    if len(body) > max_bytes:
        raise _too_large()
    if not whole:
        message = "the body ends before its content coding does"
        raise Undecodable(message)
    return body


def _too_large() -> ReplyTooLarge:
    return ReplyTooLarge("the decoded reply is larger than max_reply_size")


class _Decompressor(Protocol):
    """Takes one member of a body: a gzip member, a zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


D = TypeVar("D", bound=_Decompressor)


def _joined(
    body: bytes, max_bytes: int, begin: Callable[[], D], feed: Callable[[D, bytes, int], bytes]
) -> bytes:
    """All members of the body, RFC 1952, section 2.2, and RFC 8878, section 3.

    `feed` gets a decompressor, data for it, and how many bytes may be made of that. In slices, because
    the end of each member costs a copy of all that follows it, and there may be half a million of them.
    """
    made, size = [], 0
    member = begin()
    for start in range(0, len(body), _SLICE_BYTES):
        rest = body[start : start + _SLICE_BYTES]
        while rest:
            if member.eof:
                member = begin()
            piece = feed(member, rest, max_bytes + 1 - size)
            if piece:
                made.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise _too_large()
            rest = member.unused_data
    return _checked(b"".join(made), max_bytes, whole=member.eof)


def _inflate(body: bytes, max_bytes: int, wbits: int) -> bytes:
    try:
        return _joined(
            body,
            max_bytes,
            lambda: zlib.decompressobj(wbits),
            lambda member, data, room: member.decompress(data, room),
        )
    except zlib.error as error:
        message = "the body is not what its content coding says"
        raise Undecodable(message) from error


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    return _inflate(body, max_bytes, zlib.MAX_WBITS | 16)


def _deflate(body: bytes, max_bytes: int) -> bytes:
    try:
        return _inflate(body, max_bytes, zlib.MAX_WBITS)
    except Undecodable:  # some servers send raw deflate, which the RFC warns of
        return _inflate(body, max_bytes, -zlib.MAX_WBITS)


def _brotli(body: bytes, max_bytes: int) -> bytes:
    decompressor = brotli.Decompressor()
    pieces, size = [], 0
    try:
        piece = decompressor.process(body, output_buffer_limit=max_bytes + 1)
        while piece:
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                break
            piece = decompressor.process(b"", output_buffer_limit=max_bytes + 1)
    except brotli.error as error:
        message = "the body is not what its content coding says"
        raise Undecodable(message) from error
    return _checked(b"".join(pieces), max_bytes, whole=decompressor.is_finished())


def _zstd(body: bytes, max_bytes: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 23)
    try:
        # Twice: this reader can be bounded, but does not tell a body that is cut short from a whole one.
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            size = 0
            while piece := reader.read(_READ_BYTES):
                size += len(piece)
                if size > max_bytes:
                    raise _too_large()
        return _joined(
            body, max_bytes, decompressor.decompressobj, lambda frame, data, _: frame.decompress(data)
        )
    except zstandard.ZstdError as error:
        message = "the body is not what its content coding says"
        raise Undecodable(message) from error


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def put(body: bytes, reply: dict[str, Any]) -> None:
    """Add `body` to a reply: as text, or where it is no UTF-8 as base64 with `body_encoding`."""
    try:
        reply["body"] = body.decode()
    except UnicodeDecodeError:
        reply["body"] = b64encode(body).decode("ascii")
        reply["body_encoding"] = "base64"
