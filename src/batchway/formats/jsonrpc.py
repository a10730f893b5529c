"""JSON-RPC 2.0: bytes in, calls out; answers in, bytes out. No I/O.

Ids and params stay the bytes that they came as: an id goes back exactly so, and params are decoded once, by
who knows their types. Source: JSON-RPC 2.0 Specification, sections 4 to 6.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from batchway.errors import MalformedBatch, TooManyItems
from batchway.formats import entries

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

NO_ID = Raw()
"""The id of a notification: it has none."""
NULL_ID = Raw(b"null")
NO_PARAMS = Raw(b"[]")
"""The params of a call that has none; an empty array that was sent is another object."""


class Error(Struct, frozen=True):
    """The error object. Section 5.1."""

    code: int
    message: str
    data: Any | UnsetType = UNSET


class Call(Struct, gc=False):
    """One call; a notification if its id is NO_ID.

    `params` may be any JSON value: that it is neither array nor object is left for who decodes it to find.
    All else has been checked.
    """

    jsonrpc: Literal["2.0"]
    method: str
    params: Raw = NO_PARAMS
    id: Raw = NO_ID


class Malformed(Struct):
    """An entry that is no call, and what it is told. It always is: it can be no notification either."""

    error: Error
    id: Raw = NULL_ID
    method: None = None


class Batch(Struct):
    """What a body holds, in wire order. `single`: one entry that stands for itself, in no array."""

    entries: Sequence[Call | Malformed]
    single: bool


class Unreadable(MalformedBatch):
    """Nothing in the body could be called. `error` is the one answer to it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.error = Error(code, message)


class Answer(Struct, tag_field="jsonrpc", tag="2.0", gc=False):
    """The response to a call that has worked; members as the specification's examples have them."""

    result: Any
    id: Raw


class Failure(Struct, tag_field="jsonrpc", tag="2.0", gc=False):
    """The response to a call that has not."""

    error: Error
    id: Raw


Encode = Callable[[Any], bytes]

_SPACE = b" \t\r\n"  # RFC 8259, section 2
_decode_one = msgspec.json.Decoder(Call).decode
_decode_many = msgspec.json.Decoder(list[Call]).decode


class Dialect:
    """How entries are judged and responses written: here, as the specification has it."""

    answer: Callable[[Any, Raw], Struct] = staticmethod(Answer)
    """Of a result and an id; encoded, it is the response to a call that has worked."""

    def decode(self, body: bytes, *, max_items: int, max_depth: int) -> Batch:
        """Split a body into calls, in wire order.

        An entry that is no call becomes a Malformed, so that its neighbours still run. Raises Unreadable if
        there is nothing to run, TooManyItems.
        """
        single = body.lstrip(_SPACE)[:1] != b"["
        raws: list[Raw] | None = None
        try:
            entries.check_depth(body)
            if not body.isascii():
                body.decode()  # the one thing that Raw does not check in what it skips over
            try:
                calls = [_decode_one(body)] if single else _decode_many(body)
            except msgspec.ValidationError:
                calls, raws = [], entries.split(body, single=single)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unreadable(PARSE_ERROR, "Parse error") from None
        _check_count(len(calls if raws is None else raws), max_items)
        if raws is None:
            if not _is_suspect(body, calls, max_depth):
                return Batch(self.accept(calls), single)
            raws = entries.split(body, single=single)
        return Batch([self._examine(raw, max_depth) for raw in raws], single)

    def accept(self, calls: list[Call]) -> Sequence[Call | Malformed]:
        """The calls as they are to be run. A dialect may find one to be none."""
        return calls

    def malformed(self, entry: Raw, reason: str | UnsetType = UNSET) -> Malformed:
        """What an entry is told that is no call, or one that is refused for a `reason`."""
        return Malformed(Error(INVALID_REQUEST, "Invalid Request", reason), _id_of(entry))

    def unfit(self, call: Call, reason: str | UnsetType = UNSET) -> Malformed:
        """What a call is told whose params are neither array nor object, or are refused for a `reason`."""
        id = NULL_ID if call.id is NO_ID else call.id
        return Malformed(Error(INVALID_REQUEST, "Invalid Request", reason), id)

    def failure(self, error: Error, id: Raw) -> Struct:
        """The response that tells of `error`, once it is encoded."""
        return Failure(error, id)

    def encode(self, responses: Iterable[Any], encode: Encode, *, single: bool) -> bytes | None:
        """The body: of the responses, None for each notification; None if there is nothing to say."""
        said = list(filter(None, responses))
        if not said:
            return None
        return encode(said[0] if single else said)

    def _examine(self, entry: Raw, max_depth: int) -> Call | Malformed:
        try:
            call = _decode_one(entry)
        except msgspec.ValidationError:
            return self.malformed(entry)
        if not _is_id(call.id):
            return self.malformed(entry)
        if entries.is_deeper(call.params, max_depth):
            return self.malformed(entry, f"params are nested deeper than {max_depth}")
        if not _has_more_members(bytes(entry), [call]):
            return self.accept([call])[0]
        repeated = entries.repeated_members(entry)
        if repeated:
            return self.malformed(NULL_ID if "id" in repeated else entry, "a member occurs twice")
        return self.accept([call])[0]


def _check_count(count: int, max_items: int) -> None:
    if not count:
        raise Unreadable(INVALID_REQUEST, "Invalid Request")  # an empty array, section 6
    if count > max_items:
        message = f"{count} calls exceed the maximum of {max_items}"
        raise TooManyItems(message)


def _is_suspect(body: bytes, calls: list[Call], max_depth: int) -> bool:
    """Whether one of the calls, which are well-formed so far, may have to be refused. Errs on that side.

    Done for all at once, since it would be a third of the time that a call takes if done one by one.
    """
    ids = [call.id for call in calls]
    params = [call.params for call in calls]
    if not b"".join(ids).isdigit() and not all(map(_is_id, ids)):
        return True
    if max(map(len, params)) > 2 * max_depth and any(entries.is_deeper(one, max_depth) for one in params):
        return True
    # Whoever has read each member once has seen all colons, unless one came twice, or one that we do not
    # know. This sum is short only if somebody has sent an empty array as params.
    known = 4 * len(calls) - ids.count(NO_ID) - params.count(NO_PARAMS)
    return body.count(b":") != known and _has_more_members(body, calls)


def _has_more_members(body: bytes, calls: list[Call]) -> bool:
    known = within = 0
    for call in calls:
        known += 4 - (call.id is NO_ID) - (call.params is NO_PARAMS)
    within += b"".join([call.params for call in calls]).count(b":")
    within += b"".join([call.id for call in calls]).count(b":")
    if b"\\" not in body:  # or else a colon in a name may be none in the body
        within += "".join([call.method for call in calls]).count(":")
    return body.count(b":") != known + within


def _is_id(id: Raw) -> bool:
    """Whether it is a string, a number, null, or missing. Section 4."""
    return id is NO_ID or entries.is_scalar(id)


def _id_of(entry: Raw) -> Raw:
    """The id of an entry, if it has one that is valid. Else null, as section 5 wants it."""
    id = entries.id_of(entry)
    return id if id is not None and entries.is_scalar(id) else NULL_ID
