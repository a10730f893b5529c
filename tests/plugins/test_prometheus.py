"""`prometheus`: what is counted of requests and of batches."""

import asyncio
import re
from typing import Any

import msgspec
import pytest

from batchway.gateway import Forwarding, Gateway, apply
from batchway.model import Response
from batchway.plugins import Registry
from batchway.plugins.prometheus import Prometheus, metrics
from batchway.upstream import Pools, Resolver, Terms
from tests.plugins.gateways import get, header, put, to
from tests.upstream.servers import Server, closed_port

PREFIXES = iter(range(1_000_000))


class Scene:
    """A gateway whose numbers nothing else adds to."""

    def __init__(self, **attributes: Any) -> None:
        self.prefix = f"test{next(PREFIXES)}_"
        given = {"metric_prefix": self.prefix, "enable_export_server": False, **attributes}
        self.pools = Pools(Resolver())
        registry = Registry(None, {"prometheus": given})
        self.gateway = Gateway(registry, self.pools, Terms(), Forwarding())

    async def __aenter__(self) -> "Scene":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gateway.close()
        await self.pools.close()

    def value(self, name: str, /, **labels: str) -> float:
        """The sum of all series of that name with these labels."""
        total = 0.0
        text = metrics(self.prefix).text(self.gateway.names, self.gateway.health()).decode()
        for line in text.splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found is not None and found[1] == name:
                given = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
                if labels.items() <= given.items():
                    total += float(found[3])
        return total


def test_request_is_counted_where_the_plugin_is() -> None:
    async def main() -> None:
        async with Server() as server, Scene() as scene:
            route = {"uri": "/a", "host": "a.test", "upstream": to(server), "name": "first"}
            put(scene.gateway, "/routes/1", {**route, "plugins": {"prometheus": {}}})
            put(scene.gateway, "/routes/2", {**route, "uri": "/b"})
            assert (await get(scene.gateway, "/a", "POST", body=b"12345")).status == 200
            assert (await get(scene.gateway, "/b")).status == 200
            status = f"{scene.prefix}http_status"
            where = {"route": "1", "service": "", "consumer": "", "node": "127.0.0.1"}
            assert scene.value(status) == 1
            assert scene.value(status, code="200", matched_uri="/a", matched_host="a.test", **where) == 1
            bandwidth = f"{scene.prefix}bandwidth"
            assert scene.value(bandwidth, type="ingress", **where) == 5
            assert scene.value(bandwidth, type="egress", **where) == len(b"ok")
            for kind in ("request", "upstream", "apisix"):
                assert scene.value(f"{scene.prefix}http_latency_count", type=kind, **where) == 1
            assert scene.value(f"{scene.prefix}http_requests_total") == 1

    asyncio.run(main())


def test_nodes_that_are_checked_are_told() -> None:
    async def main() -> None:
        async with Server() as server, Scene() as scene:
            checks = {
                "active": {"healthy": {"interval": 60}, "unhealthy": {"interval": 60}},
                "passive": {"unhealthy": {"tcp_failures": 1}},
            }
            ports = server.port, closed_port()
            nodes = {f"127.0.0.1:{port}": 1 for port in ports}
            put(scene.gateway, "/upstreams/7", {"nodes": nodes, "checks": checks})
            put(scene.gateway, "/routes/1", {"uri": "/a", "upstream_id": "7"})
            for _ in nodes:
                assert (await get(scene.gateway, "/a")).status == 200
            status = f"{scene.prefix}upstream_status"
            where = {"name": "/apisix/upstreams/7", "ip": "127.0.0.1"}
            assert [scene.value(status, port=str(port), **where) for port in ports] == [1, 0]
            assert scene.value(status) == 1

    asyncio.run(main())


def test_refusals_and_consumers_are_counted() -> None:
    async def main() -> None:
        async with Scene() as scene:
            put(
                scene.gateway,
                "/consumers/jack",
                {"username": "jack", "plugins": {"key-auth": {"key": "j"}}},
            )
            plugins: dict[str, Any] = {"key-auth": {}, "public-api": {}}
            plugins["prometheus"] = {"prefer_name": True}
            put(scene.gateway, "/routes/1", {"uri": "/*", "name": "all", "plugins": plugins})
            await get(scene.gateway)
            await get(scene.gateway, headers=[("apikey", "j")])
            status = f"{scene.prefix}http_status"
            assert scene.value(status, code="401", route="all", consumer="", node="") == 1
            assert scene.value(status, code="404", route="all", consumer="jack") == 1

    asyncio.run(main())


