"""Sending a request to an upstream: choose a node, write, await; try another node where that is safe."""

import asyncio

import structlog

from batchway.errors import (
    BatchwayError,
    NoHealthyNode,
    ReplyTooLarge,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
)
from batchway.model import Body, ClientGone, Request, Response
from batchway.upstream.balance import Balancer, balancer, unit
from batchway.upstream.balance.ewma import FAILURE_S, observe, observe_silence
from batchway.upstream.connection import Connection, Exchange
from batchway.upstream.head import HeadWriter
from batchway.upstream.health import Health, Rules, UpstreamHealth, snapshot
from batchway.upstream.keys import Lookup, hash_key
from batchway.upstream.pool import NoTurn, Terms
from batchway.upstream.pools import Pools
from batchway.upstream.probe import Prober
from batchway.upstream.reach import Reach
from batchway.upstream.spec import Timeout, Upstream
from batchway.upstream.stream import ResponseStream
from batchway.upstream.target import Standing, Target
from batchway.upstream.targets import Targets

log = structlog.get_logger(__name__)

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be sent again when it is not known whether they ran. RFC 9110, section 9.2.2."""
_NEVER = float("inf")


class UpstreamClient:
    """Sends requests to the nodes of one upstream resource.

    With checks, it probes them from the start. Whoever is done with it calls `close`.
    """

    def __init__(
        self, upstream: Upstream, pools: Pools, terms: Terms, previous: "UpstreamClient | None" = None
    ) -> None:
        """`terms` are the worker's; the resource's own `keepalive_pool` and `max_connections` win.

        `previous` is the client of the same resource before it changed: what it knows of the nodes that
        stay is known here, too. Raises InvalidResource if the client certificate cannot be used.
        """
        self.upstream = upstream
        self.needs_lookup = upstream.type == "chash"
        """Whether `send` wants to look up variables of its request."""
        self._loop = asyncio.get_running_loop()
        self._reach = Reach(upstream, pools, terms)
        self._heads = HeadWriter(upstream)
        nodes = upstream.node_list()
        self._unit = unit(node.weight for node in nodes)
        self._standings: dict[tuple[str, str, int], Standing] = (
            dict(previous._standings) if previous else {}
        )
        self._targets = Targets(nodes, pools.resolver, self._standings, self._choose_anew)
        checks = upstream.checks
        self._passive = None if checks is None or checks.passive is None else Rules.of(checks.passive)
        self._watches = self._passive is not None or upstream.type in ("least_conn", "ewma")
        # Requests that are still on their way through the previous client tell us, too.
        self._health = Health() if previous is None else previous._health
        self._health.on_change = self._choose_anew
        self._choose_anew()
        self._probing: asyncio.Task[None] | None = None
        if checks is not None:
            prober = Prober(checks.active, self._reach, self._health, self._fresh_targets)
            self._probing = pools.spawn(prober.run())

    def close(self) -> None:
        """Stop probing. Requests that are on their way go on."""
        if self._probing is not None:
            self._probing.cancel()

    def health(self, kind: str, id_: str) -> UpstreamHealth | None:
        """How the nodes are, under the name of the resource whose upstream this is; None without checks."""
        checks = self.upstream.checks
        if checks is None:
            return None
        targets = self._targets.current
        return UpstreamHealth(kind, id_, checks.active.type, snapshot(targets if len(targets) > 1 else ()))

    # --- choosing

    def _choose_anew(self) -> None:
        """Choose from now on among the targets that are up; among all of them if none is."""
        upstream, targets = self.upstream, self._targets.current
        usable = [target for target in targets if target.weight > 0]
        up = usable if upstream.checks is None else [target for target in usable if target.standing.up]
        if usable and not up:
            log.warning("no node of an upstream is up: all of them are asked", nodes=len(usable))
        self._balancer: Balancer[Target] = balancer(
            upstream.type, up or usable, unit=self._unit, clock=self._loop.time
        )
        retries = upstream.retries
        self._tries = 1 + (max(0, len(usable) - 1) if retries is None else retries)

    async def _fresh_targets(self) -> tuple[Target, ...]:
        targets = self._targets
        if targets.until <= self._loop.time():
            await targets.refresh()
        return targets.current

    def _pick(self, tried: list[Target], key: str) -> Target:
        """The target to ask next. When all were tried, it begins again."""
        target = self._balancer.pick(tried, key)
        if target is None and tried:
            tried.clear()
            target = self._balancer.pick(tried, key)
        if target is not None:
            return target
        if self._targets.is_unresolved:
            message = "the name of the upstream node cannot be resolved"
            raise UpstreamRefused(message)
        message = "the upstream has no healthy node"
        raise NoHealthyNode(message)

    # --- sending

    async def send(
        self,
        request: Request,
        block: bytes,
        times: Timeout | None = None,
        lookup: Lookup | None = None,
    ) -> Response:
        """The upstream's answer to `request`, whose headers `block` has as they go on the wire.

        An item's answer is read whole, within its batch's budget; a plain request's body is streamed.
        `lookup` tells the request's variables. Sets `request.upstream_addr`. Raises UpstreamError.
        Cancelled, the connection is closed and nothing of it is left.
        """
        times = times or self.upstream.timeout
        targets = self._targets
        if targets.is_named and (not targets.current or targets.until <= self._loop.time()):
            await targets.refresh()
        key = hash_key(self.upstream, request, lookup) if self.needs_lookup else ""
        ask = self._ask_watched if self._watches else self._ask
        retry_timeout_s = self.upstream.retry_timeout
        give_up = self._loop.time() + retry_timeout_s if retry_timeout_s else _NEVER
        tried: list[Target] = []
        tries_left = self._tries
        while True:
            target = self._pick(tried, key)
            tried.append(target)
            request.upstream_addr = target.name
            try:
                return await ask(target, request, block, times)
            except _Retryable as retryable:
                failed = retryable.error
            tries_left -= 1
            if not tries_left or (give_up < _NEVER and self._loop.time() >= give_up):
                try:
                    raise failed
                finally:
                    del failed  # an error and the frame that holds it would wait for the collector
            log.info("next upstream node", failed=target.name, error=failed.code)

    async def _ask(self, target: Target, request: Request, block: bytes, times: Timeout) -> Response:
        """One try. Raises _Retryable where another node may be tried, else UpstreamError."""
        while True:
            pool = self._reach.pool(target, verify=request.verify_tls)
            try:
                connection = pool.take_idle() or await pool.take(request.batch, times.connect)
            except (UpstreamRefused, UpstreamTimeout) as error:
                raise _Retryable(error) from error  # nothing was sent
            reused = connection.served > 0
            head = self._heads.write(target.node, request, block)
            try:
                return await _exchange(connection, head, request, times)
            except UpstreamError as error:
                if not _may_repeat(request, connection):
                    raise
                if reused and not isinstance(error, UpstreamTimeout):
                    continue  # closed by the server while it was idle: that was no try
                raise _Retryable(error) from error

    # --- watching, for those who choose by it

    async def _ask_watched(
        self, target: Target, request: Request, block: bytes, times: Timeout
    ) -> Response:
        """One try, and what it says of the node."""
        standing = target.standing
        began = self._loop.time()
        standing.busy += 1
        try:
            response = await self._ask(target, request, block, times)
        except BaseException as error:
            standing.busy -= 1
            self._note_failure(target, error, began)
            raise
        body = response.body
        if isinstance(body, ResponseStream):
            body.when_over(standing.release)
        else:
            standing.busy -= 1
        now = self._loop.time()
        observe(standing, now - began, now)
        if self._passive is not None:
            self._health.answered(target, response.status, self._passive)
        return response

    def _note_failure(self, target: Target, error: BaseException, began: float) -> None:
        if isinstance(error, _Retryable):
            error = error.error
        now = self._loop.time()
        if isinstance(error, ReplyTooLarge | NoTurn) or not isinstance(error, BatchwayError):
            # Our own bounds, or nobody waits any more: that is no fault of the node.
            observe_silence(target.standing, now - began, now)
            return
        observe(target.standing, max(now - began, FAILURE_S), now)
        if self._passive is not None:
            failure = "timeout_failure" if isinstance(error, UpstreamTimeout) else "tcp_failure"
            self._health.failed(target, failure, self._passive)


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
