"""Sending a request to an upstream: choose a node, write, await; try another node where that is safe."""

import asyncio
import ssl

import structlog

from batchway.errors import ConfigError, NoHealthyNode, UpstreamError, UpstreamRefused, UpstreamTimeout
from batchway.model import Body, ClientGone, Request, Response
from batchway.upstream.balance import RoundRobin
from batchway.upstream.connection import Connection, Exchange
from batchway.upstream.pool import Address, Pool, Terms
from batchway.upstream.resolver import Resolver
from batchway.upstream.spec import Node, Timeout, Upstream

log = structlog.get_logger(__name__)

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be sent again when it is not known whether they ran. RFC 9110, section 9.2.2."""
_MAX_AT = 1024
_MAY_HAVE_BODY = frozenset({"POST", "PUT", "PATCH"})


class Pools:
    """All pools of this worker, by address and terms. Shared by all upstreams."""

    def __init__(self, resolver: Resolver, *, ca_file: str | None = None) -> None:
        """`ca_file`: PEM, instead of the system's CAs. Raises ConfigError if it cannot be used."""
        self.resolver = resolver
        self._pools: dict[tuple[Address, Terms], Pool] = {}
        self._ca_file = ca_file
        self._contexts: dict[bool, ssl.SSLContext] = {}
        if ca_file is not None:
            try:
                self._tls(verify=True)
            except (OSError, ssl.SSLError) as error:
                message = f"the trusted CA certificates in {ca_file} cannot be used: {error}"
                raise ConfigError(message) from error

    def get(self, address: Address, terms: Terms) -> Pool:
        """The pool for that address, made if need be."""
        pool = self._pools.get((address, terms))
        if pool is None:
            tls = self._tls(verify=address.verify) if address.server_name is not None else None
            pool = self._pools[address, terms] = Pool(address, terms, tls, self._forget)
        return pool

    def _forget(self, pool: Pool) -> None:
        pool.forgotten = True
        self._pools.pop((pool.address, pool.terms), None)

    def _tls(self, *, verify: bool) -> ssl.SSLContext:
        context = self._contexts.get(verify)
        if context is None:
            context = ssl.create_default_context(cafile=self._ca_file)
            if not verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            context.set_alpn_protocols(["http/1.1"])
            self._contexts[verify] = context
        return context

    def open_connections(self) -> int:
        """How many connections are open or being opened."""
        return sum(pool.open for pool in self._pools.values())

    async def close(self) -> None:
        """Close every connection; what runs fails."""
        for pool in list(self._pools.values()):
            pool.close()
        await self.resolver.close()


