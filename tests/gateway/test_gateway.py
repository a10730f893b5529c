"""The way of a request: route, plugins, upstream; and what changes it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import msgspec
import pytest
from msgspec import Struct
from structlog.testing import capture_logs

from batchway.config.resources import decode_route, decode_upstream
from batchway.errors import BadRequest, InvalidResource
from batchway.gateway import Forwarding, Gateway
from batchway.model import Headers, Limits, Origin, Request, Response
from batchway.plugins import PLUGINS, Context, Plugin, Registry
from batchway.upstream import Pools, Resolver, Terms
from tests.loops import until
from tests.upstream.servers import Peer, Server, closed_port


def request(
    path: str = "/", method: str = "GET", *, host: str | None = "a.test", query: str = "", body: bytes = b""
) -> Request:
    headers = Headers([(b"host", host.encode())] if host is not None else [])
    return Request(method, path, query, headers, body, Origin("10.0.0.1", host="a.test"))


def message(response: Response) -> str:
    """What an error response says; checks that it is JSON of one key."""
    assert isinstance(response.body, bytes)
    document = msgspec.json.decode(response.body)
    assert list(document) == ["error_msg"]
    assert (b"Content-Type", b"application/json") in response.headers
    text: str = document["error_msg"]
    return text


class Tag(Struct, frozen=True, forbid_unknown_fields=True):
    """Config of the plugins below."""

    tag: str = ""
    answer: int | None = None
    error: bool = False
    crash: bool = False


seen: list[str] = []


class Seeing(Plugin):
    """Notes that it was asked; answers if its config says so."""

    Config: ClassVar[type[Struct]] = Tag

    async def access(self, context: Context) -> Response | None:
        seen.append(self.config.tag or self.name)
        if self.config.error:
            message = "refused by plugin"
            raise BadRequest(message)
        if self.config.crash:
            message = "secret detail"
            raise RuntimeError(message)
        if self.config.answer is not None:
            return Response(self.config.answer, "", [], self.name.encode())
        return None


class First(Seeing):
    name = "test-first"
    priority = 3000


class Second(Seeing):
    name = "test-second"
    priority = 2000


class Third(Seeing):
    name = "test-third"
    priority = 1000


class Idle(Plugin):
    """Takes part in no phase."""

    name = "test-idle"
    priority = 2500


@pytest.fixture(autouse=True)
def test_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    seen.clear()
    for plugin in (First, Second, Third, Idle):
        monkeypatch.setitem(PLUGINS, plugin.name, plugin)


@asynccontextmanager
async def running(
    registry: Registry | None = None, forwarding: Forwarding | None = None
) -> AsyncIterator[Gateway]:
    pools = Pools(Resolver())
    try:
        yield Gateway(registry or Registry(), pools, Terms(), forwarding or Forwarding())
    finally:
        await pools.close()


def put(gateway: Gateway, route_id: str, **document: Any) -> None:
    gateway.catalog.put_route(route_id, decode_route(document))


def answering(status: int, **more: Any) -> dict[str, Any]:
    """A route's plugins that answer with `status`."""
    return {"test-third": {"answer": status, **more}}


async def status_of(gateway: Gateway, *args: Any, **more: Any) -> int:
    return (await gateway.handle(request(*args, **more))).status


# --- to a route


