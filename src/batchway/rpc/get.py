"""A call in a query string, for methods that change nothing. Source: JSON-RPC over HTTP, draft of 2008."""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw

from batchway.formats.jsonrpc import INVALID_REQUEST, PARSE_ERROR
from batchway.rpc.context import Context
from batchway.rpc.errors import HttpMethodRefused, RpcError
from batchway.rpc.registry import Registry
from batchway.rpc.transport import Answered
from batchway.rpc.watch import note_refusal

MEMBERS = frozenset({"jsonrpc", "method", "params", "id"})

HEADERS = (
    (b"cache-control", b"no-store"),  # what a method returns may be another thing the next time
    (b"x-content-type-options", b"nosniff"),  # a link can bring a browser here, with words of its author's
)
"""Of each response to a call by GET."""

_MAX_FIELDS = 100
_decode_raw = msgspec.json.Decoder(Raw).decode
_decode_id = msgspec.json.Decoder(int | float | str | None).decode


class App(Protocol):
    """The service."""

    registry: Registry

    async def answer(self, body: bytes | str, context: Context | None = None) -> Answered: ...

    def refuse(self, error: RpcError) -> Answered: ...


def has_call(query: bytes) -> bool:
    """Whether a query string has any member of a call."""
    try:
        return not MEMBERS.isdisjoint(name for name, _ in _fields(query))
    except ValueError:
        return True  # to be told what is wrong with it


async def answer(app: App, query: bytes, context: Context) -> Answered:
    """The answer to the call in a query string, or the refusal of one that is for POST alone."""
    try:
        call = read(query)
        _check(app.registry, call.get("method"))
    except RpcError as error:
        note_refusal(context, error.error)
        answered = app.refuse(error)
    else:
        answered = await app.answer(msgspec.json.encode(call), context)
    answered.headers = (*answered.headers, *HEADERS)
    if answered.status == HttpMethodRefused.status:
        answered.headers = (*answered.headers, (b"allow", b"POST"))
    return answered


def read(query: bytes) -> Mapping[str, Any]:
    """The members of the call in a query string; `jsonrpc` may be left out. Raises RpcError."""
    try:
        fields = [(name, value) for name, value in _fields(query) if name in MEMBERS]
    except ValueError:
        raise RpcError(PARSE_ERROR, "Parse error", "the query string is none") from None
    given = dict(fields)
    if len(given) < len(fields):
        raise RpcError(INVALID_REQUEST, "Invalid Request", "a member occurs twice")
    call: dict[str, Any] = {"jsonrpc": "2.0", **given}
    if "params" in given:
        call["params"] = _read_params(given["params"])
    if "id" in given:
        call["id"] = _read_id(given["id"])
    return call


def _fields(query: bytes) -> list[tuple[str, str]]:
    """Raises ValueError if it is no UTF-8, or has too many fields."""
    return parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)


def _read_params(text: str) -> Raw:
    """Params that are JSON, or base64 of it, with either alphabet, padded or not. Raises RpcError."""
    said = text.strip().encode()
    if said[:1] not in (b"[", b"{"):
        said = (
            said.replace(b" ", b"-").replace(b"+", b"-").replace(b"/", b"_")
        )  # a plus is a space in a query
        try:
            said = urlsafe_b64decode(said.rstrip(b"=") + b"=" * (-len(said.rstrip(b"=")) % 4))
        except binascii.Error:
            said = b""
    try:
        return _decode_raw(said)  # all of it, so that nothing in there can end `params` and add a member
    except (msgspec.DecodeError, RecursionError):
        raise RpcError(PARSE_ERROR, "Parse error", "params are neither JSON nor base64 of it") from None


def _read_id(text: str) -> Raw | str:
    """An id as JSON has it; anything else is a string."""
    try:
        _decode_id(text)
    except msgspec.DecodeError:
        return text
    return Raw(text.encode())


def _check(registry: Registry, name: Any) -> None:
    """Raises HttpMethodRefused for a method that may change something. One that is none passes."""
    method = registry.methods.get(name)
    if method is None:
        is_refused = isinstance(name, str) and registry.find_proxy(name) is not None
    else:
        is_refused = not method.options.idempotent
    if is_refused:
        raise HttpMethodRefused(data="the method is not idempotent")
