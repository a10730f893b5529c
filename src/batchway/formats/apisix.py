"""The `batch-requests` format of Apache APISIX: bytes in, requests out, and back. No I/O.

Source: apisix/plugins/batch-requests.lua, releases 3.14 to 3.18. Where this format differs on purpose,
docs/formats/apisix.md has the line.
"""

import re
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from batchway.errors import (
    BadRequest,
    BatchTooLarge,
    BatchwayError,
    DeadlineExceeded,
    MalformedBatch,
    ReplyTooLarge,
    TooManyItems,
    UpstreamBroken,
)
from batchway.formats import content, entries, headers, query
from batchway.formats.complaint import rephrase
from batchway.model import (
    Budget,
    Headers,
    Limits,
    Origin,
    Ready,
    Request,
    Response,
    error_response,
)

NAME = "apisix"
Method = Literal["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"]

VERSIONS = frozenset({1.0, 1.1, "1.0", "1.1"})
"""The documentation of APISIX says string, its schema number: both are taken."""

_NOTHING: dict[str, Any] = {}
# APISIX refuses these with "invalid characters found in path"; all but `?`, which starts the query.
_BAD_PATH = re.compile(r"[\x00-\x20\x7f#<>`]").search
_SAFE = "!\"$%&'()*+,/:;=?@[\\]^{|}~"


class _Item(Struct, forbid_unknown_fields=True, gc=False):
    path: Annotated[str, Meta(min_length=1)]
    method: Method = "GET"
    query: dict[str, Any] | UnsetType = UNSET
    headers: dict[str, Any] | UnsetType = UNSET
    body: str | UnsetType = UNSET
    version: float | str = 1.1
    ssl_verify: bool = False


class _Batch(Struct):
    pipeline: Annotated[list[_Item], Meta(min_length=1)]
    query: dict[str, Any] | UnsetType = UNSET
    headers: dict[str, Any] | UnsetType = UNSET
    timeout: int | float | UnsetType = UNSET


class Batch(Struct):
    """A batch that may be run: its items in wire order, and how many seconds it may take."""

    items: list[Request | Ready[Response]]
    timeout_s: float
    budget: Budget


_decoder = msgspec.json.Decoder(_Batch)
_encode = msgspec.json.Encoder().encode


def decode(body: bytes, outer: Headers, origin: Origin, limits: Limits) -> Batch:
    """Split a batch into requests, in wire order, with all they inherit.

    An item whose path cannot be asked for becomes its ready 400, so its neighbours still run. Raises
    MalformedBatch, naming the property or the item, BatchTooLarge and TooManyItems; nothing has run
    then. `outer` are the headers of the request that carried the batch.
    """
    if len(body) > limits.max_body_size:
        message = (
            f"request size {len(body)} is greater than the maximum size {limits.max_body_size} allowed"
        )
        raise BatchTooLarge(message)
    if not body:
        message = "no request body, you should give at least one pipeline setting"
        raise MalformedBatch(message)
    batch = _parse(body)
    timeout_s = _timeout_s(batch, limits)
    if len(batch.pipeline) > limits.max_pipeline_items:
        message = (
            f"too many pipeline requests, {len(batch.pipeline)} exceeds the maximum of "
            f"{limits.max_pipeline_items}"
        )
        raise TooManyItems(message)
    budget = Budget(max_reply_size=limits.max_reply_size, max_response_size=limits.max_response_size)
    items = _Merger(batch, outer, origin, budget).requests()
    return Batch(items, timeout_s, budget)


def _parse(body: bytes) -> _Batch:
    try:
        entries.check_depth(body)
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        complaint = str(error)
        if complaint == "Object missing required field `pipeline`":
            complaint = 'object matches none of the required: ["pipeline"]'
        message = f"bad request body: {rephrase(complaint)}"
        raise MalformedBatch(message) from None
    except RecursionError:
        message = "invalid request body: nested too deeply"
        raise MalformedBatch(message) from None
    except UnicodeDecodeError:
        message = "invalid request body: not UTF-8"
        raise MalformedBatch(message) from None
    except msgspec.DecodeError as error:
        message = f"invalid request body: {error}"
        raise MalformedBatch(message) from None


def _timeout_s(batch: _Batch, limits: Limits) -> float:
    if batch.timeout is UNSET:
        return min(limits.timeout, limits.max_timeout) / 1000
    if batch.timeout != int(batch.timeout):
        raise _bad('property "timeout" validation failed: wrong type: expected integer, got number')
    if batch.timeout < 1:
        given = headers.number(batch.timeout)
        raise _bad(f'property "timeout" validation failed: expected {given} to be at least 1')
    return min(batch.timeout, limits.max_timeout) / 1000


def _bad(complaint: str) -> MalformedBatch:
    return MalformedBatch(f"bad request body: {complaint}")