def test_no_route(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            response = await gateway.handle(request("/nowhere"))
            assert response.status == 404
            assert message(response) == "404 Route Not Found"

    runner.run(main())


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_method_that_is_never_sent_on(runner: asyncio.Runner, method: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/*", plugins=answering(200))
            response = await gateway.handle(request("/", method))
            assert response.status == 405
            assert method in message(response)
            assert seen == []

    runner.run(main())


def test_route_is_found_by_host_path_and_method(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/a/*", host="a.test", methods=["GET"], plugins=answering(201))
            put(gateway, "2", uri="/a/*", host="*.a.test", plugins=answering(202))
            put(gateway, "3", uri="/a/b", methods=["POST"], plugins=answering(203))
            assert await status_of(gateway, "/a/b") == 201
            assert await status_of(gateway, "/a/b", "POST") == 203
            assert await status_of(gateway, "/a/b", host="x.a.test") == 202
            assert await status_of(gateway, "/a/b", host="b.test") == 404
            assert await status_of(gateway, "/b") == 404

    runner.run(main())


@pytest.mark.parametrize(
    "host",
    ["a.test", "A.TEST", "a.test:80", "A.test:9080", "a.test:", "a.test.", "a.test.:80"],
)
def test_host_is_without_case_and_port(runner: asyncio.Runner, host: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", host="a.test", plugins=answering(200))
            assert await status_of(gateway, host=host) == 200

    runner.run(main())


@pytest.mark.parametrize("host", ["[::1]", "[::1]:9080"])
def test_ipv6_host(runner: asyncio.Runner, host: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", host="[::1]", plugins=answering(200))
            assert await status_of(gateway, host=host) == 200

    runner.run(main())


def test_request_without_host(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", host="a.test", plugins=answering(201))
            assert await status_of(gateway, host=None) == 404
            put(gateway, "2", uri="/", plugins=answering(202))
            assert await status_of(gateway, host=None) == 202
            assert await status_of(gateway, host="") == 202

    runner.run(main())


@pytest.mark.parametrize(
    "path", ["/admin", "//admin", "/x/../admin", "/%61dmin", "/%2e/admin", "/x%2f..%2fadmin"]
)
def test_path_is_matched_as_the_upstream_may_see_it(runner: asyncio.Runner, path: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "all", uri="/*", plugins=answering(200))
            put(gateway, "admin", uri="/admin", plugins=answering(403))
            assert await status_of(gateway, path) == 403

    runner.run(main())


# --- through plugins


def test_plugins_are_asked_by_priority(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            plugins = {"test-third": {"answer": 204}, "test-idle": {}, "test-first": {}, "test-second": {}}
            put(gateway, "1", uri="/", plugins=plugins)
            assert await status_of(gateway) == 204
            assert seen == ["test-first", "test-second", "test-third"]

    runner.run(main())


def test_answer_of_a_plugin_ends_the_way(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway, Server() as server:
            plugins = {"test-first": {}, "test-second": {"answer": 401}, "test-third": {}}
            nodes = {f"127.0.0.1:{server.port}": 1}
            put(gateway, "1", uri="/", plugins=plugins, upstream={"nodes": nodes})
            response = await gateway.handle(request())
            assert (response.status, response.body) == (401, b"test-second")
            assert seen == ["test-first", "test-second"]
            assert server.requests == []

    runner.run(main())


def test_error_of_a_plugin_is_the_answer(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", plugins={"test-first": {"error": True}, "test-second": {}})
            response = await gateway.handle(request())
            assert (response.status, message(response)) == (400, "refused by plugin")
            assert seen == ["test-first"]

    runner.run(main())


def test_fault_of_a_plugin_is_logged_and_not_shown(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", plugins={"test-first": {"crash": True}})
            with capture_logs() as logs:
                response = await gateway.handle(request())
            assert (response.status, message(response)) == (500, "internal error")
            assert [(one["event"], one["route"]) for one in logs] == [("request failed", "1")]

    runner.run(main())


def test_each_route_has_its_own_config(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/1", plugins={"test-first": {"tag": "one", "answer": 200}})
            put(gateway, "2", uri="/2", plugins={"test-first": {"tag": "two", "answer": 200}})
            for path in ("/2", "/1", "/2"):
                await gateway.handle(request(path))
            assert seen == ["two", "one", "two"]

    runner.run(main())


# --- to an upstream


def test_request_is_sent_on(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with running(forwarding=Forwarding(b"x-client")) as gateway, Server() as server:
            put(gateway, "1", uri="/a/*", upstream={"nodes": {f"127.0.0.1:{server.port}": 1}})
            response = await gateway.handle(request("/a/%62//c", "POST", query="d=%20", body=b"body"))
            assert (response.status, response.body) == (200, b"ok")
            (received,) = server.requests
            assert received.line == b"POST /a/%62//c?d=%20 HTTP/1.1"
            assert received.body == b"body"
            assert received.host == b"a.test"
            assert b"x-client: 10.0.0.1" in received.lines
            assert b"x-forwarded-for: 10.0.0.1" in received.lines

    each_loop.run(main())


def test_upstream_that_cannot_be_reached(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", upstream={"nodes": {f"127.0.0.1:{closed_port()}": 1}})
            response = await gateway.handle(request())
            assert response.status == 502
            assert "127.0.0.1" not in message(response)

    each_loop.run(main())


def test_upstream_without_nodes(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", upstream={"nodes": {}})
            response = await gateway.handle(request())
            assert (response.status, message(response)) == (503, "the upstream has no healthy node")

    runner.run(main())


def test_timeout_of_the_route_is_that_of_the_request(each_loop: asyncio.Runner) -> None:
    async def stall(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    async def main() -> None:
        async with running() as gateway, Server(stall) as server:
            nodes = {f"127.0.0.1:{server.port}": 1}
            timeout = {"connect": 5, "send": 5, "read": 0.05}
            put(gateway, "1", uri="/", upstream={"nodes": nodes}, timeout=timeout)
            assert await asyncio.wait_for(status_of(gateway), 30) == 504

    each_loop.run(main())


def test_route_by_upstream_id(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway, Server() as first, Server() as second:
            put(gateway, "1", uri="/", upstream_id="u")
            response = await gateway.handle(request())
            assert response.status == 503, "the upstream is not there yet"
            assert message(response)
            for server in (first, second):
                nodes = {f"127.0.0.1:{server.port}": 1}
                gateway.catalog.put_upstream("u", decode_upstream({"nodes": nodes}))
                assert await status_of(gateway) == 200
                assert len(server.requests) == 1
            gateway.catalog.remove_upstream("u")
            assert await status_of(gateway) == 503
            gateway.catalog.remove_upstream("u")
            assert (len(first.requests), len(second.requests)) == (1, 1)

    each_loop.run(main())


def test_request_on_its_way_is_not_disturbed_by_a_change(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def wait(peer: Peer) -> None:
            await peer.request()
            await go_on.wait()
            await peer.answer(b"old")

        async with running() as gateway, Server(wait) as server:
            nodes = {f"127.0.0.1:{server.port}": 1}
            gateway.catalog.put_upstream("u", decode_upstream({"nodes": nodes}))
            put(gateway, "1", uri="/", upstream_id="u")
            asked = asyncio.create_task(gateway.handle(request()))
            await until(lambda: server.requests)
            gateway.catalog.remove_upstream("u")
            gateway.catalog.remove_route("1")
            go_on.set()
            assert (await asked).body == b"old"

    each_loop.run(main())


# --- what changes


Change = Callable[[Gateway], None]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda gateway: put(gateway, "1", uri="/", plugins=answering(202)), 202),
        (lambda gateway: put(gateway, "1", uri="/other", plugins=answering(202)), 404),
        (lambda gateway: put(gateway, "2", uri="/", priority=1, plugins=answering(203)), 203),
        (lambda gateway: put(gateway, "2", uri="/", host="a.test", plugins=answering(204)), 204),
        (lambda gateway: gateway.catalog.remove_route("1"), 404),
        (lambda gateway: put(gateway, "1", uri="/", status=0, plugins=answering(202)), 404),
    ],
    ids=["replaced", "moved", "a better one", "one for the host", "removed", "switched off"],
)
def test_next_request_sees_the_change(runner: asyncio.Runner, change: Change, status: int) -> None:
    """The way to a route is remembered: not beyond a change."""

    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", plugins=answering(200))
            assert await status_of(gateway) == await status_of(gateway) == 200
            change(gateway)
            assert await status_of(gateway) == status

    runner.run(main())


def test_404_is_not_remembered(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            assert await status_of(gateway) == 404
            put(gateway, "1", uri="/", plugins=answering(200))
            assert await status_of(gateway) == 200

    runner.run(main())


def test_way_is_remembered_by_host_path_and_method(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", methods=["GET"], host="a.test", plugins=answering(201))
            put(gateway, "2", uri="/*", plugins=answering(202))
            for _ in range(2):
                assert await status_of(gateway, "/") == 201
                assert await status_of(gateway, "/", "POST") == 202
                assert await status_of(gateway, "/", host="b.test") == 202
                assert await status_of(gateway, "/", host=None) == 202
                assert await status_of(gateway, "/x") == 202

    runner.run(main())


def test_more_ways_than_are_remembered(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/*", plugins=answering(200))
            put(gateway, "2", uri="/5", plugins=answering(205))
            for number in range(9000):
                wanted = 205 if number == 5 else 200
                assert await status_of(gateway, f"/{number}") == wanted
            assert await status_of(gateway, "/5") == 205

    runner.run(main())


def test_route_that_does_not_validate_changes_nothing(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", plugins=answering(200))
            with pytest.raises(InvalidResource):
                put(gateway, "1", uri="/new", plugins={"test-first": {"unknown": 1}})
            with pytest.raises(InvalidResource):
                put(gateway, "1", uri="/new", plugins={"no-such-plugin": {}})
            assert await status_of(gateway) == 200
            assert await status_of(gateway, "/new") == 404

    runner.run(main())


def test_route_switched_on_again(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "1", uri="/", status=0, plugins=answering(200))
            assert await status_of(gateway) == 404
            put(gateway, "1", uri="/", plugins=answering(200))
            assert await status_of(gateway) == 200

    runner.run(main())


def test_metadata(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            assert gateway.metadata("batch-requests") == Limits()
            gateway.put_metadata("batch-requests", Limits(max_pipeline_items=7))
            assert gateway.metadata("batch-requests") == Limits(max_pipeline_items=7)
            gateway.remove_metadata("batch-requests")
            assert gateway.metadata("batch-requests") == Limits()
            gateway.remove_metadata("batch-requests")

    runner.run(main())


# --- public APIs

BATCH = b'{"pipeline":[{"path":"/item"}]}'
BATCH_URI = "/apisix/batch-requests"


async def batch_at(gateway: Gateway, path: str, method: str = "POST") -> tuple[int, Any]:
    response = await gateway.handle(request(path, method, body=BATCH))
    assert isinstance(response.body, bytes)
    return response.status, msgspec.json.decode(response.body)


def test_public_api_is_closed_without_a_route(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            assert await batch_at(gateway, BATCH_URI) == (404, {"error_msg": "404 Route Not Found"})

    runner.run(main())


def test_public_api_lookup(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            assert gateway.public_api("POST", BATCH_URI) is not None
            for method, uri in (("GET", BATCH_URI), ("POST", "/other"), ("POST", BATCH_URI + "/")):
                assert gateway.public_api(method, uri) is None
        async with running(Registry(["public-api"])) as gateway:
            assert gateway.public_api("POST", BATCH_URI) is None

    runner.run(main())


def test_expose(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "item", uri="/item", plugins=answering(200))
            assert (await batch_at(gateway, BATCH_URI))[0] == 404
            gateway.expose([BATCH_URI])
            status, replies = await batch_at(gateway, BATCH_URI)
            assert (status, [reply["status"] for reply in replies]) == (200, [200])
            assert (await batch_at(gateway, BATCH_URI, "PUT"))[0] == 404
            gateway.expose(["/other"])
            assert (await batch_at(gateway, BATCH_URI))[0] == 404
            assert (await batch_at(gateway, "/other"))[1] == {"error_msg": "404 Not Found"}
            gateway.expose([])
            assert (await batch_at(gateway, "/other"))[1] == {"error_msg": "404 Route Not Found"}

    runner.run(main())


def test_expose_leaves_routes_alone(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway:
            put(
                gateway, BATCH_URI.replace("/", "."), uri=BATCH_URI, methods=["GET"], plugins=answering(418)
            )
            gateway.expose([BATCH_URI])
            assert (await gateway.handle(request(BATCH_URI))).status == 418
            gateway.expose([])
            assert (await gateway.handle(request(BATCH_URI))).status == 418

    runner.run(main())


def test_use_changes_plugins_and_rules_from_the_next_request_on(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with running() as gateway, Server() as server:
            put(gateway, "1", uri="/", upstream={"nodes": {f"127.0.0.1:{server.port}": 1}})
            await gateway.handle(request())
            attributes = {"batch-requests": {"uri": "/batch"}}
            gateway.use(Registry(None, attributes), Forwarding(b"x-client"), Terms())
            await gateway.handle(request())
            assert [b"x-client: 10.0.0.1" in one.lines for one in server.requests] == [False, True]
            assert gateway.public_api("POST", BATCH_URI) is None
            assert gateway.public_api("POST", "/batch") is not None

    runner.run(main())
