"""A request to an ASGI app in this process, without a server: the app's answer as one of ours.

Source: ASGI, HTTP & WebSocket protocol 2.5.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote

import structlog

from batchway.errors import InternalError, UpstreamBroken
from batchway.model import REASONS, Body, Request, Response
from batchway.wire import App, Message, Scope

log = structlog.get_logger(__name__)

_running: set[asyncio.Task[None]] = set()


async def ask(app: App, request: Request, extensions: Mapping[str, Any]) -> Response:
    """The app's answer; its body is a stream where the app sends it in pieces.

    Cancelled, the app hears of the client's leaving. Raises InternalError if it ends without an answer.
    """
    visit = _Visit(request.body)
    task = asyncio.get_running_loop().create_task(visit.run(app, scope_of(request, extensions)))
    _running.add(task)  # it may go on after its answer, with what was put off
    task.add_done_callback(_running.discard)
    try:
        return await visit.response()
    except BaseException:
        visit.leave()
        raise


def scope_of(request: Request, extensions: Mapping[str, Any]) -> Scope:
    """The request as an ASGI server would tell of it."""
    origin, body = request.origin, request.body
    headers = list(request.headers.pairs)
    length = len(body) if isinstance(body, bytes) else body.length
    if length:
        headers.append((b"content-length", b"%d" % length))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": origin.scheme,
        "path": unquote(request.path),
        "raw_path": request.path.encode("ascii", "replace"),
        "query_string": request.query.encode("ascii", "replace"),
        "root_path": "",
        "headers": headers,
        "client": (origin.client, 0) if origin.client else None,
        "server": (origin.host, origin.port),
        "extensions": dict(extensions),
    }


class _Visit:
    """`receive` and `send` of one request."""

    def __init__(self, body: bytes | Body) -> None:
        self._body: AsyncIterator[bytes] | None = None
        self._whole = body if isinstance(body, bytes) else None
        if not isinstance(body, bytes):
            self._body = aiter(body)
        self._gone = asyncio.Event()
        self._start: Message | None = None
        # one piece at a time: an app that is quicker than its client waits
        self._messages: asyncio.Queue[Message | None] = asyncio.Queue(1)

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:
            if not self._gone.is_set():
                log.exception("the app failed", path=scope["path"])
        except asyncio.CancelledError:  # the loop ends: what waits to be read is not the whole
            self._end_at_once()
            raise
        if not self._gone.is_set():
            await self._messages.put(None)

    def _end_at_once(self) -> None:
        if self._messages.full():
            self._messages.get_nowait()
        self._messages.put_nowait(None)

    async def _receive(self) -> Message:
        if self._whole is not None:
            whole, self._whole = self._whole, None
            return {"type": "http.request", "body": whole, "more_body": False}
        if self._body is not None:
            try:
                return {"type": "http.request", "body": await anext(self._body), "more_body": True}
            except StopAsyncIteration:
                self._body = None
                return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._gone.is_set():
            raise OSError("the client is gone")
        if message["type"] == "http.response.start":
            self._start = message
        else:
            await self._messages.put(message)

    async def response(self) -> Response:
        """Raises InternalError."""
        first = await self._messages.get()
        start = self._start
        if first is None or start is None:
            raise InternalError
        status = start["status"]
        headers = [(bytes(name), bytes(value)) for name, value in start.get("headers", ())]
        response = Response(status, REASONS.get(status, ""), headers, None)
        if first.get("more_body", False):
            response.body = _Pieces(self, first)
        elif status not in (204, 304):
            response.body = first.get("body", b"")
        return response

    async def next(self) -> Message | None:
        """The next piece of the body; None if the app has ended without the last."""
        return await self._messages.get()

    def leave(self) -> None:
        """Tell the app that nobody listens any more."""
        self._gone.set()
        if self._messages.full():  # and let it go on that waits to be heard
            self._messages.get_nowait()


class _Pieces:
    """A body that the app sends in pieces."""

    def __init__(self, visit: _Visit, first: Message) -> None:
        self._visit = visit
        self._message: Message | None = first

    async def __aiter__(self) -> AsyncIterator[bytes]:
        message = self._message
        try:
            while message is not None:
                piece: bytes = message.get("body", b"")
                if piece:
                    yield piece
                if not message.get("more_body", False):
                    return
                message = await self._visit.next()
        finally:  # not everybody who stops half-way calls `aclose`
            self._visit.leave()
        broken = "the app ended before its answer"
        raise UpstreamBroken(broken)

    async def aclose(self) -> None:
        """Stop the app, unless it is done."""
        self._visit.leave()
