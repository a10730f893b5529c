"""What a client accepts, and gzip for who accepts it. Source: RFC 9110, section 12."""

import asyncio
import zlib
from collections.abc import Iterable

MIN_COMPRESSED_BYTES = 1400
"""A response that fits one packet gains nothing by compression."""
_INLINE_BYTES = 256 * 1024
_LEVEL = 1  # a third of level 6's time; JSON of replies shrinks to 9 % instead of 6 %


def weights(values: Iterable[bytes]) -> dict[str, float]:
    """What an Accept or Accept-Encoding header names, in lower case, each with its weight.

    `values` are those of all headers of that name. Parameters but `q` are left out.
    """
    named: dict[str, float] = {}
    for value in values:
        for one in value.decode("latin-1").lower().split(","):
            name, _, parameters = one.partition(";")
            named[name.strip()] = _weight(parameters)
    return named


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def accepts_gzip(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether Accept-Encoding names gzip, or `*`, with a weight above 0. Section 12.5.3.

    Names of headers are in lower case.
    """
    named = weights(value for name, value in headers if name == b"accept-encoding")
    return named.get("gzip", named.get("x-gzip", named.get("*", 0.0))) > 0


async def compress(body: bytes) -> bytes:
    """`body` as gzip; a large one is compressed beside the event loop."""
    return await asyncio.to_thread(_gzip, body) if len(body) > _INLINE_BYTES else _gzip(body)


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL, zlib.MAX_WBITS | 16)


_SENT_UNASKED = frozenset(
    {b"", b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"}
)


def is_sent_unasked(content_type: bytes) -> bool:
    """Whether a page may send that type to another site without asking it first.

    Source: Fetch, section 2.2.2, "CORS-safelisted request-header".
    """
    return content_type.partition(b";")[0].strip().lower() in _SENT_UNASKED
