"""An RpcApp as an ASGI app: what comes in by which way, and HTTP. Source: ASGI, HTTP protocol 2.5."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

from batchway.errors import BodyTooLarge, ConfigError, ReplyTooLarge
from batchway.formats import content
from batchway.formats.jsonrpc import PARSE_ERROR
from batchway.model import ClientGone, Response, read_body
from batchway.negotiation import MIN_COMPRESSED_BYTES, accepts_gzip, compress, is_sent_unasked
from batchway.rpc import get, ndjson, websocket
from batchway.rpc.context import Context
from batchway.rpc.errors import HttpMethodRefused, RequestTooLarge, RpcError, UnsupportedMediaType
from batchway.rpc.page import Page
from batchway.rpc.transport import Answered
from batchway.rpc.watch import Watched, note_refusal
from batchway.wire import Message, Receive, Scope, Send, WireBody, follow_lifespan, send_response

JSON_TYPES = frozenset({"application/json", "application/json-rpc", "application/jsonrequest"})
"""What `strict_content_type` takes. Source: JSON-RPC over HTTP, draft of 2008."""

CODINGS = b"gzip, deflate, br, zstd"
"""What bodies may be compressed by."""

MIDDLEWARE = "batchway.rpc.middleware"
"""The scope's extension for who passes requests on to the app: middleware to put around each call."""
WATCH = "batchway.rpc.watch"
"""The scope's extension for who wants to know what becomes of each call: a Watch."""

_CLIENT_GONE = 499  # nginx's number
_INLINE_BYTES = 64 * 1024


class App(ndjson.App, get.App, websocket.App, Protocol):
    """The service."""

    strict_content_type: bool
    empty_status: int
    get: bool

    def page(self) -> Page | None: ...

    async def aclose(self) -> None: ...


