"""Where a format, the engine and a target meet: a request that carries a batch becomes its response."""

import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from batchway.engine import Bounds, run
from batchway.errors import BatchTooLarge, BatchwayError, ForgedByPage, NestedBatch
from batchway.formats import apisix
from batchway.model import BatchReport, Budget, Headers, Limits, Origin, Request, Response, read_body
from batchway.negotiation import MIN_COMPRESSED_BYTES, accepts_gzip, compress, is_sent_unasked

HttpTarget = Callable[[Request], Awaitable[Response]]

DURATIONS = b"item-durations"
"""In a `Prefer` header (RFC 7240): each reply shall say how long its item took."""


_FAILED = 500


class HttpFormat(Protocol):
    """A dialect whose items are HTTP requests."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a constant of the dialect's module

    def decode(self, body: bytes, outer: Headers, origin: Origin, limits: Limits) -> apisix.Batch: ...

    def encode_reply(
        self, result: Response | BatchwayError, budget: Budget, duration_ms: float | None = None
    ) -> bytes: ...

    def encode(self, replies: list[bytes]) -> bytes: ...


async def answer(
    request: Request,
    target: HttpTarget,
    limits: Limits,
    dialect: HttpFormat = apisix,
    note: Callable[[BatchReport], None] | None = None,
) -> Response:
    """Run the batch in the request's body against `target`. `note` hears what became of it.

    Raises BatchRefused when nothing of it was run. Cancelled, it cancels the items.
    """
    if request.batch is not None:
        message = "a batch inside a batch is refused"
        raise NestedBatch(message)
    if _is_forgeable(request.headers):
        message = "a page of another site must send a batch as application/json"
        raise ForgedByPage(message)
    began = time.perf_counter()
    body = await read_body(request.body, limits.max_body_size, BatchTooLarge)
    batch = dialect.decode(body, request.headers, request.origin, limits)
    request.carries = batch.budget
    stopwatch = _Stopwatch(target) if _wants_durations(request.headers) else None
    replies = [b""] * len(batch.items)
    failed = 0
    bounds = Bounds(batch.timeout_s, limits.concurrency)
    async for reply in run(batch.items, stopwatch or target, bounds):
        took_ms = stopwatch.took_ms(batch.items[reply.index]) if stopwatch else None
        replies[reply.index] = dialect.encode_reply(reply.result, batch.budget, took_ms)
        failed += isinstance(reply.result, BatchwayError) or reply.result.status >= _FAILED
    answered = dialect.encode(replies)
    if note is not None:
        took_s = time.perf_counter() - began
        note(BatchReport(dialect.NAME, len(replies), failed, took_s, len(body), len(answered)))
    response = await _respond(request, answered)
    if stopwatch is not None:
        response.headers.append((b"Preference-Applied", DURATIONS))
    return response


def _is_forgeable(headers: Headers) -> bool:
    """Whether a page of another site could have made its visitor's browser send this.

    Browsers name a page's origin in every POST; other clients have no visitor whose cookies they use.
    """
    origin = headers.get(b"origin")
    if origin is None:
        return False
    is_own = origin.partition(b"://")[2].lower() == (headers.get(b"host") or b"").lower()
    return not is_own and is_sent_unasked(headers.get(b"content-type") or b"")


def _wants_durations(headers: Headers) -> bool:
    preferred = headers.get(b"prefer")
    return preferred is not None and DURATIONS in preferred.lower()


class _Stopwatch:
    """A target that notes when each of its items began and ended."""

    def __init__(self, target: HttpTarget) -> None:
        self._target = target
        self._began: dict[int, float] = {}
        self._took_s: dict[int, float] = {}

    async def __call__(self, item: Request) -> Response:
        self._began[id(item)] = began = time.perf_counter()
        try:
            return await self._target(item)
        finally:
            self._took_s[id(item)] = time.perf_counter() - began

    def took_ms(self, item: object) -> float:
        """So far, of an item that has not ended; 0 of one that has not begun."""
        key = id(item)
        now = time.perf_counter()
        took_s = self._took_s.get(key, now - self._began.get(key, now))
        return round(took_s * 1000, 3)


async def _respond(request: Request, body: bytes) -> Response:
    headers = [(b"Content-Type", b"application/json")]
    if len(body) >= MIN_COMPRESSED_BYTES:
        headers.append((b"Vary", b"Accept-Encoding"))
        if accepts_gzip(request.headers.pairs):
            headers.append((b"Content-Encoding", b"gzip"))
            body = await compress(body)
    return Response(200, "OK", headers, body)
