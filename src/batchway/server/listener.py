"""Sockets that are bound by us and served by uvicorn, one listener an address."""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import structlog
import uvicorn

from batchway.config import Address, Settings
from batchway.config.resources import decode
from batchway.errors import BatchwayError, ConfigError, InvalidResource
from batchway.plugins.prometheus import ExportAttributes
from batchway.server.protocol import BoundedProtocol, Bounds, bounded

BACKLOG = 4096

log = structlog.get_logger(__name__)

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


class ListenError(BatchwayError):
    """An address cannot be listened on."""

    code = "listen_error"


Place = tuple[str, Address]
"""What an address is for: `data`, `admin`, `control` or `metrics`; and the address."""

_SETTINGS = {
    "data": "apisix.node_listen",
    "admin": "deployment.admin.admin_listen",
    "control": "apisix.control",
    "metrics": "plugin_attr.prometheus.export_addr",
}


def places(settings: Settings) -> list[Place]:
    """Each address to listen on, with what it is for."""
    found = [("data", address) for address in settings.node_listen]
    if settings.enable_admin:
        found.append(("admin", settings.admin_listen))
    if settings.enable_control:
        found.append(("control", settings.control))
    exporting = export_attributes(settings)
    if exporting is not None:
        found.append(("metrics", Address(exporting.export_addr.ip, exporting.export_addr.port)))
    return found


def export_attributes(settings: Settings) -> ExportAttributes | None:
    """How metrics are exported; None if it is not by a listener of their own. Raises ConfigError."""
    if settings.plugins is not None and "prometheus" not in settings.plugins:
        return None
    given = settings.plugin_attr.get("prometheus") or {}
    try:
        attributes = decode(given, ExportAttributes, "plugin_attr.prometheus", show_values=False)
    except InvalidResource as error:
        raise ConfigError(error.message) from None
    return attributes if attributes.enable_export_server else None


_DEFAULTS = (("control", Settings().control), ("metrics", Address("127.0.0.1", 9091)))


def is_dispensable(place: Place) -> bool:
    """Whether the gateway can do without: nobody has asked for it, it is there by default."""
    return place in _DEFAULTS


class NotPassedOn(ListenError):
    """The supervisor has no socket for it."""


def bind_if_possible(place: Place, bind: Callable[[Address], socket.socket]) -> socket.socket | None:
    """A socket for the place; None, and a warning, for one that is dispensable. Raises ListenError."""
    what, address = place
    try:
        with naming_setting(what):
            return bind(address)
    except NotPassedOn:
        if not is_dispensable(place):
            raise
    except ListenError as error:
        if not is_dispensable(place):
            raise
        log.warning("not served, another process has the port", what=what, error=error.message)
    return None


@contextmanager
def naming_setting(what: str) -> Iterator[None]:
    """Have a ListenError name the setting that has the address."""
    try:
        yield
    except ListenError as error:
        raise type(error)(f"{_SETTINGS[what]}: {error.message}") from error


def bind(address: Address) -> socket.socket:
    """A socket bound to `address`. Raises ListenError, in one line, if it cannot be."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address.host, address.port))
        bound.listen(BACKLOG)  # now, so that a second gateway on the same address fails at its start
    except OSError as error:
        bound.close()
        raise ListenError(f"cannot listen on {address}: {_why(error)}") from error
    bound.setblocking(False)
    return bound


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "that is no address"
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is already in use"
        case errno.EACCES:
            return "not permitted; ports below 1024 are for root"
        case errno.EADDRNOTAVAIL:
            return "this machine does not have that address"
        case None:
            return str(error)
        case number:
            return os.strerror(number).lower()


class Listener:
    """One bound socket and the server behind it."""

    def __init__(
        self,
        address: Address,
        app: AsgiApp,
        bounds: Bounds,
        bind: Callable[[Address], socket.socket] = bind,
    ) -> None:
        """Raises ListenError, as `bind` does."""
        self.address = address
        self.app = app
        self._socket = bind(address)
        self._bounds = bounds
        config = uvicorn.Config(
            app,
            http=bounded(bounds),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # who the client is, is decided by real_ip_from
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=bounds.limits.keepalive_timeout_s,  # type: ignore[arg-type] # floats work
        )
        self._config = config
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to accept."""
        self._serving = asyncio.get_running_loop().create_task(
            self._server.serve(sockets=[self._socket]), name=f"listener {self.address}"
        )

    def give_up(self) -> None:
        """Close the socket of a listener that was never started."""
        self._socket.close()

    async def stop(self, grace_s: float) -> None:
        """Accept no more, let running requests finish for up to `grace_s`, then cut them off."""
        self._config.timeout_graceful_shutdown = grace_s  # type: ignore[assignment] # floats work
        self._server.should_exit = True
        for server in getattr(self._server, "servers", []):
            server.close()  # at once: uvicorn looks at `should_exit` ten times a second
        for connection in self._server.server_state.connections:
            cast(BoundedProtocol, connection).drain()  # likewise: uvicorn closes those that stay idle
        if self._serving is not None:
            await self._serving
        self._socket.close()

    def hurry(self) -> None:
        """Do not wait for running requests any longer: cut their connections."""
        self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to us: uvicorn would raise SIGTERM again after a clean end."""
        yield
