"""One process that serves an app: a socket that is bound already, uvicorn, signals."""

import asyncio
import logging
import shlex
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import msgspec
import uvicorn
from msgspec import Struct

from batchway.cli.rpc.mount import Mount
from batchway.config import Address, ServerLimits
from batchway.rpc import RpcApp
from batchway.rpc.discover import DISCOVER
from batchway.server.listener import BACKLOG
from batchway.server.protocol import BoundedProtocol, Bounds
from batchway.server.signals import heard

SPARE_S = 2.0
"""Beyond the grace, for calls that are cut off to end."""


class Serving(Struct, frozen=True):
    """What to serve, and how."""

    target: str
    path: str
    profile: str | None
    grace_s: float
    """What running calls may take once the process is told to stop."""


class Ready(Struct, frozen=True):
    """What a process serves."""

    methods: int
    sample: str
    """A method that may be called as it is, if there is one."""
    strict: bool
    """Whether calls have to be sent as JSON."""


def describe(app: RpcApp) -> Ready:
    """What is to be said of an app."""
    found = [one for one in app.registry if one.name != DISCOVER]
    simple = [one.name for one in found if not any(parameter.required for parameter in one.binder.sent)]
    known = DISCOVER if DISCOVER in app.registry.methods else next((one.name for one in found), DISCOVER)
    return Ready(len(found), next(iter(simple), known), app.strict_content_type)


def banner(serving: Serving, bound: socket.socket, ready: Ready) -> str:
    """Where the app is, and a command that asks it something."""
    url = url_of(bound, serving.path)
    calls = [{"jsonrpc": "2.0", "method": ready.sample, "id": number} for number in (1, 2)]
    header = "-H 'content-type: application/json' " if ready.strict else ""
    body = shlex.quote(msgspec.json.encode(calls).decode())
    methods = "1 method" if ready.methods == 1 else f"{ready.methods} methods"
    return (
        f"Serving {serving.target} ({methods}) at {url} - Ctrl-C stops it\n"
        f"Try:\n  curl {shlex.quote(url)} {header}--data-binary {body}"
    )


def url_of(bound: socket.socket, path: str) -> str:
    """Where clients of this machine find it."""
    host, port = bound.getsockname()[:2]
    address = Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)  # noqa: S104 - read
    return f"http://{address}{path}"


class _Protocol(BoundedProtocol):
    """With bounds for requests, but with the upgrade to WebSocket, which those of the gateway have not."""

    bounds = Bounds(ServerLimits())

    def _without_upgrade(self, data: bytes) -> bytes:
        head = (self._before + data).partition(b"\r\n\r\n")[0].lower()
        return data if b"websocket" in head else super()._without_upgrade(data)

    def on_headers_complete(self) -> None:
        """Check the head, then start the app, or leave the connection to WebSocket."""
        headers = self.headers
        super().on_headers_complete()
        if self._refusal is None and self.parser.should_upgrade():
            self.headers = headers  # in which uvicorn looks for the upgrade


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to us: uvicorn would raise SIGTERM again after a clean end."""
        yield


async def serve(
    app: RpcApp,
    serving: Serving,
    bound: socket.socket,
    on_ready: Callable[[], None],
    parent: asyncio.StreamReader | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT, or the end of `parent`; then let what runs finish.

    A second signal cuts that short.
    """
    config = uvicorn.Config(
        Mount(app, serving.path),
        http=_Protocol,
        ws="auto",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=serving.grace_s + SPARE_S,  # type: ignore[arg-type] # floats work
    )
    server = _Server(config, on_ready)
    stop = partial(_stop, server, serving.grace_s)
    watch = asyncio.create_task(_outlive(parent, server, serving.grace_s))
    with heard({signal.SIGTERM: stop, signal.SIGINT: stop}):
        try:
            await server.serve(sockets=[bound])
        finally:
            watch.cancel()


def _stop(server: uvicorn.Server, grace_s: float) -> None:
    """Accept no more, and end with the last call that runs; called again, do not wait for that."""
    if server.should_exit:
        server.force_exit = True
        logging.getLogger("uvicorn.error").disabled = True  # what ends early does so on request
        _cut(server)
        return
    server.should_exit = True
    for listener in getattr(server, "servers", []):
        listener.close()  # at once: uvicorn looks at `should_exit` ten times a second
    asyncio.get_running_loop().call_later(grace_s, _cut, server)


def _cut(server: uvicorn.Server) -> None:
    """End all connections. Their calls end as for clients that have left."""
    for connection in list(server.server_state.connections):
        connection.transport.abort()


async def _outlive(parent: asyncio.StreamReader | None, server: uvicorn.Server, grace_s: float) -> None:
    """Stop once the process that has started this one is no more."""
    if parent is not None:
        with suppress(OSError):  # one that is gone before it has heard all resets it
            await parent.read()
        if not server.should_exit:
            _stop(server, grace_s)
