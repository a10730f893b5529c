"""Kinds of routers and conditions, through a whole gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import msgspec
import pytest
from msgspec import Struct

from batchway.config.resources import decode_route
from batchway.config.settings import RouterKind
from batchway.gateway import Forwarding, Gateway
from batchway.model import Headers, Origin, Request, Response, json_response
from batchway.plugins import PLUGINS, Context, Plugin, Registry
from batchway.upstream import Pools, Resolver, Terms


class Telling(Plugin):
    """Answers with the route and what its parameters stand for."""

    class Config(Struct, frozen=True):
        """None."""

    name: ClassVar[str] = "test-telling"
    priority: ClassVar[int] = 1

    async def access(self, context: Context) -> Response | None:
        said = {"route": context.route.id, "uri": context.var("uri"), "id": context.var("uri_param_id")}
        return json_response(200, said | context.params)


@pytest.fixture(autouse=True)
def telling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLUGINS, Telling.name, Telling)


@asynccontextmanager
async def running(kind: RouterKind, **routes: dict[str, Any]) -> AsyncIterator[Gateway]:
    pools = Pools(Resolver())
    gateway = Gateway(Registry(), pools, Terms(), Forwarding(), router=kind)
    for name, document in routes.items():
        gateway.catalog.put_route(name, decode_route(document | {"plugins": {"test-telling": {}}}))
    try:
        yield gateway
    finally:
        await pools.close()


async def told(gateway: Gateway, path: str, host: str = "a.test", query: str = "") -> Any:
    headers = Headers([(b"host", host.encode())])
    response = await gateway.handle(Request("GET", path, query, headers, b"", Origin("10.0.0.1")))
    assert isinstance(response.body, bytes)
    return msgspec.json.decode(response.body)


def test_parameters(runner: asyncio.Runner) -> None:
    async def main() -> None:
        routes: dict[str, dict[str, Any]] = {
            "user": {"uri": "/user/:id"},
            "rest": {"uri": "/user/:id/*rest"},
            "me": {"uri": "/user/me"},
        }
        async with running("radixtree_uri_with_parameter", **routes) as gateway:
            for _ in range(2):  # as well when the way is remembered
                assert await told(gateway, "/user/me") == {"route": "me", "uri": "/user/me", "id": None}
                assert (await told(gateway, "/user/7"))["id"] == "7"
                assert (await told(gateway, "/user/a%20b"))["id"] == "a b"
                assert (await told(gateway, "/user/a%2520b"))["id"] == "a%20b"
                found = await told(gateway, "/user/8/x%2Fy/./z")
                assert found == {"route": "rest", "uri": "/user/8/x/y/z", "id": "8", "rest": "x/y/z"}

    runner.run(main())


@pytest.mark.parametrize(
    ("kind", "route"), [("radixtree_host_uri", "host"), ("radixtree_uri", "path")], ids=["host", "path"]
)
def test_which_is_looked_at_first(runner: asyncio.Runner, kind: RouterKind, route: str) -> None:
    async def main() -> None:
        routes = {"path": {"uri": "/a/b"}, "host": {"uri": "/*", "host": "a.test"}}
        async with running(kind, **routes) as gateway:
            assert (await told(gateway, "/a/b"))["route"] == route
            assert (await told(gateway, "/a/b", "b.test"))["route"] == "path"
            assert (await told(gateway, "/x"))["route"] == "host"

    runner.run(main())


@pytest.mark.parametrize("kind", ["radixtree_host_uri", "radixtree_uri", "radixtree_uri_with_parameter"])
def test_a_route_whose_conditions_fail_leaves_the_request_to_the_next(
    runner: asyncio.Runner, kind: RouterKind
) -> None:
    async def main() -> None:
        routes: dict[str, dict[str, Any]] = {
            "one": {"uri": "/a", "vars": [["arg_v", "==", "1"]], "priority": 2},
            "two": {"uri": "/a", "vars": [["arg_v", "==", "2"]], "remote_addr": "10.0.0.0/8"},
            "three": {"uri": "/a", "remote_addr": "11.0.0.0/8", "priority": 3},
            "any": {"uri": "/*"},
        }
        async with running(kind, **routes) as gateway:
            for query, route in [("v=1", "one"), ("v=2", "two"), ("v=3", "any"), ("", "any")] * 2:
                assert (await told(gateway, "/a", query=query))["route"] == route

    runner.run(main())


def test_a_malformed_path(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running("radixtree_host_uri", any={"uri": "/*"}) as gateway:
            assert await told(gateway, "/a/../..") == {"error_msg": "the path leads above the root"}
            assert "percent-encoded" in (await told(gateway, "/%zz"))["error_msg"]

    runner.run(main())