class UpstreamClient:
    """Sends requests to the nodes of one upstream resource."""

    needs_lookup = False

    def close(self) -> None:
        """Free what it holds."""

    def __init__(
        self, upstream: Upstream, pools: Pools, terms: Terms, previous: "UpstreamClient | None" = None
    ) -> None:
        """`terms` are the worker's; the resource's own `keepalive_pool` and `max_connections` win."""
        self.upstream = upstream
        self._pools = pools
        self._turns: RoundRobin[Node] = RoundRobin(upstream.node_list())
        self._tls = upstream.scheme == "https"
        self._at: dict[tuple[str, str, int, bool], Pool] = {}
        kept = upstream.keepalive_pool
        self._terms = Terms(
            max_connections=upstream.max_connections or terms.max_connections,
            max_idle=terms.max_idle if kept is None else kept.size,
            idle_timeout_s=terms.idle_timeout_s if kept is None else kept.idle_timeout,
            max_requests=terms.max_requests if kept is None else kept.requests,
            max_header_bytes=terms.max_header_bytes,
        )
        retries = upstream.retries
        self._tries = 1 + (max(0, len(self._turns) - 1) if retries is None else retries)
        self._passes_host = upstream.pass_host == "pass"  # noqa: S105 - no password
        rewrites_host = upstream.pass_host == "rewrite"  # noqa: S105 - no password
        rewritten = upstream.upstream_host if rewrites_host else None
        self._host = rewritten.encode() if rewritten else None
        self._server_name = _without_port(rewritten) if rewritten else None

    async def send(
        self, request: Request, block: bytes, times: Timeout | None = None, lookup: object = None
    ) -> Response:
        """The upstream's answer to `request`, whose headers `block` has as they go on the wire.

        An item's answer is read whole, within its batch's budget; a plain request's body is streamed.
        Raises UpstreamError. Cancelled, the connection is closed and nothing of it is left.
        """
        times = times or self.upstream.timeout
        tried: list[Node] = []
        while True:
            node = self._turns.next(tried)
            if node is None:
                message = "the upstream has no healthy node"
                raise NoHealthyNode(message)
            tried.append(node)
            try:
                return await self._ask(node, request, block, times)
            except _Retryable as retryable:
                failed = retryable.error
            if len(tried) >= self._tries:
                try:
                    raise failed
                finally:
                    del failed  # an error and the frame that holds it would wait for the collector
            log.info("next upstream node", failed=node.host, error=failed.code)

    async def _ask(self, node: Node, request: Request, block: bytes, times: Timeout) -> Response:
        """One try. Raises _Retryable where another node may be tried, else UpstreamError."""
        while True:
            try:
                pool = self._pool(node, request) or await self._resolved(node, request)
                connection = pool.take_idle() or await pool.take(request.batch, times.connect)
            except (UpstreamRefused, UpstreamTimeout) as error:
                raise _Retryable(error) from error  # nothing was sent
            reused = connection.served > 0
            head = self._head(node, request, block)
            try:
                return await _exchange(connection, head, request, times)
            except UpstreamError as error:
                if not _may_repeat(request, connection):
                    raise
                if reused and not isinstance(error, UpstreamTimeout):
                    continue  # closed by the server while it was idle: that was no try
                raise _Retryable(error) from error

    def _pool(self, node: Node, request: Request) -> Pool | None:
        """The pool to ask, or None if the node's name must be resolved first."""
        ip = self._pools.resolver.known(node.host)
        return None if ip is None else self._pool_at(ip, node, request)

    async def _resolved(self, node: Node, request: Request) -> Pool:
        return self._pool_at(await self._pools.resolver.resolve(node.host), node, request)

    def _pool_at(self, ip: str, node: Node, request: Request) -> Pool:
        key = (ip, node.host, node.port, request.verify_tls)
        pool = self._at.get(key)
        if pool is None or pool.forgotten:
            if len(self._at) >= _MAX_AT:  # addresses of names change over time
                self._at.clear()
            pool = self._at[key] = self._pools.get(self._address(ip, node, request), self._terms)
        return pool

    def _address(self, ip: str, node: Node, request: Request) -> Address:
        if not self._tls:
            return Address(ip, node.port)
        verify = self.upstream.tls.verify or request.verify_tls
        # The name to verify is the operator's, never the client's Host header.
        return Address(ip, node.port, self._server_name or node.host, verify)

    def _head(self, node: Node, request: Request, block: bytes) -> bytes:
        """Request line and headers. All that concerns framing is written here and nowhere else."""
        target = f"{request.path}?{request.query}" if request.query else request.path
        host = self._host or self._passed_host(node, request)
        body = request.body
        if isinstance(body, bytes):
            counted = body or request.method in _MAY_HAVE_BODY
            framing = b"content-length: %d\r\n" % len(body) if counted else b""
        elif body.length is not None:
            framing = b"content-length: %d\r\n" % body.length
        else:
            framing = b"transfer-encoding: chunked\r\n"
        line = f"{request.method} {target} HTTP/1.1\r\nhost: ".encode("ascii")
        return b"%b%b\r\n%b%b\r\n" % (line, host, block, framing)

    def _passed_host(self, node: Node, request: Request) -> bytes:
        if self._passes_host:
            host = request.headers.get(b"host") or request.origin.host.encode("latin-1")
            if host:
                return host
        name = f"[{node.host}]" if ":" in node.host else node.host
        default_port = 443 if self._tls else 80
        return (name if node.port == default_port else f"{name}:{node.port}").encode()


def _without_port(host: str) -> str:
    """`example.com` for `example.com:8443`, `::1` for `[::1]:8443`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() and ":" not in name else host


class _Retryable(Exception):
    """Another node may be asked."""

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.message)
        self.error = error


def _may_repeat(request: Request, connection: Connection) -> bool:
    """Whether it is safe to send the request again: no answer begun, and running it twice is no harm."""
    return not connection.answering and request.method in IDEMPOTENT and isinstance(request.body, bytes)


async def _exchange(connection: Connection, head: bytes, request: Request, times: Timeout) -> Response:
    body = request.body
    answer = connection.send(
        Exchange(
            head,
            body if isinstance(body, bytes) else b"",
            request.method == "HEAD",
            request.batch,
            times.read,
            times.send,
        )
    )
    upload = None
    if not isinstance(body, bytes):
        connection.begin_upload()
        upload = asyncio.get_running_loop().create_task(_upload(connection, body))
        # It ends with the body, or as soon as the exchange is over; the answer may come before that.
        _uploads.add(upload)
        upload.add_done_callback(_uploads.discard)
    try:
        return await answer
    except BaseException:
        if upload is not None:
            upload.cancel()
        connection.abandon(answer)
        raise
    finally:
        del answer  # it may hold an error that holds this frame: a circle, until the collector comes


_uploads: set[asyncio.Task[None]] = set()


async def _upload(connection: Connection, body: Body) -> None:
    """Write the body as it arrives, until it is whole or the upstream wants no more."""
    chunked = body.length is None
    try:
        async for piece in body:
            framed = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            if not await connection.write(framed):
                return
        if chunked and not await connection.write(b"0\r\n\r\n"):
            return
    except ClientGone:  # or it sent less than it announced: the upstream must not take it for whole
        connection.close()
        return
    connection.end_upload()
