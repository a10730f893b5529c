"""A response for each call as soon as it is there, one a line: for who accepts NDJSON."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from batchway.negotiation import weights
from batchway.rpc.context import Context
from batchway.rpc.settings import RpcLimits
from batchway.rpc.transport import Answered, as_line
from batchway.wire import Send

MEDIA_TYPES = ("application/x-ndjson", "application/ndjson")

log = structlog.get_logger(__name__)


class App(Protocol):
    """The service."""

    limits: RpcLimits

    async def stream(
        self, body: bytes | str, send: Callable[[bytes], Awaitable[None]], context: Context | None = None
    ) -> Answered: ...


def is_preferred(accept: str) -> bool:
    """Whether an Accept header names NDJSON, and nothing above it that a response could also be."""
    named = weights([accept.encode("latin-1")])
    weight = max(named.get(media_type, 0.0) for media_type in MEDIA_TYPES)
    return weight > 0 and weight >= named.get("application/json", 0.0)


class Lines:
    """The response to one batch, in lines."""

    def __init__(self, send: Send, patience_s: float) -> None:
        """`patience_s`: how long the client may take nothing of it."""
        self.begun = False
        self._send = send
        self._patience_s = patience_s

    async def answer(self, app: App, body: bytes, context: Context) -> Answered:
        """Send the response, unless there is none of any call: then it is what is returned.

        One that broke off is left unfinished, so that the client cannot take what came for the whole.
        """
        try:
            answered = await app.stream(body, self._add, context)
            if self.begun:
                await self._send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            log.warning("response cut off", error="the client does not read it")
            return Answered(None)
        return answered

    async def _add(self, response: bytes) -> None:
        async with asyncio.timeout(self._patience_s):
            if not self.begun:
                self.begun = True
                await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._send({"type": "http.response.body", "body": as_line(response), "more_body": True})


_HEADERS = [
    (b"content-type", MEDIA_TYPES[0].encode()),
    (b"x-accel-buffering", b"no"),  # nginx would hold lines back
]