async def serve(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection of an ASGI server. A client that leaves takes its calls with it."""
    match scope["type"]:
        case "http":
            await _serve_http(app, scope, receive, send)
        case "lifespan":
            await _serve_lifespan(app, receive, send)
        case _:
            await websocket.serve(app, scope, receive, send)


async def _serve_lifespan(app: App, receive: Receive, send: Send) -> None:
    async def receive_and_close() -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await app.aclose()
        return message

    await follow_lifespan(receive_and_close, send)


async def _serve_http(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    handle = _HANDLERS.get(scope["method"], _refuse)
    # A body that no header announces is read too: HTTP/2 has them.
    body = WireBody(scope["headers"], receive, unannounced=handle is _post)
    watch = asyncio.get_running_loop().create_task(body.watch(asyncio.current_task()))
    try:
        await handle(app, scope, body, send)
    except ClientGone:
        await _send_gone(send)
    except asyncio.CancelledError:
        if not body.gone:
            raise
        await _send_gone(send)
    finally:
        watch.cancel()
        await _end(watch, body)


async def _end(watch: "asyncio.Task[None]", body: WireBody) -> None:
    """Wait for the end of a watch. A client that leaves only now, with its answer, cancels nothing."""
    try:
        await asyncio.gather(watch, return_exceptions=True)
    except asyncio.CancelledError:
        if not body.gone:
            raise


async def _send_gone(send: Send) -> None:
    """Say that nobody hears it: whatever middleware stands outside still waits for some response."""
    with contextlib.suppress(OSError):
        await send_response(Response(_CLIENT_GONE, "", [], b""), send)


# --- the methods


async def _post(app: App, scope: Scope, body: WireBody, send: Send) -> None:
    context = _context(scope)
    is_coded, accepts_lines, origin = _find_wishes(scope["headers"])
    try:
        if origin is not None:
            _check_page(app, origin, context.headers)
        if app.strict_content_type and not _is_json(context.headers.get("content-type", "")):
            raise UnsupportedMediaType
        whole = await _read(body, app.limits.max_body_bytes)
        if is_coded:
            coding = context.headers["content-encoding"]
            whole = await _decode(whole, coding, app.limits.max_body_bytes)
    except RpcError as error:
        note_refusal(context, error.error)
        await _respond(app, _refusal(app, error), scope, send)
        return
    if accepts_lines and ndjson.is_preferred(context.headers["accept"]):
        await _stream(app, whole, context, body, scope, send)
    else:
        await _respond(app, await app.answer(whole, context), scope, send)


async def _get(app: App, scope: Scope, body: WireBody, send: Send) -> None:
    query = scope.get("query_string", b"")
    has_call = get.has_call(query)
    page = None if has_call else app.page()
    if page is not None:
        headers = _context(scope).headers
        await send_response(page.respond(headers, head=scope["method"] == "HEAD"), send)
    elif has_call and app.get:
        await _respond(app, await get.answer(app, query, _context(scope)), scope, send)
    else:
        await _refuse(app, scope, body, send)


async def _refuse(app: App, scope: Scope, _: WireBody, send: Send) -> None:
    await _respond(app, _refusal(app, HttpMethodRefused()), scope, send)


_HANDLERS: dict[str, Callable[[App, Scope, WireBody, Send], Awaitable[None]]] = {
    "POST": _post,
    "GET": _get,
    "HEAD": _get,
}


def _context(scope: Scope) -> Context:
    extensions = scope.get("extensions") or {}
    watch = extensions.get(WATCH)
    make = Context if watch is None else partial(Watched, watch)
    return make(
        headers=scope["headers"],
        client=(scope.get("client") or ("",))[0],
        transport="http",
        state=scope.get("state"),
        middleware=extensions.get(MIDDLEWARE, ()),
    )


# --- the request


def _find_wishes(headers: list[tuple[bytes, bytes]]) -> tuple[bool, bool, str | None]:
    """Whether the body is compressed, whether lines may be accepted, and the page that asks.

    Most requests have none of these.
    """
    is_coded = accepts_lines = False
    origin = None
    for name, value in headers:
        if name == b"accept":
            accepts_lines = accepts_lines or b"ndjson" in value.lower()
        elif name == b"content-encoding":
            is_coded = True
        elif name == b"origin":
            origin = value.decode("latin-1")
    return is_coded, accepts_lines, origin


def _check_page(app: App, origin: str, headers: Mapping[str, str]) -> None:
    """Raises UnsupportedMediaType for what a page of another site makes its visitor's browser send.

    As JSON it would have to ask first. Other clients than browsers name no origin.
    """
    content_type = headers.get("content-type", "").encode("latin-1")
    if is_sent_unasked(content_type) and not app.origins.allow(origin, headers.get("host", "")):
        raise UnsupportedMediaType(data="a page of another site must send calls as application/json")


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() in JSON_TYPES


async def _read(body: WireBody, max_bytes: int) -> bytes:
    """The whole body. Raises RequestTooLarge, ClientGone."""
    try:
        return await read_body(body, max_bytes)
    except BodyTooLarge:
        raise RequestTooLarge from None


async def _decode(body: bytes, coding: str, max_bytes: int) -> bytes:
    """The body without its content codings. Raises RpcError; of what is too large no more is made."""
    try:
        if len(body) > _INLINE_BYTES:
            decoded = await asyncio.to_thread(content.decode, body, coding, max_bytes)
        else:
            decoded = content.decode(body, coding, max_bytes)
    except ReplyTooLarge:
        raise RequestTooLarge from None
    except content.Undecodable as error:
        raise RpcError(PARSE_ERROR, "Parse error", str(error)) from None
    if decoded is None:
        raise UnsupportedMediaType(data="unknown content coding")
    return decoded


# --- the response


def _refusal(app: App, error: RpcError) -> Answered:
    """The answer to a request that was not looked at, with what could be asked for instead."""
    answered = app.refuse(error)
    match error:
        case HttpMethodRefused():
            allowed = b"GET, HEAD, POST" if app.get or app.page() else b"POST"
            answered.headers = [(b"allow", allowed)]
        case UnsupportedMediaType(data="unknown content coding"):
            answered.headers = [(b"accept-encoding", CODINGS)]  # RFC 9110, section 15.5.16
    return answered


async def _respond(app: App, answered: Answered, scope: Scope, send: Send) -> None:
    try:
        if answered.body is None:
            response = _empty(app.empty_status, answered)
        elif len(answered.body) < MIN_COMPRESSED_BYTES:
            response = _response(answered, answered.body)
        elif accepts_gzip(scope["headers"]):
            response = _response(answered, await compress(answered.body), _VARY, _GZIP)
        else:
            response = _response(answered, answered.body, _VARY)
        if scope["method"] == "HEAD":
            response.body = None
        await send_response(response, send)
    finally:
        app.release(answered)


_VARY = (b"vary", b"accept-encoding")
_GZIP = (b"content-encoding", b"gzip")


def check_empty_status(status: int) -> int:
    """The status, if it may stand where there is nothing to say. Raises ConfigError."""
    if status not in (200, 202, 204):
        message = "empty_status: expected 204, 202 or 200"
        raise ConfigError(message)
    return status


def _empty(status: int, answered: Answered) -> Response:
    if status == 204:
        return Response(204, "No Content", [*answered.headers], None)
    return Response(status, "", [*answered.headers, (b"content-length", b"0")], b"")


def _response(answered: Answered, body: bytes, *more: tuple[bytes, bytes]) -> Response:
    length = b"%d" % len(body)
    headers = [
        (b"content-type", b"application/json"),
        *answered.headers,
        *more,
        (b"content-length", length),
    ]
    return Response(answered.status, "", headers, body)


async def _stream(
    app: App, whole: bytes, context: Context, body: WireBody, scope: Scope, send: Send
) -> None:
    lines = ndjson.Lines(send, app.limits.timeout_s)
    try:
        answered = await lines.answer(app, whole, context)
    except asyncio.CancelledError:
        if not lines.begun or not body.gone:
            raise
        return
    if lines.begun:
        app.release(answered)
    else:
        await _respond(app, answered, scope, send)
