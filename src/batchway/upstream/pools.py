"""All connections of this worker, and what works for its upstreams in the background."""

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any

import structlog

from batchway.upstream.pool import Address, Pool, Terms
from batchway.upstream.resolver import Resolver
from batchway.upstream.tls import Contexts

log = structlog.get_logger(__name__)


class Pools:
    """All pools of this worker, by address and terms. Shared by all upstreams."""

    def __init__(self, resolver: Resolver, *, ca_file: str | None = None) -> None:
        """`ca_file`: PEM, instead of the system's CAs. Raises ConfigError if it cannot be used."""
        self.resolver = resolver
        self.contexts = Contexts(ca_file)
        self._pools: dict[tuple[Address, Terms], Pool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, address: Address, terms: Terms, tls: ssl.SSLContext | None) -> Pool:
        """The pool for that address, made if need be."""
        pool = self._pools.get((address, terms))
        if pool is None:
            pool = self._pools[address, terms] = Pool(address, terms, tls, self._forget)
        return pool

    def _forget(self, pool: Pool) -> None:
        pool.forgotten = True
        self._pools.pop((pool.address, pool.terms), None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Start a task that is cancelled at the latest by `close`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a background task of an upstream failed", exc_info=error)

    def open_connections(self) -> int:
        """How many connections are open or being opened."""
        return sum(pool.open for pool in self._pools.values())

    async def close(self) -> None:
        """Close every connection; what runs fails."""
        for pool in list(self._pools.values()):
            pool.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.resolver.close()
