"""The data plane as an ASGI app: a request from the wire becomes one of ours, and back."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network, IPv6Network, ip_address

import structlog
from msgspec import Struct

from batchway.errors import InternalError, ShuttingDown
from batchway.model import (
    ClientGone,
    Headers,
    Origin,
    Request,
    Response,
    end_to_end,
    error_response,
)
from batchway.wire import (
    Message,
    Receive,
    Scope,
    Send,
    Whole,
    WireBody,
    follow_lifespan,
    send_response,
    send_whole,
)

Networks = tuple[IPv4Network | IPv6Network, ...]

log = structlog.get_logger(__name__)


class Trust(Struct, frozen=True):
    """Whose word about the client is taken."""

    real_ip_header: bytes = b"x-real-ip"
    real_ip_from: Networks = ()
    real_ip_recursive: bool = False
    trusted_addresses: Networks = ()


class GatewayApp:
    """ASGI app over `handle`. A client that leaves takes its request with it."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]], trust: Trust) -> None:
        self.handle = handle
        self.trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await follow_lifespan(receive, send)
            return
        body = WireBody(scope["headers"], receive)
        watch = asyncio.get_running_loop().create_task(body.watch(asyncio.current_task()))
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await send_response(await self._answer(scope, body), send_on)
        except ClientGone:
            pass
        except asyncio.CancelledError:
            # By the client's leaving, or by the server's, when the grace of a shutdown is over.
            if not body.gone and not started:
                await send_response(error_response(ShuttingDown()), send)
        finally:
            watch.cancel()

    async def serve_whole(self, exchange: Whole) -> None:
        """Answer a request that our own server has whole: it tells us itself that a client has left."""
        try:
            await send_whole(await self._answer(exchange.scope, exchange.take_body()), exchange)
        except asyncio.CancelledError:
            if not exchange.gone and not exchange.response_started:
                await send_response(error_response(ShuttingDown()), exchange.send)

    async def _answer(self, scope: Scope, body: bytes | WireBody) -> Response:
        pairs: list[tuple[bytes, bytes]] = scope["headers"]
        headers = Headers(end_to_end(pairs))
        request = Request(
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            scope["query_string"].decode("latin-1"),
            headers,
            body if isinstance(body, bytes) or body.expected else b"",
            self._origin(scope, headers),
        )
        try:
            return await self.handle(request)
        except (asyncio.CancelledError, ClientGone):
            raise
        except Exception:
            log.exception("request failed", path=scope["path"])
            return error_response(InternalError())

    def _origin(self, scope: Scope, headers: Headers) -> Origin:
        peer, peer_port = scope.get("client") or ("", 0)
        server = scope.get("server") or ("", 80)
        trust = self.trust
        client = peer
        if trust.real_ip_from and _within(peer, trust.real_ip_from):
            client = _real_ip(headers, trust) or peer
        host = headers.get(b"host") or b""
        trusted = bool(trust.trusted_addresses) and _within(peer, trust.trusted_addresses)
        return Origin(
            client,
            scope["scheme"],
            host.decode("latin-1"),
            server[1] or 80,
            trusted,
            peer_port if client == peer else 0,
            server[0],
        )


def _within(address: str, networks: Networks) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def _real_ip(headers: Headers, trust: Trust) -> str | None:
    """The client as the trusted peer names it. Source: nginx, ngx_http_realip_module.

    Of a list the last address counts, or with `real_ip_recursive` the last that is not itself trusted.
    """
    values = [value for name, value in headers.pairs if name == trust.real_ip_header]
    named = [one.strip() for one in b",".join(values).decode("latin-1").split(",")]
    found = None
    for address in reversed(named):  # what stands further left, only those further right vouch for
        if not _is_address(address):
            break
        found = address
        if not trust.real_ip_recursive or not _within(address, trust.real_ip_from):
            break
    return found


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone may be any text, and means nothing on another machine
