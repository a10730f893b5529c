"""Requests, and a client to send them with, for tests."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from msgspec import Struct

from batchway.config.resources import decode_upstream
from batchway.model import Body, Budget, ClientGone, Headers, Origin, Request, Response
from batchway.upstream import Pools, Resolver, Terms, UpstreamClient
from tests.loops import until

BLOCK = b"x-block: 1\r\n"
DNS_TIMEOUT_S = 10_000.0
"""By the loop's clock, which may be put forward; in real time no question is ever asked twice."""


class Pieces:
    """A request body that arrives in pieces; `gone`: the client leaves after them."""

    def __init__(self, pieces: Iterable[bytes], *, length: int | None = None, gone: bool = False) -> None:
        self.length = length
        self.taken = 0
        self._pieces = pieces
        self._gone = gone

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            self.taken += 1
            yield piece
            await asyncio.sleep(0)
        if self._gone:
            raise ClientGone


def budget() -> Budget:
    """A budget that suffices."""
    return Budget(max_reply_size=1 << 20, max_response_size=1 << 20)


def request(
    method: str = "GET",
    path: str = "/",
    query: str = "",
    headers: Sequence[tuple[bytes, bytes]] = (),
    body: bytes | Body = b"",
    *,
    origin_host: str = "",
    batch: Budget | None = None,
    verify_tls: bool = False,
) -> Request:
    """A request as the gateway has it."""
    origin = Origin("10.0.0.1", host=origin_host)
    return Request(method, path, query, Headers(headers), body, origin, batch, verify_tls)


class Client(Struct):
    """Upstreams over one set of pools."""

    pools: Pools

    def upstream(
        self,
        nodes: Mapping[str, int] | Sequence[int] | Sequence[Mapping[str, Any]],
        previous: UpstreamClient | None = None,
        **properties: Any,
    ) -> UpstreamClient:
        """A client of the upstream resource with these nodes, or ports of 127.0.0.1."""
        if not isinstance(nodes, Mapping):
            nodes = [_node(node) for node in nodes]
        document = {"nodes": nodes, **properties}
        terms = Terms(max_header_bytes=4096)
        return UpstreamClient(decode_upstream(document), self.pools, terms, previous=previous)

    @classmethod
    @asynccontextmanager
    async def running(cls, *, ca_file: Path | None = None, nameserver: str = "") -> AsyncIterator[Self]:
        """A client that must have nothing open any more when it is closed."""
        resolver = Resolver(nameservers=[nameserver], timeout_s=DNS_TIMEOUT_S) if nameserver else Resolver()
        client = cls(Pools(resolver, ca_file=str(ca_file) if ca_file else None))
        try:
            yield client
        finally:
            await client.pools.close()
        await until(lambda: not client.pools.open_connections(), "all connections are closed")


def _node(node: int | Mapping[str, Any]) -> Mapping[str, Any]:
    return {"host": "127.0.0.1", "port": node, "weight": 1} if isinstance(node, int) else node


async def read(response: Response) -> bytes | None:
    """The whole body, streamed or not."""
    body = response.body
    if body is None or isinstance(body, bytes):
        return body
    return b"".join([piece async for piece in body])
