"""A real gateway in this process, resources as one would store them, and requests to it."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from batchway.gateway import Forwarding, Gateway, apply
from batchway.model import Budget, Headers, Origin, Request, Response
from batchway.plugins import Registry
from batchway.upstream import Pools, Resolver, Terms
from tests.upstream.servers import Server


@asynccontextmanager
async def running(**resources: dict[str, Any]) -> AsyncIterator[Gateway]:
    """A gateway with these resources: `routes={"1": {...}}, consumers={"jack": {...}}`."""
    pools = Pools(Resolver())
    gateway = Gateway(Registry(), pools, Terms(), Forwarding())
    try:
        for kind, documents in resources.items():
            for id_, document in documents.items():
                put(gateway, f"/{kind}/{id_}", document)
        yield gateway
    finally:
        gateway.close()
        await pools.close()


def put(gateway: Gateway, key: str, document: object) -> None:
    """Store a resource. Raises InvalidResource."""
    assert apply.put(gateway, key, document), key


def to(server: Server) -> dict[str, Any]:
    """An upstream of that server alone."""
    return {"nodes": {f"127.0.0.1:{server.port}": 1}}


def request(
    path: str = "/",
    method: str = "GET",
    *,
    query: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    client: str = "10.0.0.1",
    host: str = "a.test",
    batch: Budget | None = None,
) -> Request:
    """A request as it would come from the wire, or out of `batch`."""
    pairs = [("host", host), *headers]
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    return Request(method, path, query, Headers(raw), body, Origin(client, host=host), batch)


def new_batch() -> Budget:
    """What the items of a batch share."""
    return Budget(max_reply_size=1 << 20, max_response_size=1 << 20)


async def get(gateway: Gateway, path: str = "/", method: str = "GET", **more: Any) -> Response:
    """The answer to a request, its body whole."""
    response = await gateway.handle(request(path, method, **more))
    if response.body is not None and not isinstance(response.body, bytes):
        stream = response.body
        response.body = b"".join([piece async for piece in stream])
        await stream.aclose()
    return response


def header(response: Response, name: str) -> str | None:
    """The value of the first header of that name, in any case."""
    wanted = name.lower().encode()
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == wanted), None)


def document(response: Response) -> Any:
    """The JSON in its body."""
    assert isinstance(response.body, bytes)
    return msgspec.json.decode(response.body)
