"""An RpcApp over WebSocket: each message is a body. Sources: ASGI, WebSocket protocol 2.4; RFC 6455."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

from batchway.rpc import connection
from batchway.rpc.connection import Body, Connection
from batchway.rpc.context import CallerHeaders, Context
from batchway.rpc.origins import Origins
from batchway.wire import Receive, Scope, Send

SUBPROTOCOLS = frozenset({"jsonrpc", "jsonrpc-2.0"})
"""Of those that a client offers, the first of these is what is spoken."""

FORBIDDEN = 1008  # before the handshake is over, servers make a 403 of it
GIVEN_UP = 1013  # "try again later", for a client that left too much unread
CLOSE_S = 1.0
"""What it may take to say so: a client that reads nothing does not hear it."""


class App(connection.App, Protocol):
    """The service."""

    origins: Origins


async def serve(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection. A client that leaves takes its calls with it."""
    await receive()  # its `websocket.connect`
    headers = CallerHeaders(scope["headers"])
    if not app.origins.allow(headers.get("origin"), headers.get("host", "")):
        await send({"type": "websocket.close", "code": FORBIDDEN})
        return
    offered = scope.get("subprotocols") or ()
    spoken = next((one for one in offered if one in SUBPROTOCOLS), None)
    await send({"type": "websocket.accept", "subprotocol": spoken})
    context = Context(
        headers=scope["headers"],
        client=(scope.get("client") or ("",))[0],
        transport="websocket",
        state=scope.get("state"),
    )
    socket = _Socket(receive, send)
    await Connection(app, socket.write, context, patience_s=app.limits.timeout_s).serve(socket.bodies())
    await socket.close()


class _Socket:
    """The messages of one connection, under ASGI's names for them."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._kind: type = str  # of what the client has sent last, for what is no answer
        self._is_gone = False

    async def bodies(self) -> AsyncIterator[bytes | str]:
        """What the client sends, until it leaves."""
        while (message := await self._receive())["type"] != "websocket.disconnect":
            text: str | None = message.get("text")
            body: bytes | str = message["bytes"] if text is None else text
            self._kind = type(body)
            yield body
        self._is_gone = True

    async def write(self, body: bytes, answered: Body | None) -> None:
        """Send one message, text or binary as what it answers. Raises OSError if nobody is there."""
        kind = self._kind if answered is None else type(answered)
        said = {"bytes": body} if kind is bytes else {"text": body.decode(errors="replace")}
        try:
            await self._send({"type": "websocket.send", **said})
        except RuntimeError as error:  # some servers have no better word for it
            raise ConnectionResetError(*error.args) from error

    async def close(self) -> None:
        """Let the client go, if it is there yet."""
        if not self._is_gone:
            with contextlib.suppress(OSError, RuntimeError):
                async with asyncio.timeout(CLOSE_S):
                    await self._send({"type": "websocket.close", "code": GIVEN_UP})
