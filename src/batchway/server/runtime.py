"""A running batchway: store, gateway, both listeners; what starts, reloads and drains them."""

import asyncio
import gc
import signal
from collections.abc import Awaitable, Callable, Collection
from socket import socket
from typing import Protocol

import structlog

from batchway import __version__
from batchway.admin.app import AdminApp
from batchway.config import Address, Settings
from batchway.errors import BatchwayError
from batchway.gateway import Gateway, GatewayApp
from batchway.gateway.access_log import AccessLog
from batchway.plugins import Registry
from batchway.plugins.base import Counters
from batchway.plugins.counters import LocalCounters
from batchway.rpc.plugin import finish_apps
from batchway.server.control import ControlApp
from batchway.server.from_settings import (
    make_access,
    make_access_log,
    make_forwarding,
    make_paths,
    make_registry,
    make_resolver,
    make_terms,
    make_trust,
    without_restart,
)
from batchway.server.listener import (
    AsgiApp,
    Listener,
    Place,
    bind,
    bind_if_possible,
    export_attributes,
    places,
)
from batchway.server.metrics import MetricsApp
from batchway.server.protocol import Bounds
from batchway.server.signals import heard
from batchway.server.stores import OpenStore, open_store, reader
from batchway.server.sync import Sync
from batchway.store.yaml_file import YamlFileStore
from batchway.upstream import Pools

log = structlog.get_logger(__name__)


