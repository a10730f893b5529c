"""Where a format, the engine and a target meet: a request that carries a batch becomes its response."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from batchway.engine import Bounds, run
from batchway.errors import BatchTooLarge, BatchwayError, NestedBatch
from batchway.formats import apisix
from batchway.model import Budget, Headers, Limits, Origin, Request, Response, read_body

HttpTarget = Callable[[Request], Awaitable[Response]]

MIN_COMPRESSED_BYTES = 1400
"""A response that fits one packet gains nothing by compression."""
_INLINE_BYTES = 256 * 1024
_LEVEL = 1  # a third of level 6's time for nine tenths of its effect on JSON


class HttpFormat(Protocol):
    """A dialect whose items are HTTP requests."""

    def decode(self, body: bytes, outer: Headers, origin: Origin, limits: Limits) -> apisix.Batch: ...

    def encode_reply(self, result: Response | BatchwayError, budget: Budget) -> bytes: ...

    def encode(self, replies: list[bytes]) -> bytes: ...


async def answer(
    request: Request, target: HttpTarget, limits: Limits, dialect: HttpFormat = apisix
) -> Response:
    """Run the batch in the request's body against `target`.

    Raises BatchRefused when nothing of it was run. Cancelled, it cancels the items.
    """
    if request.batch is not None:
        message = "a batch inside a batch is refused"
        raise NestedBatch(message)
    body = await read_body(request.body, limits.max_body_size, BatchTooLarge)
    batch = dialect.decode(body, request.headers, request.origin, limits)
    replies = [b""] * len(batch.items)
    async for reply in run(batch.items, target, Bounds(batch.timeout_s, limits.concurrency)):
        replies[reply.index] = dialect.encode_reply(reply.result, batch.budget)
    return await _respond(request, dialect.encode(replies))


async def _respond(request: Request, body: bytes) -> Response:
    headers = [(b"Content-Type", b"application/json")]
    if len(body) >= MIN_COMPRESSED_BYTES:
        headers.append((b"Vary", b"Accept-Encoding"))
        if _accepts_gzip(request.headers):
            headers.append((b"Content-Encoding", b"gzip"))
            big = len(body) > _INLINE_BYTES
            body = await asyncio.to_thread(_gzip, body) if big else _gzip(body)
    return Response(200, "OK", headers, body)


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, _LEVEL, zlib.MAX_WBITS | 16)


def _accepts_gzip(headers: Headers) -> bool:
    """Whether Accept-Encoding names gzip, or `*`, with a weight above 0. RFC 9110, section 12.5.3."""
    named: dict[str, float] = {}
    for name, value in headers.pairs:
        if name == b"accept-encoding":
            for one in value.decode("latin-1").lower().split(","):
                coding, _, parameter = one.partition(";")
                named[coding.strip()] = _weight(parameter)
    return named.get("gzip", named.get("x-gzip", named.get("*", 0.0))) > 0


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
