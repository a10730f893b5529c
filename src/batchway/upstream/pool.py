"""The connections to one address: kept alive, bounded, shared out in turns."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from batchway.errors import UpstreamRefused, UpstreamTimeout
from batchway.upstream.connection import Connection
from batchway.upstream.turns import Turns

_NEVER = float("inf")


class Terms(Struct, frozen=True):
    """How connections to a node are kept. Part of a pool's key: other terms, another pool."""

    max_connections: int = 256
    """Open connections to one address; who needs one more waits for a turn."""
    max_idle: int = 256
    idle_timeout_s: float = 60.0
    max_requests: int = 1000
    """Exchanges on one connection, after which it is closed."""
    max_header_bytes: int = 65536


class NoTurn(UpstreamTimeout):
    """All connections that there may be were busy for too long: our bound, not the node's fault."""


class Address(Struct, frozen=True):
    """Where a connection leads. `server_name` is set for TLS: the name to ask for and to verify."""

    ip: str
    port: int
    server_name: str | None = None
    verify: bool = False
    identity: str = ""
    """Of the client certificate that is shown there."""


class Pool:
    """The connections to one address under one set of terms.

    `on_empty` is called when nothing is open, opening or waiting, so that the pool can be forgotten.
    """

    def __init__(
        self,
        address: Address,
        terms: Terms,
        tls: ssl.SSLContext | None,
        on_empty: Callable[["Pool"], None],
    ) -> None:
        self.address = address
        self.terms = terms
        self.max_header_bytes = terms.max_header_bytes
        self.forgotten = False
        """Empty, and no longer the pool of its address: ask for that one instead."""
        self._tls = tls
        self._on_empty = on_empty
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()  # the longest idle first
        self._busy: set[Connection] = set()
        self._opening = 0
        #: gets a connection, or None: leave to open one
        self._turns: Turns[asyncio.Future[Connection | None]] = Turns()
        #: until when each of them is waited for
        self._waiting: dict[asyncio.Future[Connection | None], float] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_at = _NEVER

    @property
    def open(self) -> int:
        """Connections that are open or being opened."""
        return len(self._idle) + len(self._busy) + self._opening

    # --- getting a connection

    def take_idle(self) -> Connection | None:
        """A connection that can be written to at once, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                self._busy.add(connection)
                return connection
            connection.close()
        return None

    async def take(self, party: object, timeout_s: float) -> Connection:
        """A connection: an idle one, a new one, or the one whose turn comes first.

        `timeout_s` bounds the wait for a turn, and again the opening. Raises UpstreamRefused or
        UpstreamTimeout. Cancelled, it leaves nothing behind.
        """
        while True:
            connection = self.take_idle()
            if connection is not None:
                return connection
            if self.open < self.terms.max_connections and not self._turns:
                self._opening += 1
                return await self._open(timeout_s)
            connection = await self._wait(party, timeout_s)
            if connection is None:
                return await self._open(timeout_s)
            if connection.usable():
                return connection
            connection.close()  # its server closed it together with its last answer

    async def _wait(self, party: object, timeout_s: float) -> Connection | None:
        turn: asyncio.Future[Connection | None] = self._loop.create_future()
        self._turns.add(party, turn)
        self._waiting[turn] = until = self._loop.time() + timeout_s
        self._sweep_by(until)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back(turn.result())
            raise
        finally:
            del self._waiting[turn]

    def _give_back(self, connection: Connection | None) -> None:
        """A turn that came too late for who waited for it."""
        if connection is not None:
            self.free(connection, reusable=not connection.closed)
        else:
            self._opening -= 1
            self._next()

    async def _open(self, timeout_s: float) -> Connection:
        # A task of its own: the caller may run inside another's task, which a timeout would cancel.
        opening = self._loop.create_task(self._connect(timeout_s))
        try:
            connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(self._unwanted)
            opening.cancel()
            raise
        except BaseException:
            self._opening -= 1
            self._next()
            raise
        self._opening -= 1
        if connection.closed:
            self._next()
            message = "the upstream closed the connection at once"
            raise UpstreamRefused(message)
        self._busy.add(connection)
        return connection

    def _unwanted(self, opening: "asyncio.Task[Connection]") -> None:
        self._opening -= 1
        if not opening.cancelled() and opening.exception() is None:
            opening.result().close()
        self._next()

    async def _connect(self, timeout_s: float) -> Connection:
        address = self.address
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self, self._loop),
                    address.ip,
                    address.port,
                    ssl=self._tls,
                    server_hostname=address.server_name if self._tls else None,
                )
        except TimeoutError as error:
            message = "the upstream did not accept a connection in time"
            raise UpstreamTimeout(message) from error
        except ssl.SSLCertVerificationError as error:
            message = f"the upstream's certificate is not valid: {error.verify_message}"
            raise UpstreamRefused(message) from error
        except (OSError, ValueError) as error:  # ValueError: a name that TLS cannot ask for
            message = "the upstream cannot be connected to"
            raise UpstreamRefused(message) from error
        return connection

    # --- what connections tell

    def free(self, connection: Connection, *, reusable: bool) -> None:
        """Take a connection back: for whoever is next, or to keep for later."""
        if not reusable or connection.served >= self.terms.max_requests:
            connection.close()
            return
        while self._turns:
            turn = self._turns.next()
            if not turn.done():
                turn.set_result(connection)
                return
        self._busy.discard(connection)
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if len(self._idle) > self.terms.max_idle:
            self._idle.popleft().close()
        self._sweep_by(connection.idle_since + self.terms.idle_timeout_s)

    def lost(self, connection: Connection) -> None:
        """Forget a connection that is closed; its place goes to whoever is next."""
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._next()

    def _next(self) -> None:
        while self._turns and self.open < self.terms.max_connections:
            turn = self._turns.next()
            if not turn.done():
                self._opening += 1
                turn.set_result(None)
        if not self.open and not self._turns:
            if self._sweep is not None:
                self._sweep.cancel()
                self._sweep, self._sweep_at = None, _NEVER
            self._on_empty(self)

    def watch(self, connection: Connection) -> None:
        """See to it that the connection is looked at when its exchange's time is up."""
        self._sweep_by(connection.expires)

    # --- time: one timer for the pool, however many exchanges it waits for

    def _sweep_by(self, when: float) -> None:
        if self._sweep_at <= when:
            return
        if self._sweep is not None:
            self._sweep.cancel()
        self._sweep_at = when
        self._sweep = self._loop.call_at(when, self._sweep_now)

    def _sweep_now(self) -> None:
        self._sweep, self._sweep_at = None, _NEVER
        now = self._loop.time()
        for connection in [one for one in self._busy if one.expires <= now]:
            connection.time_out()
        idle_since = now - self.terms.idle_timeout_s
        for connection in [one for one in self._idle if one.idle_since <= idle_since]:
            connection.close()
        for turn in [turn for turn, until in self._waiting.items() if until <= now]:
            _out_of_time(turn)
        due = [one.expires for one in self._busy]
        due += [until for until in self._waiting.values() if until > now]
        due += [one.idle_since + self.terms.idle_timeout_s for one in self._idle if not one.closed]
        earliest = min(due, default=_NEVER)
        if earliest < _NEVER:
            self._sweep_by(earliest)

    def close(self) -> None:
        """Close all that is open; running exchanges fail."""
        for connection in [*self._idle, *self._busy]:
            connection.close()


def _out_of_time(turn: "asyncio.Future[Connection | None]") -> None:
    if not turn.done():
        turn.set_exception(NoTurn("no connection to the upstream became free in time"))
