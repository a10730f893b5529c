"""An RpcApp over HTTP: POST in, JSON out. Source: ASGI, HTTP protocol 2.5."""

import asyncio
import contextlib
from typing import Protocol

from batchway.errors import BodyTooLarge
from batchway.model import ClientGone, Response, read_body
from batchway.rpc.context import Context
from batchway.rpc.errors import HttpMethodRefused, RequestTooLarge, RpcError, UnsupportedMediaType
from batchway.rpc.settings import RpcLimits
from batchway.rpc.transport import Answered
from batchway.wire import Message, Receive, Scope, Send, WireBody, follow_lifespan, send_response

JSON_TYPES = frozenset({"application/json", "application/json-rpc", "application/jsonrequest"})
"""What `strict_content_type` takes. Source: JSON-RPC over HTTP, draft of 2008."""


_CLIENT_GONE = 499  # nginx's number


class App(Protocol):
    """The service."""

    limits: RpcLimits
    strict_content_type: bool

    async def answer(self, body: bytes, context: Context | None = None) -> Answered: ...

    def refuse(self, error: RpcError) -> Answered: ...

    def release(self, answered: Answered) -> None: ...

    async def aclose(self) -> None: ...


async def serve(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection of an ASGI server. A client that leaves takes its calls with it."""
    match scope["type"]:
        case "http":
            await _serve_http(app, scope, receive, send)
        case "lifespan":
            await _serve_lifespan(app, receive, send)
        case _:
            await send({"type": "websocket.close", "code": 1000})


async def _serve_lifespan(app: App, receive: Receive, send: Send) -> None:
    async def receive_and_close() -> Message:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await app.aclose()
        return message

    await follow_lifespan(receive_and_close, send)


async def _serve_http(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    # A body that no header announces is read too: HTTP/2 has them.
    body = WireBody(scope["headers"], receive, unannounced=True)
    watch = asyncio.get_running_loop().create_task(body.watch(asyncio.current_task()))
    try:
        answered = await _answer(app, scope, body)
        try:
            await send_response(_response(answered), send)
        finally:
            app.release(answered)
    except ClientGone:
        await _send_gone(send)
    except asyncio.CancelledError:
        if not body.gone:
            raise
        await _send_gone(send)
    finally:
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)


async def _send_gone(send: Send) -> None:
    """Say that nobody hears it: whatever middleware stands outside still waits for some response."""
    with contextlib.suppress(OSError):
        await send_response(Response(_CLIENT_GONE, "", [], b""), send)


async def _answer(app: App, scope: Scope, body: WireBody) -> Answered:
    context = Context(
        headers=scope["headers"],
        client=(scope.get("client") or ("",))[0],
        transport="http",
        state=scope.get("state"),
    )
    if scope["method"] != "POST":
        return app.refuse(HttpMethodRefused())
    if app.strict_content_type and not _is_json(context.headers.get("content-type", "")):
        return app.refuse(UnsupportedMediaType())
    try:
        whole = await read_body(body, app.limits.max_body_bytes)
    except BodyTooLarge:
        return app.refuse(RequestTooLarge())
    return await app.answer(whole, context)


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() in JSON_TYPES


def _response(answered: Answered) -> Response:
    if answered.body is None:
        return Response(204, "No Content", [], None)
    headers = [(b"content-type", b"application/json")]
    if answered.status == HttpMethodRefused.status:
        headers.append((b"allow", b"POST"))
    headers.append((b"content-length", b"%d" % len(answered.body)))
    return Response(answered.status, "", headers, answered.body)