async def serve(settings: Settings, reload: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. SIGHUP calls `reload` and goes on with its result.

    A second signal cuts the draining short. Raises BatchwayError for what keeps it from starting.
    """
    registry = make_registry(settings)
    store = await open_store(settings, registry)
    try:
        counters = LocalCounters(settings.limits.counter_keys)
        runtime = Runtime(settings, registry, store, counters=counters)
        await runtime.start()
        await _serve_until_told(runtime, reload)
    finally:
        await store.close()


def say_ready(settings: Settings, workers: int, served: Collection[Place]) -> None:
    """Log what is served where: `served` is not all of `places` where the gateway does without some."""
    log.info(
        "batchway is ready",
        version=__version__,
        data=[str(address) for address in settings.node_listen],
        admin=str(settings.admin_listen) if settings.enable_admin else None,
        control=str(settings.control) if ("control", settings.control) in served else None,
        metrics=_metrics_url(settings, served),
        store=settings.store.path,
        workers=workers,
    )


def _metrics_url(settings: Settings, served: Collection[Place]) -> str | None:
    exporting = export_attributes(settings)
    if exporting is None:
        return None
    address = Address(exporting.export_addr.ip, exporting.export_addr.port)
    return f"http://{address}{exporting.export_uri}" if ("metrics", address) in served else None


async def _serve_until_told(runtime: "Runtime", reload: Callable[[], Settings]) -> None:
    loop = asyncio.get_running_loop()
    stop, again = asyncio.Event(), asyncio.Event()

    def stop_or_hurry() -> None:
        if stop.is_set():
            runtime.hurry()
        stop.set()

    one_at_a_time = asyncio.Lock()

    async def reload_now() -> None:
        async with one_at_a_time:
            settings = await asyncio.to_thread(reload)
            await runtime.reload(without_restart(settings, runtime.settings))
        log.info("configuration reloaded")

    runtime.reload_by(reload_now)
    reloading = loop.create_task(_reload_when(again, reload_now))
    with heard({signal.SIGTERM: stop_or_hurry, signal.SIGINT: stop_or_hurry, signal.SIGHUP: again.set}):
        try:
            say_ready(runtime.settings, 1, runtime.served)  # only now: who reads it may send a signal
            await stop.wait()
            log.info("draining", grace_s=runtime.settings.limits.shutdown_grace_s)
        finally:
            reloading.cancel()
            await runtime.stop()
            log.info("stopped")


async def _reload_when(again: asyncio.Event, reload_now: Callable[[], Awaitable[None]]) -> None:
    while True:
        await again.wait()
        again.clear()
        try:
            await reload_now()
        except BatchwayError as error:
            log.error("configuration not reloaded", error=error.message)


class Peers(Protocol):
    """The other workers of this gateway."""

    async def join(self) -> int:
        """Take part in every write from now on; the newest revision that was written before."""

    def joined(self, revision: int) -> None:
        """Tell that all up to `revision` is applied here."""

    async def applied(self, revision: int) -> None:
        """Return once all others have what `revision` wrote, or are not waited for."""


class Alone:
    """No other workers."""

    async def join(self) -> int:
        """Nothing was written."""
        return 0

    def joined(self, revision: int) -> None:
        """Tell nobody."""

    async def applied(self, revision: int) -> None:
        """Wait for nobody."""


class Stopping(BatchwayError):
    """It is too late for a reload."""

    code = "stopping"


class Runtime:
    """The parts of one worker, put together."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        store: OpenStore,
        *,
        counters: Counters,
        bind: Callable[[Address], socket] = bind,
        peers: Peers | None = None,
    ) -> None:
        """`bind` gives the sockets to listen on."""
        self.settings = settings
        self._store = store
        self._bind = bind
        self._peers = peers or Alone()
        self._bounds = Bounds(settings.limits)
        self._pools = Pools(make_resolver(settings), ca_file=settings.ssl_trusted_certificate)
        self._gateway = Gateway(
            registry,
            self._pools,
            make_terms(settings),
            make_forwarding(settings),
            counters=counters,
            router=settings.router,
            paths=make_paths(settings),
        )
        self._app = GatewayApp(self._gateway.handle, make_trust(settings))
        access = make_access(settings, registry)
        self._sync = Sync(store, self._gateway, access.keyring)
        self._admin = AdminApp(store, access=access, applied=self._applied, find_holder=self._find_holder)
        self._control = ControlApp(self._gateway, self._sync.served)
        self._apps: dict[str, AsgiApp] = {
            "data": self._app,
            "admin": self._admin,
            "control": self._control,
            "metrics": MetricsApp(lambda: export_attributes(self.settings), self._gateway),
        }
        self._listeners: dict[Place, Listener] = {}
        self._retiring: dict[asyncio.Task[None], Listener] = {}
        self._following: asyncio.Task[None] | None = None
        self._access_log: AccessLog | None = None
        self._reloading = asyncio.Lock()
        self._is_stopping = False

    async def start(self) -> None:
        """Bind, load the store, accept. Raises ListenError, StoreError."""
        settings = self.settings
        try:
            self._listeners = self._bind_new(settings)
            self._access_log = make_access_log(settings)
            self._observe()
            self._expose(settings)
            await self._sync.load()
            self._following = asyncio.get_running_loop().create_task(self._sync.follow())
            await self._join()
        except BaseException:
            await self._stop_listeners(0)
            await self._end()
            raise
        for listener in self._listeners.values():
            listener.start()
        _settle_memory()

    @property
    def served(self) -> Collection[Place]:
        """What is listened on."""
        return self._listeners.keys()

    def _listener(self, place: Place) -> Listener | None:
        """None where the gateway can do without it, and has to."""
        what, address = place
        bound = bind_if_possible(place, self._bind)
        return None if bound is None else Listener(address, self._apps[what], self._bounds, lambda _: bound)

    def _observe(self) -> None:
        self._gateway.observers = () if self._access_log is None else (self._access_log,)
        self._gateway.changed()

    async def _use_access_log(self, fresh: AccessLog | None) -> None:
        """Write to that one from now on: a file that was moved away is made anew."""
        old, self._access_log = self._access_log, fresh
        self._observe()
        if old is not None:
            await old.close()

    async def _join(self) -> None:
        """From here on a write is answered when it holds here, too; those before it hold already."""
        written = await self._peers.join()
        await self.catch_up(written)
        self._peers.joined(written)

    async def _applied(self, revision: int) -> None:
        """Return once a write of ours holds for the next request on any worker."""
        others = asyncio.ensure_future(self._peers.applied(revision))
        try:
            await self._sync.applied(revision)
            await others
        finally:
            others.cancel()

    def _find_holder(self, plugin: str, identity: str) -> str | None:
        credential = self._gateway.credential(plugin, identity)
        return None if credential is None else credential.consumer.username

    def reload_by(self, reload: Callable[[], Awaitable[None]]) -> None:
        """What reads the configuration again when an API is asked to. Raises BatchwayError."""
        self._admin.reload = self._control.reload = reload

    async def catch_up(self, revision: int) -> None:
        """Return once what another worker has written holds here."""
        self._store.wake()
        await self._sync.applied(revision)

    def _expose(self, settings: Settings) -> None:
        registry = self._gateway.registry
        self._gateway.expose(registry.api_uris() if settings.expose_batch else [])

    async def reload(self, settings: Settings) -> None:
        """Go on with `settings`. Nothing changes if they cannot be used: raises BatchwayError."""
        async with self._reloading:
            if self._is_stopping:
                raise Stopping("the gateway is about to end")
            await self._change_to(settings)

    async def _change_to(self, settings: Settings) -> None:
        registry = make_registry(settings)
        access = make_access(settings, registry)
        fresh = self._bind_new(settings)
        try:
            fresh_log = make_access_log(settings)
        except BaseException:
            _give_up(fresh)
            raise
        self.settings = settings
        self._bounds.limits = settings.limits
        self._gateway.use(
            registry,
            make_forwarding(settings),
            make_terms(settings),
            router=settings.router,
            paths=make_paths(settings),
        )
        self._expose(settings)
        self._app.trust = make_trust(settings)
        self._admin.access = access
        self._sync.keyring = access.keyring
        try:
            await self._use_access_log(fresh_log)
            if isinstance(self._store, YamlFileStore):
                await self._store.reread(reader(settings, registry).values)
            await self._sync.load()
        finally:  # the rest holds already, also where the store cannot be read
            self._swap_listeners(fresh, settings)
        await asyncio.sleep(0)  # the ports that are given up are closed when this returns

    def _bind_new(self, settings: Settings) -> dict[Place, Listener]:
        """Listeners for the places that are new, all of them or none."""
        fresh: dict[Place, Listener] = {}
        try:
            for place in places(settings):
                if place not in self._listeners and (listener := self._listener(place)) is not None:
                    fresh[place] = listener
        except BaseException:
            _give_up(fresh)
            raise
        return fresh

    def _swap_listeners(self, fresh: dict[Place, Listener], settings: Settings) -> None:
        wanted = places(settings)
        gone = [self._listeners.pop(place) for place in list(self._listeners) if place not in wanted]
        for listener in fresh.values():
            listener.start()
        self._listeners |= fresh
        for listener in gone:  # they drain while we go on
            retiring = asyncio.create_task(listener.stop(settings.limits.shutdown_grace_s))
            self._retiring[retiring] = listener
            retiring.add_done_callback(self._retiring.pop)

    async def stop(self) -> None:
        """Drain: accept no more, let running batches finish for the configured grace."""
        self._is_stopping = True
        async with self._reloading:
            pass  # what it opens is to be closed, too
        await self._stop_listeners(self.settings.limits.shutdown_grace_s)
        await asyncio.gather(*self._retiring)
        await self._end()

    async def _end(self) -> None:
        if self._following is not None:
            self._following.cancel()
        await finish_apps()
        if self._access_log is not None:
            await self._access_log.close()
        self._gateway.close()
        await self._pools.close()

    async def _stop_listeners(self, grace_s: float) -> None:
        await asyncio.gather(*(listener.stop(grace_s) for listener in self._listeners.values()))

    def hurry(self) -> None:
        """Cut the draining short."""
        for listener in (*self._listeners.values(), *self._retiring.values()):
            listener.hurry()


def _give_up(listeners: dict[Place, Listener]) -> None:
    for listener in listeners.values():
        listener.give_up()


def _settle_memory() -> None:
    """Keep the collector from walking what stays for ever.

    A batch makes thousands of short-lived objects, hardly any of them in cycles: with CPython's
    thresholds a fifth of the time went into collections that found nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
