"""A client whose transport stays open: calls come in, answers and notifications go out, in any order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Protocol

import structlog

from batchway.rpc.connections import Connections
from batchway.rpc.context import Context
from batchway.rpc.errors import RpcError
from batchway.rpc.settings import RpcLimits
from batchway.rpc.transport import Answered

Body = bytes | str | RpcError
"""What has come in; an RpcError refuses what was none."""

log = structlog.get_logger(__name__)


class App(Protocol):
    """The service."""

    limits: RpcLimits
    connections: Connections

    async def answer(self, body: bytes | str, context: Context | None = None) -> Answered: ...

    def refuse(self, error: RpcError) -> Answered: ...

    def release(self, answered: Answered) -> None: ...


class Connection:
    """Answers the bodies of one client, several at once. What it writes is written one after another."""

    def __init__(
        self,
        app: App,
        write: Callable[[bytes, Body | None], Awaitable[None]],
        context: Context,
        *,
        patience_s: float | None = None,
    ) -> None:
        """`write` sends one message, and waits for a client that is slow to read.

        Its second argument is what that answers, None for a notification. It raises OSError once the client
        is gone, or is given up after `patience_s`.
        """
        self.is_open = True
        self._app = app
        self._write = write
        self._context = context
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(app.limits.connection_concurrency)
        self._turn = asyncio.Lock()
        self._reading: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._posted: deque[bytes] = deque()
        self._posted_bytes = 0
        self._posting: asyncio.Task[None] | None = None

    async def serve(
        self, bodies: AsyncIterable[Body], *, finish: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Answer all bodies. Then cancel the calls that still run; or wait for them, and for `finish()`."""
        self._context.connection = self
        self._app.connections.add(self)
        try:
            async with asyncio.TaskGroup() as group:
                self._reading = group.create_task(self._read(bodies, group))
                if finish is None:
                    self._reading.add_done_callback(lambda _: self.close())
            if finish is not None and self.is_open:
                await finish()
                await self._end_posting()
        finally:
            self.close()
            await self._end_posting()

    async def _end_posting(self) -> None:
        if self._posting is not None:
            await asyncio.gather(self._posting, return_exceptions=True)

    async def _read(self, bodies: AsyncIterable[Body], group: asyncio.TaskGroup) -> None:
        # Who sends more than may run at once is read no further: that is how it is held up.
        async for body in bodies:
            await self._room.acquire()
            task = group.create_task(self._answer(body))
            self._answering.add(task)
            task.add_done_callback(self._answered)

    def _answered(self, task: "asyncio.Task[None]") -> None:
        self._answering.discard(task)
        self._room.release()

    async def _answer(self, body: Body) -> None:
        app = self._app
        answered = app.refuse(body) if isinstance(body, RpcError) else await app.answer(body, self._context)
        try:
            if answered.body is not None:
                await self.send(answered.body, body)
        except OSError:
            self.close()
        finally:
            app.release(answered)

    def close(self) -> None:
        """Take no more from the client, and tell it no more. Cancels its calls."""
        if not self.is_open:
            return
        self.is_open = False
        self._app.connections.discard(self)
        for task in (self._reading, self._posting, *self._answering):
            if task is not None:
                task.cancel()

    async def send(self, message: bytes, answered: Body | None = None) -> None:
        """Send one message, the answer to `answered`, after those before it.

        Raises OSError once the client is gone.
        """
        async with self._turn:
            if not self.is_open:
                reason = "the connection is closed"
                raise ConnectionResetError(reason)
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._write(message, answered)
            except TimeoutError:
                log.warning("connection closed", error="the client does not read")
                self.close()
                raise

    async def notify(self, method: str, params: Any) -> None:
        """Send a notification. Raises as `send` does, TypeError for params that are none."""
        await self.send(self._app.connections.notification(method, params))

    def notify_from_thread(self, method: str, params: Any) -> None:
        """As `notify`, for a thread other than the event loop's, which waits."""
        asyncio.run_coroutine_threadsafe(self.notify(method, params), self._loop).result()

    def post(self, message: bytes) -> bool:
        """Send one message some time, without a wait for it. False if the connection is closed.

        It is closed for a client that leaves too much unread: that would miss some of it otherwise, and
        not know.
        """
        if not self.is_open:
            return False
        if self._posted_bytes and self._posted_bytes + len(message) > self._app.limits.max_unsent_bytes:
            log.warning("connection closed", error="the client leaves too much unread")
            self.close()
            return False
        self._posted.append(message)
        self._posted_bytes += len(message)
        if self._posting is None or self._posting.done():
            self._posting = self._loop.create_task(self._post())
        return True

    async def _post(self) -> None:
        while self._posted:
            message = self._posted.popleft()
            try:
                await self.send(message)
            except OSError:
                self.close()
                return
            self._posted_bytes -= len(message)
