"""One call of an app: `receive` and `send` as an ASGI server has them, for an item.

Source: ASGI, HTTP & WebSocket protocol 2.5.
"""

import asyncio
import logging
from http import HTTPStatus

from batchway.errors import BatchwayError, InternalError, ReplyTooLarge
from batchway.model import HOP_BY_HOP, REASONS, Budget, Response
from batchway.wire import App, Message, Scope

LISTENER_GRACE_S = 1.0
"""How long an app that was told to stop may take to do so by itself before it is cancelled."""

# Not structlog: this is somebody else's process, whose log goes where `logging` sends it.
log = logging.getLogger("batchway.asgi")

_DROPPED = HOP_BY_HOP - {b"content-length"}
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


Reply = asyncio.Future[Response | BatchwayError]


class Discarded(OSError):
    """Nobody will hear the rest: the item was cancelled, or its answer is too large."""


class Call:
    """An item on its way through an app.

    `reply` gets its answer, or why there is none, as soon as that is known, and is let go of: the app may
    go on after that, to do what it does in the background. It is `discard` that stops the app.
    """

    __slots__ = (
        "_body", "_budget", "_discarded", "_given", "_headers", "_listeners", "_loop", "_over", "_pieces",
        "_reply", "_scope", "_size", "_status", "task",
    )  # fmt: skip

    def __init__(self, scope: Scope, body: bytes, budget: Budget, reply: Reply) -> None:
        self._scope = scope
        self._body = body
        self._budget = budget
        self._reply: Reply | None = reply
        self._loop = reply.get_loop()
        self.task: asyncio.Task[None] | None = None
        """The task that `run` runs in."""
        self._given = False
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._discarded = False
        self._over = asyncio.Event()
        self._listeners = 0

    async def run(self, app: App) -> None:
        """Call the app and wait for its end. Raises nothing of the app's but cancellation."""
        logged = False
        try:
            await app(self._scope, self._receive, self._send)
        except Exception:
            logged = True
            if self._is_unwanted():
                log.info("%s: stopped with an error", self, exc_info=True)
            else:
                log.exception("%s: the app failed", self)
        finally:
            self._over.set()
            if self._reply is not None and not self._reply.done():
                if not logged:
                    log.error("%s: the app ended without a whole response", self)
                self._fail(InternalError())

    def discard(self) -> None:
        """Stop the app: its answer is not wanted any more.

        One that listens for `http.disconnect` gets the time to stop in its own way: cancelled instead,
        Django for one would leave its own tasks behind. Any other is cancelled at once.
        """
        self._stop(at_once=not self._listeners)

    def __str__(self) -> str:
        return f"{self._scope['method']} {self._scope['raw_path'].decode('ascii')}"

    # --- what the app calls

    async def _receive(self) -> Message:
        if not self._given and not self._over.is_set():
            self._given = True
            body, self._body = self._body, b""
            return {"type": "http.request", "body": body, "more_body": False}
        self._listeners += 1
        try:
            await self._over.wait()
        finally:
            self._listeners -= 1
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if self._is_unwanted():
            raise Discarded("the response is not wanted any more")
        if self._reply is None:
            complaint = f"Unexpected ASGI message '{kind}' sent, after response already completed."
            raise RuntimeError(complaint)
        expected = "http.response.body" if self._status else "http.response.start"
        if kind != expected:
            complaint = f"Expected ASGI message '{expected}', but got '{kind}'."
            raise RuntimeError(complaint)
        if not self._status:
            self._start(message)
            return
        self._add(message.get("body", b""))
        if message.get("more_body", False):
            await asyncio.sleep(0)  # a stream that never waits must not stop the loop, nor the deadline
        else:
            self._complete()

    # --- the response

    def _start(self, message: Message) -> None:
        status = int(message["status"])
        if not 200 <= status <= 999:
            complaint = f"Expected a final HTTP status, but got {status}."
            raise RuntimeError(complaint)
        self._headers = [
            (bytes(name), bytes(value))
            for name, value in message.get("headers", ())
            if name.lower() not in _DROPPED
        ]
        self._status = status

    def _add(self, piece: bytes) -> None:
        if not piece or self._is_bodiless():
            return
        try:
            self._spend(len(piece))
        except ReplyTooLarge as error:
            self._fail(error)
            self._stop(at_once=False)  # the app hears of it right here
            raise Discarded(error.message) from None
        self._pieces.append(bytes(piece))

    def _spend(self, size: int) -> None:
        if self._size + size > self._budget.max_reply_size:
            message = "the reply is larger than max_reply_size"
            raise ReplyTooLarge(message)
        self._budget.take(size)
        self._size += size

    def _is_bodiless(self) -> bool:
        return self._status in _BODILESS or self._scope["method"] == "HEAD"

    def _complete(self) -> None:
        body = None if self._is_bodiless() else b"".join(self._pieces)
        self._pieces = []
        self._over.set()
        reason = REASONS.get(self._status, "")
        self._settle(Response(self._status, reason, self._headers, body))

    def _fail(self, error: BatchwayError) -> None:
        self._settle(error)
        self._refund()

    def _settle(self, result: Response | BatchwayError) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.set_result(result)

    def _is_unwanted(self) -> bool:
        """Whether the answer would go to nobody; who waited may be cancelled and yet to say `discard`."""
        return self._discarded or (self._reply is not None and self._reply.cancelled())

    def _stop(self, *, at_once: bool) -> None:
        self._discarded = True
        self._over.set()
        self._refund()
        if self.task is None:  # an eager task, in its first step
            return
        if at_once:
            self.task.cancel()
        else:
            self._loop.call_later(LISTENER_GRACE_S, self.task.cancel)

    def _refund(self) -> None:
        """Give the bytes of a response that nobody gets back to the batch."""
        self._budget.give_back(self._size)
        self._pieces, self._size = [], 0
