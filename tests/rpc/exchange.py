"""One HTTP request to an ASGI app, without a server."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from batchway.wire import Message

from .asking import run


class Exchange:
    """One request to an ASGI app, and what was sent for it."""

    def __init__(self, app: Any, pieces: Iterable[bytes] = (), **scope: Any) -> None:
        self.app = app
        self.pieces = list(pieces)
        usual = {"type": "http", "method": "POST", "path": "/", "headers": [], "client": ("10.0.0.1", 5)}
        self.scope = {**usual, **scope}
        self.sent: list[Message] = []
        self.leave = asyncio.Event()
        self.events: list[str] = []

    async def receive(self) -> Message:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.events.append("sent")
        self.sent.append(message)

    async def run(self) -> "Exchange":
        await self.app(self.scope, self.receive, self.send)
        await asyncio.sleep(0)
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


def exchange(app: Any, pieces: Iterable[bytes] = (), **scope: Any) -> Exchange:
    async def main() -> Exchange:
        return await Exchange(app, pieces, **scope).run()

    return run(main())


def post(app: Any, said: Any, *headers: tuple[bytes, bytes], **scope: Any) -> Exchange:
    """A body by POST, which may be given as what it stands for."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return exchange(app, [body], headers=list(headers), **scope)
