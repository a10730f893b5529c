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

    def accept(self, calls: list[Call]) -> Sequence[Call]:
        """The calls, with ids as strings."""
        for call in calls:
            text = bytes(call.id)
            if text[:1] not in b'"n':  # nor empty, as a notification's is
                call.id = Raw(b'"' + text + b'"')
        return calls

    def malformed(self, entry: Raw, reason: str | UnsetType = UNSET) -> Malformed:
        """Invalid params for an object, with the members that are wrong; invalid request for all else."""
        try:
            members = _decode_members(entry)
        except msgspec.ValidationError:
            members = {}
        wrong = {name: [text] for name, text in _complaints(members).items()}
        if reason is not UNSET or not wrong or not members:
            return Malformed(super().malformed(entry, reason).error)
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


def _invalid(wrong: dict[str, list[str]]) -> Error:
    return Error(INVALID_PARAMS, "Invalid params", wrong)


_PARAMS = "The params field must be an array."
_EMPTY = (b"null", b'""')


def _complaints(members: dict[str, Raw]) -> dict[str, str]:
    """What Laravel's validator says of an envelope: one sentence for each member that is wrong."""
    found = {}
    version = bytes(members.get("jsonrpc", NULL_ID))
    if version in _EMPTY:
        found["jsonrpc"] = "The jsonrpc field is required."
    elif version != b'"2.0"':
        found["jsonrpc"] = "The selected jsonrpc is invalid."
    method = bytes(members.get("method", NULL_ID))
    if method in _EMPTY:
        found["method"] = "The method field is required."
    elif method[:1] != b'"':
        found["method"] = "The method field must be a string."
    if bytes(members.get("params", b"["))[:1] not in (b"[", b"{"):
        found["params"] = _PARAMS
    if not entries.is_scalar(members.get("id", NULL_ID)):
        found["id"] = "The id must be a string or integer."
    return found
