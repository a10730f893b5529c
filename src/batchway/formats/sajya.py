"""JSON-RPC as Sajya, the server for Laravel, writes it: other envelopes, the same calls. No I/O.

Source: sajya/server 7, src/Http and tests/Expected. Its defects are not copied; docs/formats/json-rpc.md
has the list of them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from batchway.formats import entries
from batchway.formats.jsonrpc import INVALID_PARAMS, NULL_ID, Call, Dialect, Encode, Error, Malformed


class Answer(Struct, gc=False):
    """The response to a call that has worked."""

    id: Raw
    result: Any
    jsonrpc: str = "2.0"


class Failure(Struct, gc=False):
    """The response to a call that has not."""

    id: Raw
    error: Error
    jsonrpc: str = "2.0"


_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode


class SajyaDialect(Dialect):
    """Ids are sent back as strings; a bad envelope is told what is wrong with each of its members."""

    @staticmethod
    def answer(result: Any, id: Raw) -> Struct:
        """The response to a call that has worked."""
        return Answer(id, result)

    def accept(self, calls: list[Call]) -> Sequence[Call | Malformed]:
        """The calls, with ids as strings. One without a name is none."""
        for call in calls:
            call.id = _as_string(call.id)
        if all(call.method.strip(_BLANKS) for call in calls):
            return calls
        return [call if call.method.strip(_BLANKS) else _nameless() for call in calls]

    def malformed(self, entry: Raw, reason: str | UnsetType = UNSET) -> Malformed:
        """Invalid params for an object, with the members that are wrong; invalid request for all else."""
        if reason is not UNSET:
            refused = super().malformed(entry, reason)
            return Malformed(refused.error, _as_string(refused.id))
        try:
            members = _decode_members(entry)
        except msgspec.ValidationError:
            members = {}
        wrong = {name: [text] for name, text in _complaints(members).items()}
        if not wrong or not members:
            return Malformed(super().malformed(entry).error)
        return Malformed(_invalid(wrong))

    def unfit(self, call: Call, reason: str | UnsetType = UNSET) -> Malformed:
        """What a call is told whose params are neither array nor object, or are refused for a `reason`."""
        if reason is not UNSET:
            return super().unfit(call, reason)
        return Malformed(_invalid({"params": [_PARAMS]}))

    def failure(self, error: Error, id: Raw) -> Struct:
        """The response that tells of `error`; `data` is always there."""
        data = None if error.data is UNSET else error.data
        return Failure(id, Error(error.code, error.message, data))

    def encode(self, responses: Iterable[Any], encode: Encode, *, single: bool) -> bytes | None:
        """The body; notifications alone are answered with an empty one of their kind."""
        return super().encode(responses, encode, single=single) or (b"{}" if single else b"[]")


def _as_string(id: Raw) -> Raw:
    text = bytes(id)
    return id if text[:1] in b'"n' else Raw(b'"' + text + b'"')  # a notification's, empty, stays so


def _invalid(wrong: dict[str, list[str]]) -> Error:
    return Error(INVALID_PARAMS, "Invalid params", wrong)


def _nameless() -> Malformed:
    return Malformed(_invalid({"method": [_REQUIRED.format("method")]}))


_REQUIRED = "The {} field is required."
_PARAMS = "The params field must be an array."
_BLANKS = " \t\n\r\0\x0b"  # what PHP trims


def _complaints(members: dict[str, Raw]) -> dict[str, str]:
    """What Laravel's validator says of an envelope: one sentence for each member that is wrong."""
    found = {}
    if _is_empty(members.get("jsonrpc", NULL_ID)):
        found["jsonrpc"] = _REQUIRED.format("jsonrpc")
    elif _text(members["jsonrpc"]) != "2.0":
        found["jsonrpc"] = "The selected jsonrpc is invalid."
    if _is_empty(members.get("method", NULL_ID)):
        found["method"] = _REQUIRED.format("method")
    elif _text(members["method"]) is None:
        found["method"] = "The method field must be a string."
    if bytes(members.get("params", b"["))[:1] not in (b"[", b"{"):
        found["params"] = _PARAMS
    if not entries.is_scalar(members.get("id", NULL_ID)):
        found["id"] = "The id must be a string or integer."
    return found


def _is_empty(value: Raw) -> bool:
    """Whether Laravel takes a member for one that is missing."""
    text = _text(value)
    if text is not None:
        return not text.strip(_BLANKS)
    return bytes(value).translate(None, b" \t\r\n") in (b"null", b"[]", b"{}")


def _text(value: Raw) -> str | None:
    """A string; None if it is something else."""
    return msgspec.json.decode(value, type=str) if bytes(value)[:1] == b'"' else None