def test_what_is_there_no_more_is_not_told_until_it_comes_back() -> None:
    async def main() -> None:
        async with Scene() as scene:
            route = {"uri": "/*", "name": "all", "service_id": "s", "plugins": {"key-auth": {}}}
            resources: dict[str, dict[str, Any]] = {
                "/consumers/jack": {"username": "jack", "plugins": {"key-auth": {"key": "j"}}},
                "/services/s": {"name": "ours", "plugins": {"prometheus": {"prefer_name": True}}},
                "/routes/1": route,
            }
            for key, document in resources.items():
                put(scene.gateway, key, document)
            put(scene.gateway, "/global_rules/1", {"plugins": {"prometheus": {}}})
            for key, document in resources.items():
                await get(scene.gateway, headers=[("apikey", "j")])
                status, latency = f"{scene.prefix}http_status", f"{scene.prefix}http_latency_count"
                before = scene.value(status, consumer="jack"), scene.value(latency, route="all")
                assert min(before) > 0
                apply.remove(scene.gateway, key)
                assert scene.value(status, consumer="jack") == 0
                put(scene.gateway, key, document)
                assert before == (
                    scene.value(status, consumer="jack"),
                    scene.value(latency, route="all"),
                ), "nothing has gone down"
            await get(scene.gateway, headers=[("host", "other.test")])
            apply.remove(scene.gateway, "/routes/1")
            assert scene.value(f"{scene.prefix}http_requests_total") == 4, "counted whatever becomes of it"
            assert scene.value(status) == 0
            await get(scene.gateway)
            assert scene.value(status, code="404", route="") == 1

    asyncio.run(main())


def test_global_rule_counts_what_no_route_takes() -> None:
    async def main() -> None:
        async with Scene() as scene:
            put(scene.gateway, "/global_rules/1", {"plugins": {"prometheus": {}}})
            await get(scene.gateway, "/nowhere")
            assert scene.value(f"{scene.prefix}http_status", code="404", route="") == 1

    asyncio.run(main())


async def send_batch(gateway: Gateway, *paths: str) -> Response:
    body = msgspec.json.encode({"pipeline": [{"path": path} for path in paths]})
    return await get(gateway, "/apisix/batch-requests", "POST", body=body)


@pytest.mark.parametrize("counted", [True, False])
def test_batches_are_counted_while_the_plugin_is_enabled(*, counted: bool) -> None:
    async def main() -> None:
        async with Server() as server, Scene() as scene:
            gateway = scene.gateway
            plugins: dict[str, Any] = {"prometheus": {}} if counted else {}
            put(gateway, "/routes/1", {"uri": "/a", "upstream": to(server), "plugins": plugins})
            put(gateway, "/routes/2", {"uri": "/down", "upstream": {"nodes": {}}})
            gateway.expose(["/apisix/batch-requests"])
            assert (await send_batch(gateway, "/a", "/a", "/down", "/nowhere")).status == 200
            assert scene.value("batchway_batches_total", format="apisix") == 1
            assert scene.value("batchway_batch_items_total", format="apisix", outcome="ok") == 3
            assert scene.value("batchway_batch_items_total", format="apisix", outcome="failed") == 1
            assert scene.value("batchway_items_per_batch_sum", format="apisix") == 4
            assert scene.value("batchway_batch_duration_seconds_count", format="apisix") == 1
            assert scene.value("batchway_batch_bytes_sum", type="ingress") > 60
            assert scene.value("batchway_batch_bytes_sum", type="egress") > 200
            assert scene.value(f"{scene.prefix}http_requests_total") == (2 if counted else 0)

    asyncio.run(main())


def test_numbers_as_a_public_api() -> None:
    async def main() -> None:
        async with Scene(export_uri="/numbers") as scene:
            put(scene.gateway, "/routes/1", {"uri": "/numbers", "plugins": {"public-api": {}}})
            response = await get(scene.gateway, "/numbers")
            assert response.status == 200
            assert (header(response, "content-type") or "").startswith("text/plain")
            assert isinstance(response.body, bytes)
            assert f"# TYPE {scene.prefix}http_status counter".encode() in response.body
        async with Scene(enable_export_server=True) as scene:
            put(scene.gateway, "/routes/1", {"uri": "/*", "plugins": {"public-api": {}}})
            assert (await get(scene.gateway, "/apisix/prometheus/metrics")).status == 404

    asyncio.run(main())


def test_disabled_plugin_counts_no_batch() -> None:
    async def main() -> None:
        pools = Pools(Resolver())
        gateway = Gateway(Registry(["batch-requests", "public-api"]), pools, Terms(), Forwarding())
        assert gateway.note_batch is None
        await pools.close()

    asyncio.run(main())


def test_priority_is_that_of_apisix() -> None:
    assert Prometheus.priority == 500
