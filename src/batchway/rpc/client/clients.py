"""Clients of a JSON-RPC service over HTTP, for async code and for code that is not."""

import asyncio
import os
from collections.abc import Sequence
from typing import Unpack

from msgspec import Struct

from batchway.rpc.client.answers import Said, fail_all, settle
from batchway.rpc.client.caller import AsyncCaller, Caller
from batchway.rpc.client.calls import PendingCall, body_of
from batchway.rpc.client.endpoint import header_block, parse_url
from batchway.rpc.client.errors import ClientClosed, ClientError
from batchway.rpc.client.gather import Gatherer
from batchway.rpc.client.http import Sender
from batchway.rpc.client.settings import ClientOptions
from batchway.rpc.client.settings import settle as settle_options
from batchway.rpc.client.threads import LoopThread, keep_inherited


class _Line(Struct, frozen=True):
    """What belongs to one event loop of one process."""

    loop: asyncio.AbstractEventLoop
    pid: int
    sender: Sender
    gatherer: Gatherer


class AsyncRpcClient(AsyncCaller):
    """Calls the methods of a service at a URL. Close it, or use it with `async with`.

    Connections belong to the event loop that runs: in another loop, it connects anew.
    """

    def __init__(self, url: str, **options: Unpack[ClientOptions]) -> None:
        """For the options see `ClientSettings`. Raises ConfigError naming the one that is wrong."""
        self._endpoint = parse_url(url)
        self._settings, hooks = settle_options(options)
        header_block(self._settings.headers, self._settings.bearer)  # now, not with the first call
        super().__init__(hooks, self._settings.delimiter)
        self._line: _Line | None = None
        self._is_closed = False

    def _here(self) -> _Line:
        """What belongs to the loop that runs. Raises ClientClosed."""
        if self._is_closed:
            message = "the client is closed"
            raise ClientClosed(message)
        loop, line = asyncio.get_running_loop(), self._line
        if line is not None and line.loop is loop and line.pid == os.getpid():
            return line
        if line is not None and line.pid != os.getpid():
            keep_inherited(line)
        settings = self._settings
        gatherer = Gatherer(self._deliver, window_s=settings.batch_window_s, max_batch=settings.max_batch)
        self._line = _Line(loop, os.getpid(), Sender(self._endpoint, settings), gatherer)
        return self._line

    async def _ask(self, call: PendingCall, timeout_s: float | None) -> None:
        timeout_s = self._settings.timeout_s if timeout_s is None else timeout_s
        if self._settings.auto_batch:
            await self._here().gatherer.run(call, timeout_s)
        else:
            await self._deliver([call], timeout_s)

    async def _ask_all(self, calls: Sequence[PendingCall], timeout_s: float | None) -> ClientError | None:
        timeout_s = self._settings.timeout_s if timeout_s is None else timeout_s
        most = self._settings.max_batch
        parts = [calls[start : start + most] for start in range(0, len(calls), most)]
        if len(parts) == 1:
            return await self._deliver(calls, timeout_s, as_array=True)
        sent = (self._deliver(part, timeout_s, as_array=True) for part in parts)
        return next(filter(None, await asyncio.gather(*sent)), None)

    async def _ask_raw(self, body: bytes, timeout_s: float | None) -> bytes | None:
        timeout_s = self._settings.timeout_s if timeout_s is None else timeout_s
        said = await self._here().sender.post(body, timeout_s, may_repeat=False)
        if said.refusal is not None:
            raise said.refusal
        return said.body or None

    async def _deliver(
        self, calls: Sequence[PendingCall], timeout_s: float, *, as_array: bool = False
    ) -> ClientError | None:
        """Send calls in one request, and settle each."""
        idempotent = self._settings.idempotent
        may_repeat = all(call.method in idempotent for call in calls)
        try:
            body = body_of(calls, as_array=as_array)
            said: Said = await self._here().sender.post(body, timeout_s, may_repeat=may_repeat)
        except ClientError as error:
            fail_all(calls, error)
            return error
        return settle(calls, said)

    async def aclose(self) -> None:
        """Close all connections; calls under way fail."""
        self._is_closed = True
        line, self._line = self._line, None
        if line is not None and line.loop is asyncio.get_running_loop() and line.pid == os.getpid():
            await line.gatherer.aclose()
            await line.sender.aclose()


class RpcClient(Caller):
    """Calls the methods of a service at a URL. Close it, or use it with `with`.

    May be used by several threads, and where an event loop runs: it has a thread of its own, which does
    the work. In a forked process it connects anew.
    """

    def __init__(self, url: str, **options: Unpack[ClientOptions]) -> None:
        """For the options see `ClientSettings`. Raises ConfigError naming the one that is wrong."""
        self._thread = LoopThread()
        super().__init__(AsyncRpcClient(url, **options), self._thread.run)

    def close(self) -> None:
        """Close all connections and end the thread; calls under way fail. Need not be called in order."""
        if self._thread.is_running:
            super().close()
        self._thread.stop()