class _Merger:
    """Gives the items of one batch what they share. All that is common is derived once."""

    def __init__(self, batch: _Batch, outer: Headers, origin: Origin, budget: Budget) -> None:
        self.batch = batch
        self.origin = origin
        self.budget = budget
        self.common_query = _NOTHING if batch.query is UNSET else batch.query
        common = headers.inherited(outer)
        if batch.headers is not UNSET:
            try:
                common.update(headers.parse(batch.headers, headers.PROTECTED))
            except headers.BadHeader as error:
                raise _bad(f'property "headers" validation failed: {error}') from None
        self.common = common
        self.shared = headers.combine(common, {})

    def requests(self) -> list[Request | Ready[Response]]:
        """All items. Raises MalformedBatch for the first that HTTP could not carry."""
        made = []
        for index, item in enumerate(self.batch.pipeline):
            try:
                made.append(self.request(item))
            except (ValueError, RecursionError) as error:
                where = f'property "pipeline" validation failed: failed to validate item {index + 1}'
                raise _bad(f"{where} (pipeline[{index}]): {error}") from None
        return made

    def request(self, item: _Item) -> Request | Ready[Response]:
        path, _, path_query = item.path.partition("?")
        if _BAD_PATH(item.path):
            message = "invalid characters found in path"
            raise ValueError(message)
        if item.version not in VERSIONS:
            message = 'property "version" validation failed: matches none of the enum values'
            raise ValueError(message)
        own_headers = self.shared
        if item.headers is not UNSET:
            own = headers.parse(item.headers, headers.PROTECTED)
            own_headers = headers.combine(self.common, own)
        own_query = _NOTHING if item.query is UNSET else item.query
        if own_query or self.common_query:
            path_query = query.combine(path_query, own_query, self.common_query)
        if path[:1] != "/":
            return Ready(BadRequest("path must begin with a slash"))
        return Request(
            item.method,
            path if path.isascii() else quote(path, safe=_SAFE),
            path_query if path_query.isascii() else quote(path_query, safe=_SAFE),
            own_headers,
            b"" if item.body is UNSET else item.body.encode(),
            self.origin,
            self.budget,
            item.ssl_verify,
        )


# --- replies

_TIMED_OUT: dict[str, Any] = {"status": 504, "reason": "upstream timeout"}
_CODING = "Content-Encoding"
_names: dict[bytes, str] = {}
_MAX_NAMES = 1024
_MAX_NAME = 64


def encode_reply(
    result: Response | BatchwayError, budget: Budget, duration_ms: float | None = None
) -> bytes:
    """One reply as JSON: status, reason, headers as the upstream spelled them, body.

    Spends what the JSON takes beyond the bytes of the body that `budget` has seen already; a reply for
    which nothing is left becomes a 502 that says so. `duration_ms` is added where it is known.
    """
    extra = {} if duration_ms is None else {"duration_ms": duration_ms}
    if isinstance(result, DeadlineExceeded):
        return _encode(_TIMED_OUT | extra)
    if isinstance(result, BatchwayError):
        return _encode(_reply(error_response(result), budget) | extra)
    seen = len(result.body) if isinstance(result.body, bytes) else 0
    try:
        reply = _encode(_reply(result, budget) | extra if extra else _reply(result, budget))
        if len(reply) > seen:
            budget.take(len(reply) - seen)
    except (ReplyTooLarge, content.Undecodable) as error:
        budget.give_back(seen)
        failure = error if isinstance(error, BatchwayError) else UpstreamBroken(str(error))
        return _encode(_reply(error_response(failure), budget) | extra)
    return reply


def encode(replies: list[bytes]) -> bytes:
    """The response body: what `encode_reply` gave for each item, in item order."""
    return b"[" + b",".join(replies) + b"]"


def _reply(response: Response, budget: Budget) -> dict[str, Any]:
    reply: dict[str, Any] = {"status": response.status, "reason": response.reason}
    fields = _fields(response.headers)
    body = response.body
    if isinstance(body, bytes):
        if _CODING in fields and response.status != 206:  # a part of a coded body decodes to nothing
            body = _decoded(body, fields, budget)
        content.put(body, reply)
    reply["headers"] = fields
    return reply


def _fields(pairs: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Headers as an object; a name that comes again becomes an array."""
    fields: dict[str, Any] = {}
    for raw_name, raw_value in pairs:
        name = _names.get(raw_name) or _spell(raw_name)
        try:
            value = raw_value.decode()
        except UnicodeDecodeError:
            value = raw_value.decode("latin-1")
        if name in fields:
            before = fields[name]
            fields[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            fields[name] = value
    return fields


def _spell(raw_name: bytes) -> str:
    """The name as text, remembered: upstreams send few different ones, and often.

    `Content-Encoding` gets one spelling, so that it is found at once: hardly a reply keeps it.
    """
    name = raw_name.decode("latin-1")
    if name.lower() == "content-encoding":
        name = _CODING
    if len(name) <= _MAX_NAME:
        if len(_names) >= _MAX_NAMES:
            _names.clear()
        _names[raw_name] = name
    return name


def _decoded(body: bytes, fields: dict[str, Any], budget: Budget) -> bytes:
    """The body without its content coding, the headers that spoke of it corrected."""
    named = fields[_CODING]
    listed = named if isinstance(named, str) else ", ".join(named)
    plain = content.decode(body, listed, min(budget.max_reply_size, budget.remaining))
    if plain is None:
        return body
    del fields[_CODING]
    for name in fields:
        if name.lower() == "content-length":
            fields[name] = str(len(plain))
    return plain
