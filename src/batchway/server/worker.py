"""One worker of several: a runtime that obeys its supervisor."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from socket import socket
from typing import Any

import structlog
from msgspec import Struct

from batchway.config import Address, Settings
from batchway.errors import BatchwayError, ConfigError
from batchway.plugins import Registry
from batchway.plugins.base import Counters
from batchway.server.channel import Channel
from batchway.server.from_settings import make_registry
from batchway.server.line import Line
from batchway.server.listener import NotPassedOn
from batchway.server.messages import (
    Applied,
    Failed,
    FromSupervisor,
    Hurry,
    Ready,
    Reload,
    Reloaded,
    Stop,
    Written,
)
from batchway.server.runtime import Runtime
from batchway.server.signals import heard
from batchway.server.stores import OpenStore, open_store
from batchway.store.kept import Kept

log = structlog.get_logger(__name__)


class Job(Struct, frozen=True, eq=False):
    """What a worker is given when it is forked."""

    settings: Settings
    sockets: dict[Address, socket]
    """Bound, for each address that the settings name."""
    channel: Channel
    counters: Counters
    adopt: Callable[[Settings], None]
    """Called with the settings of a reload, for what is not the runtime's."""
    kept: Kept | None = None
    """What all workers share of a file of resources."""


async def work(job: Job) -> int:
    """Serve until the supervisor says Stop or is gone, or SIGTERM comes, then drain. The exit code."""
    return await _Worker(job).run()


class _Worker:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._sockets = dict(job.sockets)
        self._line = Line(job.channel, self._obey, self._on_lost)
        self._stop = asyncio.Event()
        self._is_hurried = False
        self._ready = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reloading: asyncio.Task[None] | None = None

    async def run(self) -> int:
        # A service manager may send it to all processes, and so twice to us: it never means to hurry.
        with heard({signal.SIGTERM: self._stop.set}):
            return await self._work()

    async def _work(self) -> int:
        self._line.open()
        try:
            settings = self._job.settings
            registry = make_registry(settings)
            store = await open_store(settings, registry, self._job.kept)
        except BatchwayError as error:
            return self._failed(error)
        try:
            return await self._serve(store, registry)
        finally:
            self._line.close()
            await store.close()

    async def _serve(self, store: OpenStore, registry: Registry) -> int:
        settings = self._job.settings
        try:
            self._runtime = Runtime(
                settings,
                registry,
                store,
                bind=self._take_socket,
                peers=self._line,
                counters=self._job.counters,
            )
            self._runtime.reload_by(self._line.reload)
            if not await self._start():
                return 0
        except BatchwayError as error:
            return self._failed(error)
        self._ready.set()
        self._line.say(Ready())
        await self._stop.wait()
        if self._reloading is not None:
            self._reloading.cancel()
            await asyncio.wait((self._reloading,))
        if self._is_hurried:
            self._runtime.hurry()
        await self._runtime.stop()
        return 0

    async def _start(self) -> bool:
        """Whether nobody has said Stop meanwhile."""
        starting = asyncio.create_task(self._runtime.start())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            stopping.cancel()
            await starting
            return True
        starting.cancel()
        await asyncio.wait((starting,))
        return False

    def _failed(self, error: BatchwayError) -> int:
        self._line.say(Failed(error.message, isinstance(error, ConfigError)))
        return 1

    def _take_socket(self, address: Address) -> socket:
        found = self._sockets.pop(address, None)
        if found is None:
            message = f"cannot listen on {address}: the supervisor has not passed it on"
            raise NotPassedOn(message)
        return found

    # --- what the supervisor says

    def _obey(self, order: FromSupervisor) -> None:
        match order:
            case Written(revision):
                self._spawn(self._catch_up(revision))
            case Reload(fresh=fresh):
                self._sockets = dict(zip(fresh, self._job.channel.take_sockets(len(fresh)), strict=True))
                if not self._stop.is_set():
                    self._reloading = self._spawn(self._reload(order.settings()))
            case Stop():
                self._stop.set()
            case Hurry():
                self._is_hurried = True
                if self._ready.is_set():
                    self._runtime.hurry()

    def _on_lost(self) -> None:
        if not self._stop.is_set():
            log.error("the supervisor is gone: draining")
            self._stop.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _catch_up(self, revision: int) -> None:
        await self._runtime.catch_up(revision)
        self._line.say(Applied(revision))

    async def _reload(self, settings: Settings) -> None:
        await self._ready.wait()
        error: str | None = None
        try:
            self._job.adopt(settings)
            await self._runtime.reload(settings)
        except BatchwayError as failure:
            error = failure.message
        except Exception as failure:
            log.exception("reload failed")
            error = repr(failure)
        self._line.say(Reloaded(error))
