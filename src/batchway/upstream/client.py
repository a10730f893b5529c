"""Sending a request to an upstream: choose a node, write, await; try another node where that is safe."""

import asyncio

from batchway.errors import UpstreamError, UpstreamRefused, UpstreamTimeout
from batchway.model import Body, ClientGone, Request, Response
from batchway.upstream.choice import Choice
from batchway.upstream.connection import Connection
from batchway.upstream.exchange import Exchange
from batchway.upstream.failures import Failures
from batchway.upstream.head import HeadWriter
from batchway.upstream.health import UpstreamHealth
from batchway.upstream.keys import Lookup, hash_key
from batchway.upstream.pool import Terms
from batchway.upstream.pools import Pools
from batchway.upstream.reach import Reach
from batchway.upstream.spec import Timeout, Upstream
from batchway.upstream.target import Target

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be sent again when it is not known whether they ran. RFC 9110, section 9.2.2."""


class UpstreamClient:
    """Sends requests to the nodes of one upstream resource. Whoever is done with it calls `close`."""

    def __init__(
        self,
        upstream: Upstream,
        pools: Pools,
        terms: Terms,
        previous: "UpstreamClient | None" = None,
        *,
        log: bool = True,
    ) -> None:
        """`terms` are the worker's; the resource's own `keepalive_pool` and `max_connections` win.

        `previous` is the client of the same resource before it changed: what it knows of the nodes that
        stay is known here, too. `log`: nodes that fail; not for who hears of each failure anyway. Raises
        InvalidResource if the client certificate cannot be used.
        """
        self.upstream = upstream
        self.needs_lookup = upstream.type == "chash"
        """Whether `send` wants to look up variables of its request."""
        self._reach = Reach(upstream, pools, terms)
        self._heads = HeadWriter(upstream)
        before: Choice | None = None if previous is None else previous._choice
        self._choice: Choice = Choice(upstream, pools, self._reach, before)
        self._clock = asyncio.get_running_loop().time
        self._failures = Failures(self._clock, log=log)

    def close(self) -> None:
        """Stop probing nodes. Requests that are on their way go on."""
        self._choice.close()

    def health(self, kind: str, id_: str) -> UpstreamHealth | None:
        """How the nodes are, as those of the resource `kind`/`id_`; None if they are not checked."""
        return self._choice.health(kind, id_)

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
        choice = self._choice
        if not choice.is_fresh:
            await choice.refresh()
        times = times or self.upstream.timeout
        key = hash_key(self.upstream, request, lookup) if self.needs_lookup else ""
        ask = self._ask_watched if choice.watches else self._ask
        give_up = self._give_up()
        tried: list[Target] = []
        tries_left = choice.tries
        while True:
            target = choice.pick(tried, key)
            request.upstream_addr = target.name
            try:
                return await ask(target, request, block, times)
            except _Retryable as retryable:
                failed = retryable.error
            except UpstreamError as error:
                self._failures.note(target.name, error)
                raise
            self._failures.note(target.name, failed)
            tries_left -= 1
            if not tries_left or (give_up is not None and self._clock() >= give_up):
                try:
                    raise failed
                finally:
                    del failed  # an error and the frame that holds it would wait for the collector

    def _give_up(self) -> float | None:
        """Loop time from which no other node is tried."""
        seconds = self.upstream.retry_timeout
        return self._clock() + seconds if seconds else None

    async def _ask_watched(
        self, target: Target, request: Request, block: bytes, times: Timeout
    ) -> Response:
        """One try, of which `Choice` hears."""
        choice = self._choice
        began = choice.begin(target)
        try:
            response = await self._ask(target, request, block, times)
        except BaseException as error:
            choice.failed(target, error.error if isinstance(error, _Retryable) else error, began)
            raise
        choice.answered(target, response, began)
        return response

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
