"""Calls an ASGI app as a server would, without a socket."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

Message = MutableMapping[str, Any]
App = Callable[
    [Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]],
    Awaitable[None],
]


class Answer(Struct):
    """What the app answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, parsed."""
        return msgspec.json.decode(self.body)


class Client:
    """Sends requests with an admin's key from 127.0.0.1, unless told otherwise."""

    def __init__(self, app: App, runner: asyncio.Runner) -> None:
        self.app = app
        self.runner = runner
        self.key: str | None = "admin-key"
        self.address: tuple[str, int] | None = ("127.0.0.1", 50000)

    def __call__(self, method: str, path: str, document: object = msgspec.UNSET, **options: Any) -> Answer:
        """The answer to a request under /apisix/admin, with `document` as its JSON."""
        body = b"" if document is msgspec.UNSET else msgspec.json.encode(document)
        return self.raw(method, f"/apisix/admin{path}", [body], **options)

    def raw(
        self,
        method: str,
        target: str,
        pieces: Sequence[bytes] = (b"",),
        headers: Iterable[tuple[str, str]] = (),
        *,
        stays: bool = True,
    ) -> Answer:
        """The answer to a request whose body comes in `pieces`; unless it `stays`, it goes then."""
        answer = self.runner.run(self.send(method, target, pieces, headers, stays=stays))
        assert answer is not None, "no answer"
        return answer

    async def send(
        self,
        method: str,
        target: str,
        pieces: Sequence[bytes] = (b"",),
        headers: Iterable[tuple[str, str]] = (),
        *,
        stays: bool = True,
    ) -> Answer | None:
        """Like `raw`; None if the app sent nothing."""
        path, _, query = target.partition("?")
        given = [] if self.key is None else [("x-api-key", self.key)]
        scope: Message = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in [*given, *headers]],
            "client": self.address,
        }
        incoming: list[Message] = [
            {
                "type": "http.request",
                "body": piece,
                "more_body": not stays or number < len(pieces),
            }
            for number, piece in enumerate(pieces, 1)
        ]
        incoming.append({"type": "http.disconnect"})
        sent: list[Message] = []

        async def receive() -> Message:
            return incoming.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        if not sent:
            return None
        start, *bodies = sent
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], names, b"".join(part["body"] for part in bodies))
