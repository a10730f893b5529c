"""The Admin API as an ASGI app: HTTP in, calls of the generic resource out.

Source: apisix/admin/init.lua and resource.lua (3.x), for paths, statuses and the shapes of answers.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
import structlog
from msgspec import Struct

from batchway.admin.access import Access, KeyRefused
from batchway.admin.kinds import KINDS, Kind
from batchway.admin.patch import MAX_DEPTH, check_depth
from batchway.admin.resource import Answer, NotFound, Resources, check_id
from batchway.errors import BatchwayError, BodyTooLarge, InternalError, InvalidResource
from batchway.model import ClientGone, Response, error_response, json_response
from batchway.store.base import Store

MAX_BODY_BYTES = 1536 * 1024
"""APISIX's limit: 1.5 MiB."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger(__name__)
_READS = ("GET", "HEAD")


class MethodNotAllowed(BatchwayError):
    """The method has no meaning for this path."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(f"method not allowed, expected one of {', '.join(allowed)}")
        self.allowed = allowed


class Unknown(BatchwayError):
    """Nothing has this path."""

    status = 404
    code = "unknown_path"


class BadArgument(BatchwayError):
    """A query argument that is not taken here, or a wrong value of one."""

    status = 400
    code = "bad_argument"


class Call(Struct, frozen=True):
    """A request to the Admin API, taken apart."""

    method: str
    kind: Kind
    id: str | None
    sub_path: tuple[str, ...]
    args: dict[str, str]


class AdminApp:
    """The Admin API. Set `access` to replace keys, networks and plugins for all later requests."""

    def __init__(
        self,
        store: Store,
        *,
        access: Access,
        applied: Callable[[int], Awaitable[None]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.access = access
        self._resources = Resources(store, applied, now)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's lifespan."""
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "lifespan":
                await _follow_lifespan(receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive)
        except ClientGone:
            return
        except BatchwayError as error:
            response = _refusal(error)
        except Exception:
            log.exception("admin request failed", method=scope["method"], path=scope["path"])
            response = error_response(InternalError())
        await _send(send, response, with_body=scope["method"] != "HEAD")

    async def _respond(self, scope: Message, receive: Receive) -> Response:
        method, segments = scope["method"], _segments(scope)
        if segments == ["healthz"]:
            _check_method(method, _READS)
            return json_response(200, {"status": "ok"})
        access: Access = self.access
        client = scope.get("client")
        access.check_address(client[0] if client else None)
        if segments[:2] != ["apisix", "admin"]:
            raise Unknown("not found: the Admin API is under /apisix/admin/")
        args = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        access.check_key(_given_key(scope, args), reads=method in _READS)

        call = _parse_call(method, segments[2:], args)
        try:
            status, document = await self._run(call, access, receive, scope)
        except NotFound:
            status, document = 404, {"message": "Key not found"}
        response = json_response(status, document)
        response.headers.append((b"X-API-VERSION", b"v3"))
        return response

    async def _run(self, call: Call, access: Access, receive: Receive, scope: Message) -> Answer:
        resources, kind = self._resources, call.kind
        if call.method in _READS:
            if call.id is None:
                return await resources.list(kind, *_page(call.args))
            return await resources.get(kind, call.id)
        if call.method == "DELETE":
            return await resources.delete(kind, check_id(kind, call.id), force=_flag(call.args, "force"))
        if call.method == "PATCH":
            check_id(kind, call.id)
        body = _decode_body(await _read_body(scope, receive), call)
        if call.method == "PUT":
            return await resources.put(kind, call.id, body, access.plugins)
        if call.method == "POST":
            return await resources.post(kind, body, access.plugins)
        id_ = check_id(kind, call.id)
        return await resources.patch(kind, id_, call.sub_path, body, access.plugins)


# --- the request


def _segments(scope: Message) -> list[str]:
    """The path's segments, decoded each for itself: a `%2F` is no slash."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else scope["path"]
    segments = path.removeprefix("/").removesuffix("/").split("/")
    return [unquote(segment) for segment in segments] if raw else segments


def _given_key(scope: Message, args: dict[str, str]) -> bytes | None:
    if "api_key" in args:
        return args["api_key"].encode()
    return next((value for name, value in scope["headers"] if name == b"x-api-key"), None)


def _parse_call(method: str, segments: Sequence[str], args: dict[str, str]) -> Call:
    name, id_, *sub_path = (*segments, "", "")[: max(len(segments), 2)]
    kind = KINDS.get(name)
    if kind is None:
        msg = f"Unsupported resource type: {name}"
        raise Unknown(msg)
    if sub_path:
        _check_method(method, ("PATCH",))
        if "" in sub_path or len(sub_path) > MAX_DEPTH:
            raise Unknown("not found: no sub-path")
    elif id_:
        _check_method(method, (*_READS, "PUT", "PATCH", "DELETE"))
    else:
        posts = () if kind.is_plain else ("POST",)
        _check_method(method, (*_READS, *posts, "PUT", "PATCH", "DELETE"))
    _check_args(method, args, is_list=not id_)
    if id_:
        check_id(kind, id_)
    return Call(method, kind, id_ or None, tuple(sub_path), args)


def _check_method(method: str, allowed: Sequence[str]) -> None:
    if method not in allowed:
        raise MethodNotAllowed(allowed)


def _check_args(method: str, args: dict[str, str], *, is_list: bool) -> None:
    known = {"api_key"}
    if method == "DELETE":
        known.add("force")
    if method in _READS and is_list:
        known |= {"page", "page_size"}
    for name in args:
        if name not in known:
            msg = f'query argument "{name}" is not supported by batchway here'
            raise BadArgument(msg)


def _page(args: dict[str, str]) -> tuple[int, int | None]:
    """Number and size of the page, or size None for all. As APISIX, a page below 1 is the first."""
    if not args.keys() & {"page", "page_size"}:
        return 1, None
    size = _number(args.get("page_size", ""))
    if size is None or not 10 <= size <= 500:
        raise BadArgument("page_size must be between 10 and 500")
    return max(_number(args.get("page", "1")) or 1, 1), size


def _number(text: str) -> int | None:
    try:
        return int(text[:10])
    except ValueError:
        return None


def _flag(args: dict[str, str], name: str) -> bool:
    value = args.get(name, "false")
    if value not in ("true", "false"):
        msg = f'query argument "{name}" must be true or false'
        raise BadArgument(msg)
    return value == "true"


async def _read_body(scope: Message, receive: Receive) -> bytes:
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


def _decode_body(body: bytes, call: Call) -> object:
    if not body.strip():
        what = "new configuration" if call.method == "PATCH" else "configurations"
        msg = f"missing {what}"
        raise InvalidResource(msg)
    try:
        document: object = msgspec.json.decode(body)
        check_depth(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidResource) as error:
        msg = f"invalid request body: {error}"
        raise InvalidResource(msg) from None
    return document


# --- the answer


def _refusal(error: BatchwayError) -> Response:
    document: dict[str, object] = {"error_msg": error.message}
    if isinstance(error, KeyRefused):
        document["description"] = error.description
    response = json_response(error.status, document)
    if isinstance(error, MethodNotAllowed):
        response.headers.append((b"Allow", ", ".join(error.allowed).encode()))
    return response


async def _send(send: Send, response: Response, *, with_body: bool) -> None:
    body = response.body if isinstance(response.body, bytes) else b""
    headers = [(name.lower(), value) for name, value in response.headers]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body if with_body else b""})


async def _follow_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
