"""A request to the Admin API, taken apart: what it is about, its arguments, its body."""

import math
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from batchway.admin import json_text, listing
from batchway.admin.kinds import KINDS, NOT_SUPPORTED, Kind, Place, check_id
from batchway.admin.listing import BadArgument
from batchway.admin.patch import MAX_DEPTH, check_depth
from batchway.errors import BatchwayError, BodyTooLarge, InvalidResource
from batchway.model import ClientGone

MAX_BODY_BYTES = 1536 * 1024
"""APISIX's limit: 1.5 MiB."""
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
READS = ("GET", "HEAD")
_METHODS = (*READS, "POST", "PUT", "PATCH", "DELETE")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class MethodNotAllowed(BatchwayError):
    """The method has no meaning for this path."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, allowed: Sequence[str], message: str = "") -> None:
        super().__init__(message or f"method not allowed, expected one of {', '.join(allowed)}")
        self.allowed = allowed


class Unknown(BatchwayError):
    """Nothing has this path."""

    status = 404
    code = "unknown_path"


class NotSupported(BatchwayError):
    """APISIX has it, batchway has not."""

    status = 404
    code = "not_supported"


class Call(Struct, frozen=True):
    """What is to be done with a resource, or with all of a kind."""

    method: str
    place: Place
    sub_path: tuple[str, ...]
    args: dict[str, str]


# --- path and arguments


def split_path(scope: Message) -> list[str]:
    """The path's segments, decoded each for itself: a `%2F` is no slash."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else scope["path"]
    segments = path.removeprefix("/").removesuffix("/").split("/")
    return [unquote(segment) for segment in segments] if raw else segments


def parse_call(method: str, segments: Sequence[str], args: dict[str, str]) -> Call:
    """The call that a path below /apisix/admin is. Raises BatchwayError saying what is wrong with it."""
    parent, segments = _split_parent(segments)
    name, id_, *sub_path = (*segments, "", "")[: max(len(segments), 2)]
    kind = find(name)
    if bool(kind.parent) != bool(parent):
        raise _unknown(name)
    if parent:
        check_id(KINDS[kind.parent], parent)
    _check_method(method, kind, has_id=bool(id_), has_sub_path=bool(sub_path))
    if sub_path and ("" in sub_path or len(sub_path) > MAX_DEPTH):
        raise Unknown("not found: no sub-path")
    _check_args(method, kind, args, is_list=not id_)
    if id_:
        check_id(kind, id_)
    return Call(method, Place(kind, id_ or None, parent), tuple(sub_path), args)


def _split_parent(segments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The id that the rest stands below, and the rest: `consumers/jack/credentials/1`."""
    match segments:
        case [above, parent, name, *rest] if (kind := KINDS.get(name)) and kind.parent == above:
            return parent, [name, *rest]
    return "", segments


def find(name: str) -> Kind:
    """The kind of that name. Raises NotSupported, Unknown."""
    if name in NOT_SUPPORTED:
        msg = f"{name} are not supported by batchway: it has no {NOT_SUPPORTED[name]}"
        raise NotSupported(msg)
    kind = KINDS.get(name)
    if kind is None:
        raise _unknown(name)
    return kind


def _unknown(name: str) -> Unknown:
    return Unknown(f"Unsupported resource type: {name}")


def check_method(method: str, *allowed: str) -> None:
    """Raises MethodNotAllowed unless `method` is one of those."""
    if method not in allowed:
        raise MethodNotAllowed(allowed)


def _check_method(method: str, kind: Kind, *, has_id: bool, has_sub_path: bool) -> None:
    known = ("PATCH",) if has_sub_path else _METHODS
    allowed = [name for name in known if name not in kind.refused]
    if method in kind.refused:
        raise MethodNotAllowed(allowed, f"not supported `{method}` method for {kind.singular}")
    if method not in allowed:
        raise MethodNotAllowed([name for name in allowed if name != "POST" or not has_id])


def _check_args(method: str, kind: Kind, args: dict[str, str], *, is_list: bool) -> None:
    known = {"api_key"}
    # of a read, a time to live asks nothing that would be ignored
    known.add("force" if method == "DELETE" else "ttl")
    if method == "PUT" and kind.name == "global_rules":
        known.add("force")
    if method in READS and is_list:
        known |= listing.ARGUMENTS
    for name in args:
        if name not in known:
            msg = f'query argument "{name}" is not supported by batchway here'
            raise BadArgument(msg)


def flag(args: dict[str, str], name: str) -> bool:
    """The argument, false unless it is there. Raises BadArgument."""
    value = args.get(name, "false")
    if value not in ("true", "false"):
        msg = f'query argument "{name}" must be true or false'
        raise BadArgument(msg)
    return value == "true"


def ttl_s(args: dict[str, str]) -> float | None:
    """How many seconds what is written shall stay; None for ever. Raises BadArgument."""
    if "ttl" not in args:
        return None
    if not _NUMBER.fullmatch(args["ttl"]):
        raise BadArgument("invalid argument ttl: should be a number")
    found = float(args["ttl"])
    if not 0 < found < math.inf:
        raise BadArgument("invalid argument ttl: should be a number of seconds above 0")
    return found


# --- the body


async def read_body(scope: Message, receive: Receive) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as that is known, ClientGone if it never ends."""
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    size, pieces, more = int(length) if length.isdigit() else 0, [], True
    while more and size <= MAX_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message.get("body", b""))
        more = message.get("more_body", False)
        size = max(size, sum(map(len, pieces)))
    if size > MAX_BODY_BYTES:
        msg = (
            f"invalid request body: request size {size} is greater than the maximum size"
            f" {MAX_BODY_BYTES} allowed"
        )
        raise BodyTooLarge(msg)
    return b"".join(pieces)


def decode_body(body: bytes, what: str = "configurations") -> object:
    """The JSON that the body is. Raises InvalidResource, for an empty one that `what` is missing."""
    if not body.strip():
        msg = f"missing {what}"
        raise InvalidResource(msg)
    try:
        document = json_text.decode(body)
        check_depth(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidResource) as error:
        msg = f"invalid request body: {error}"
        raise InvalidResource(msg) from None
    return document
