"""An ASGI server that is a test: what it hands to the app, and what it gets."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from batchway.wire import App, Message

HOST = (b"host", b"a.test")


class Exchange:
    """One request to an app, and the response as far as it has come."""

    def __init__(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Iterable[tuple[bytes, bytes]] = (HOST,),
        *,
        client: tuple[str, int] | None = ("10.0.0.1", 40000),
        server: tuple[str, int | None] | None = ("10.0.0.2", 9080),
        scheme: str = "http",
    ) -> None:
        path, _, query = target.partition("?")
        self.scope: Message = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": list(headers),
            "client": client,
            "server": server,
            "scheme": scheme,
        }
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self.fail_on: str = ""
        """Type of the message that cannot be sent."""

    def body(self, *pieces: bytes, whole: bool = True) -> None:
        """Let the client send these; nothing comes after them if that is the `whole`."""
        for number, piece in enumerate(pieces, 1):
            more = not whole or number < len(pieces)
            self.incoming.put_nowait({"type": "http.request", "body": piece, "more_body": more})

    def leave(self) -> None:
        """Let the client close its connection."""
        self.incoming.put_nowait({"type": "http.disconnect"})

    async def send(self, message: Message) -> None:
        if message["type"] == self.fail_on:
            error = "the server cannot send"
            raise OSError(error)
        self.sent.append(message)

    async def run(self, app: App) -> None:
        """Let the app answer."""
        await app(self.scope, self.incoming.get, self.send)

    # --- what the app answered

    @property
    def status(self) -> int:
        assert self.sent, "no answer"
        assert self.sent[0]["type"] == "http.response.start"
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return [(name.lower(), value) for name, value in self.sent[0]["headers"]]

    @property
    def pieces(self) -> list[bytes]:
        """The body, message by message."""
        assert {message["type"] for message in self.sent[1:]} <= {"http.response.body"}
        return [message.get("body", b"") for message in self.sent[1:]]

    @property
    def finished(self) -> bool:
        """Whether the app said that the response is whole."""
        return len(self.sent) > 1 and not self.sent[-1].get("more_body", False)

    def json(self) -> Any:
        return msgspec.json.decode(b"".join(self.pieces))
