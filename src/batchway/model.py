"""The values that travel between formats, engine and targets."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Annotated, Any, Generic, Protocol, TypeVar
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct

from batchway.errors import BatchwayError, BodyTooLarge, ReplyTooLarge

R = TypeVar("R")

Positive = Annotated[int, Meta(gt=0)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What one batch may cost. Sizes in bytes, times in milliseconds."""

    max_body_size: Positive = 1024 * 1024
    max_pipeline_items: Positive = 1000
    timeout: Positive = 30_000
    max_timeout: Positive = 300_000
    concurrency: Positive = 100
    max_reply_size: Positive = 10 * 1024 * 1024
    max_response_size: Positive = 64 * 1024 * 1024


HOP_BY_HOP = frozenset(
    b"connection content-length expect keep-alive te trailer transfer-encoding upgrade"
    b" content_length keep_alive transfer_encoding".split()
)
"""Names of headers that speak of one connection or of framing, so that are never passed on.

To CGI-like upstreams those with underscores are the same.
"""
NO_HOST = bytes([*range(0x21), 0x7F, *b"/?#@\\"])
"""Bytes that no host has: upstreams, caches and logs could each take it for another (RFC 9112, 3.2)."""


def end_to_end(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers that may travel on: without framing, hop-by-hop ones and those that they name.

    Names keep their spelling. Source: RFC 9110, section 7.6.1.
    """
    kept = []
    nominating: list[bytes] = []
    for pair in pairs:
        name = pair[0].lower()
        if name == b"connection":
            nominating.append(pair[1])
        elif name not in HOP_BY_HOP and not name.startswith(b"proxy-"):
            kept.append(pair)
    return without_nominated(kept, nominating) if nominating else kept


def without_nominated(
    pairs: list[tuple[bytes, bytes]], nominating: Iterable[bytes]
) -> list[tuple[bytes, bytes]]:
    """`pairs` without the headers that the values of a Connection header name."""
    names = {token.strip().lower() for value in nominating for token in value.split(b",")}
    names -= {b"close", b"keep-alive"}
    return [pair for pair in pairs if pair[0].lower() not in names] if names else pairs


_MAX_CHANGED = 16


class Headers:
    """Request headers: end-to-end ones only, lower-case names in wire order, never changed once built.

    The items of a batch that add no header of their own share one of these, so what is costly to
    derive from them (`index`, `memo`) is derived once for all.
    """

    __slots__ = ("_changed", "_index", "memo", "pairs", "written")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.pairs = tuple(pairs)
        self._index: dict[bytes, bytes] | None = None
        self._changed: dict[Any, Headers] | None = None
        #: whoever derives something costly may keep it here, behind what it depends on
        self.memo: tuple[Any, ...] | None = None
        #: names that were put in place of whatever the client had said in them
        self.written: frozenset[bytes] = frozenset()

    def get(self, name: bytes) -> bytes | None:
        """The value of the first header of that lower-case name, or None."""
        index = self._index
        if index is None:
            index = self._index = dict(reversed(self.pairs))
        return index.get(name)

    def all(self, name: bytes) -> list[bytes]:
        """The values of all headers of that lower-case name, in their order."""
        return [value for one, value in self.pairs if one == name]

    def changed(
        self, *, removed: tuple[bytes, ...] = (), added: tuple[tuple[bytes, bytes], ...] = ()
    ) -> "Headers":
        """These headers without the ones of some names, and with others. Names in lower case.

        The same change to the same headers gives the same object, so the items of a batch go on
        sharing what is derived from it.
        """
        known = self._changed
        if known is None:
            known = self._changed = {}
        found = known.get((removed, added))
        if found is None:
            if len(known) >= _MAX_CHANGED:
                known.clear()
            kept = [pair for pair in self.pairs if pair[0] not in removed] if removed else self.pairs
            found = known[removed, added] = Headers((*kept, *added))
            found.written = self.written.union(name for name, _ in added if name in removed)
        return found

    def __repr__(self) -> str:
        return f"Headers({list(self.pairs)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.pairs == other.pairs

    def __hash__(self) -> int:
        return hash(self.pairs)


class Origin(Struct, frozen=True):
    """Where a request came from. Travels out of band: no header can forge it."""

    client: str
    """Address of the client, after trusted proxies; `""` if it has none."""
    scheme: str = "http"
    host: str = ""
    """What the client called us: the outer Host header."""
    port: int = 80
    """Port that the client reached us on."""
    trusted: bool = False
    """Whether the peer's own `X-Forwarded-*` headers may be believed."""
    client_port: int = 0
    """That the request was sent from; 0 if it is not known."""
    address: str = ""
    """Of ours, that the client reached; `""` if it is not known."""


class Budget:
    """What the items of one batch share: the bytes that their replies may still take, and a memo."""

    __slots__ = ("_id", "max_reply_size", "memo", "remaining")

    def __init__(self, *, max_reply_size: int, max_response_size: int) -> None:
        self.max_reply_size = max_reply_size
        self.remaining = max_response_size
        #: what was found out for one item and holds for others, such as whose a credential is
        self.memo: dict[Any, Any] = {}
        self._id = ""

    @property
    def id(self) -> str:
        """Names the batch in logs: 32 hexadecimal digits."""
        if not self._id:
            self._id = uuid4().hex
        return self._id

    def take(self, count: int) -> None:
        """Spend `count` bytes. Raises ReplyTooLarge when they are not there."""
        if count > self.remaining:
            message = "the replies of this batch are larger than max_response_size"
            raise ReplyTooLarge(message)
        self.remaining -= count

    def give_back(self, count: int) -> None:
        """Return the bytes of a reply that will not be used."""
        self.remaining += count


class Body(Protocol):
    """A request body that arrives in pieces."""

    length: int | None
    """From Content-Length; None if it was not announced."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces, none empty. Raises ClientGone when the client leaves half-way."""


class ClientGone(Exception):
    """The client closed its connection before its request was whole, or answered."""


async def read_body(
    body: bytes | Body, max_bytes: int, error: Callable[[str], BatchwayError] = BodyTooLarge
) -> bytes:
    """The whole body, of at most `max_bytes`; raises `error` beyond, as soon as it is known."""
    if isinstance(body, bytes):
        size, pieces = len(body), [body]
    else:
        size, pieces = body.length or 0, []
        if size <= max_bytes:
            size = 0
            async for piece in body:
                size += len(piece)
                if size > max_bytes:
                    break
                pieces.append(piece)
    if size > max_bytes:
        raise error(f"request size {size} is greater than the maximum size {max_bytes} allowed")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Request(Struct, gc=False):
    """One HTTP request, from the wire or out of a batch."""

    method: str
    path: str
    """As on the wire: percent-encoded ASCII, begins with a slash, no query."""
    query: str
    """As on the wire, without the question mark; `""` if there is none."""
    headers: Headers
    body: bytes | Body
    origin: Origin
    batch: Budget | None = None
    """Set for an item: the budget of its batch, also the key for fair turns between batches."""
    verify_tls: bool = False
    """The item asks that the upstream's certificate be verified, whatever the upstream says."""
    carries: Budget | None = None
    """That of the batch in its body, once it is known that there is one."""
    upstream_addr: str = ""
    """Address and port of the node that was asked last; `""` if none was."""


class Response(Struct, gc=False):
    """One HTTP response. A body that is no `bytes` is read once, and closed by who reads it."""

    status: int
    reason: str
    headers: list[tuple[bytes, bytes]]
    """End-to-end headers only, names spelled as the upstream spelled them."""
    body: "bytes | BodyStream | None"
    """None where HTTP has no body: an answer to HEAD, a 204, a 304."""


class BodyStream(Protocol):
    """A response body that arrives in pieces; `aclose` frees its connection, also half-way."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class BatchReport(Struct, frozen=True):
    """What became of one batch. Times in seconds, sizes in bytes."""

    format: str
    """The dialect: `apisix`, `jsonrpc`."""
    items: int
    failed: int
    """Items without an answer of their own, or with a status of 500 and above."""
    duration_s: float
    bytes_in: int
    bytes_out: int
    """Of the response's body, before any compression."""


class CallReport(Struct, frozen=True, gc=False):
    """What has become of one JSON-RPC call."""

    index: int
    """In its batch, from 0."""
    method: str | None
    """As it was sent, however long; None for an entry that is no call."""
    code: int | None
    """Of its error, also where no client waits to be told; 0 if it has worked, None if it did not end."""
    took_s: float


class Calls(Protocol):
    """The JSON-RPC calls that a request carries."""

    @property
    def id(self) -> str | None:
        """Names their batch in logs; None for one call that is no batch."""

    def __iter__(self) -> Iterator[CallReport]:
        """What has become of each until now, in wire order."""


class Ready(Struct, Generic[R], gc=False):
    """An item that needs no running: its answer is known before anything has run."""

    result: R | BatchwayError


class Reply(Struct, Generic[R], gc=False):
    """An item's answer: what its target returned, or why there is nothing to return."""

    index: int
    result: R | BatchwayError


REASONS = {status.value: status.phrase for status in HTTPStatus}
"""Reason phrases of the registered statuses."""


def error_response(error: BatchwayError) -> Response:
    """The response that tells a client of `error`."""
    return json_response(error.status, {"error_msg": error.message})


def json_response(status: int, document: Any, reason: str = "") -> Response:
    """A response with a JSON body."""
    body = msgspec.json.encode(document)
    headers = [(b"Content-Type", b"application/json")]
    return Response(status, reason or REASONS.get(status, ""), headers, body)
