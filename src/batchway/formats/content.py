"""Bodies as JSON can carry them: decoded from their content coding, text as it is, the rest base64.

Source: RFC 9110, section 8.4 (content codings).
"""

import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import brotli
import zstandard

from batchway.errors import ReplyTooLarge

MAX_CODINGS = 3
"""A body wrapped more often than this is left as it is."""


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
    for name in reversed(codings):  # listed in the order in which they were applied
        body = _DECODERS[name](body, max_bytes)
    return body


def _checked(body: bytes, max_bytes: int, *, whole: bool) -> bytes:
    if len(body) > max_bytes:
        message = "the decoded reply is larger than max_reply_size"
        raise ReplyTooLarge(message)
    if not whole:
        message = "the body ends before its content coding does"
        raise Undecodable(message)
    return body


def _inflate(body: bytes, max_bytes: int, wbits: int) -> bytes:
    made = b""
    while True:  # a gzip body may consist of several members, RFC 1952, section 2.2
        inflater = zlib.decompressobj(wbits)
        try:
            made += inflater.decompress(body, max_bytes + 1 - len(made))
        except zlib.error as error:
            message = "the body is not what its content coding says"
            raise Undecodable(message) from error
        body = inflater.unused_data
        if len(made) > max_bytes or not body or not inflater.eof:
            return _checked(made, max_bytes, whole=inflater.eof)


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
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(
            body, read_across_frames=True
        ) as reader:
            made = reader.read(max_bytes + 1)
    except zstandard.ZstdError as error:
        message = "the body is not what its content coding says"
        raise Undecodable(message) from error
    return _checked(made, max_bytes, whole=True)


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
