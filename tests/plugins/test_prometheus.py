"""`prometheus`: what is counted of requests and of batches."""

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchway.errors import InvalidResource
from batchway.gateway import Forwarding, Gateway, apply
from batchway.model import Response
from batchway.plugins import Registry
from batchway.plugins.prometheus import ExportAttributes, Prometheus
from batchway.plugins.prometheus_metrics import SHARED_FOLDER, metrics
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
        self.attributes = msgspec.convert(given, ExportAttributes)
        registry = Registry(None, {"prometheus": given})
        self.gateway = Gateway(registry, self.pools, Terms(), Forwarding())

    async def __aenter__(self) -> "Scene":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gateway.close()
        await self.pools.close()

    def value(self, name: str, /, **labels: str) -> float:
        """The sum of all series of that name with these labels."""
        return sum(value for given, value in self.series(name) if labels.items() <= given.items())

    def series(self, name: str) -> list[tuple[dict[str, str], float]]:
        """The labels of each series of that name, and its value."""
        lines = self.text().split("\n")
        found = [re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line) for line in lines]
        return [
            (dict(re.findall(r'(\w+)="([^"]*)"', one[2] or "")), float(one[3]))
            for one in found
            if one is not None and one[1] == name
        ]

    def text(self) -> str:
        """What Prometheus would read."""
        shape = self.attributes.shape()
        return metrics(shape).text(self.gateway.names, self.gateway.health()).decode()


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


# --- what the settings add


def extra(*labels: dict[str, str], **more: Any) -> dict[str, Any]:
    """`plugin_attr` that adds labels, and more, to each metric that can have them."""
    names = "http_status", "http_latency", "bandwidth"
    return {"metrics": {name: {"extra_labels": list(labels), **more} for name in names}}


COUNTED: dict[str, Any] = {
    "uri": "/*",
    "plugins": {"prometheus": {}, "mocking": {"response_example": "ok"}},
}
TENANT = {"tenant": "$http_x_tenant"}


def test_extra_labels_have_values_of_variables() -> None:
    async def main() -> None:
        attributes = {"metrics": {"http_status": {"extra_labels": [TENANT, {"method": "$request_method"}]}}}
        async with Scene(**attributes) as scene:
            put(scene.gateway, "/routes/1", COUNTED)
            await get(scene.gateway, headers=[("x-tenant", "red")])
            await get(scene.gateway, "/", "POST", headers=[("x-tenant", "red")])
            await get(scene.gateway)
            status = f"{scene.prefix}http_status"
            assert scene.value(status, tenant="red") == 2
            assert scene.value(status, tenant="red", method="POST", route="1", code="200") == 1
            assert scene.value(status, tenant="", method="GET") == 1
            labels, _ = scene.series(f"{scene.prefix}http_latency_count")[0]
            assert labels.keys() == {"type", "route", "service", "consumer", "node"}

    asyncio.run(main())


def test_extra_labels_stand_on_each_series_of_a_metric() -> None:
    async def main() -> None:
        async with Scene(**extra(TENANT)) as scene:
            put(scene.gateway, "/routes/1", COUNTED)
            await get(scene.gateway, headers=[("x-tenant", "red")])
            for name in ("http_status", "http_latency_count", "http_latency_bucket", "bandwidth"):
                found = scene.series(f"{scene.prefix}{name}")
                assert found, name
                assert {labels["tenant"] for labels, _ in found} == {"red"}, name

    asyncio.run(main())


def test_clients_cannot_make_any_number_of_series() -> None:
    async def main() -> None:
        async with Scene(max_extra_series=3, **extra(TENANT)) as scene:
            put(scene.gateway, "/routes/1", COUNTED)
            put(scene.gateway, "/routes/2", {**COUNTED, "uri": "/2"})
            for number in range(20):
                await get(scene.gateway, headers=[("x-tenant", str(number))])
            await get(scene.gateway, "/2", headers=[("x-tenant", "0")])
            await get(scene.gateway, headers=[("x-tenant", "1")])
            found = {
                (one["route"], one["tenant"]): n for one, n in scene.series(f"{scene.prefix}http_status")
            }
            assert found == {
                ("1", "0"): 1,
                ("1", "1"): 2,
                ("1", "2"): 1,
                ("1", "other"): 17,
                ("2", "other"): 1,  # the bound is on series: or each route would multiply it
            }
            assert scene.value(f"{scene.prefix}http_requests_total") == 22

    asyncio.run(main())


@pytest.mark.parametrize(
    ("sent", "told"),
    [("a%0D%0Ab%00%E2%80%A8", "a??b??"), ("%22%5C", '\\"\\\\'), ("x" * 1000, "x" * 128)],
)
def test_values_of_extra_labels_are_harmless(sent: str, told: str) -> None:
    async def main() -> None:
        async with Scene(**extra({"asked": "$arg_q"})) as scene:
            put(scene.gateway, "/routes/1", COUNTED)
            await get(scene.gateway, "/", query=f"q={sent}")
            found = re.search(r'_http_status\{.*asked="((?:[^"\\]|\\.)*)"', scene.text())
            assert found is not None
            assert found[1] == told

    asyncio.run(main())


def test_lone_surrogate_does_not_end_the_telling() -> None:
    async def main() -> None:
        async with Scene(**extra({"path": "$uri"})) as scene:
            put(scene.gateway, "/global_rules/1", {"plugins": {"prometheus": {}}})
            await get(scene.gateway, "/\ud800")
            assert scene.value(f"{scene.prefix}http_status", path="/?") == 1

    asyncio.run(main())


def test_unused_series_are_told_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)

    async def main() -> None:
        nonlocal now
        attributes = {"metrics": {"http_status": {"expire": 60}, "bandwidth": {"expire": 600}}}
        async with Scene(**attributes) as scene:
            status, bandwidth = f"{scene.prefix}http_status", f"{scene.prefix}bandwidth"
            put(scene.gateway, "/routes/1", COUNTED)
            put(scene.gateway, "/routes/2", {**COUNTED, "uri": "/2"})
            await get(scene.gateway)
            await get(scene.gateway, "/2")
            now += 50
            await get(scene.gateway, "/2")
            assert (scene.value(status, route="1"), scene.value(status, route="2")) == (1, 2)
            now += 50
            assert (scene.value(status, route="1"), scene.value(status, route="2")) == (0, 2)
            assert len(scene.series(bandwidth)) == 4
            assert scene.series(f"{scene.prefix}http_latency_count")
            await get(scene.gateway)
            assert scene.value(status, route="1") == 2, "it goes on: a counter never goes down"
            now += 1000
            assert scene.series(status) == scene.series(bandwidth) == []
            assert scene.value(f"{scene.prefix}http_latency_count", type="request", route="1") == 2
            assert "last_used" not in scene.text()

    asyncio.run(main())


def test_worker_that_is_about_to_count_does_not_end_the_telling(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it counts in is empty for a moment."""

    async def main() -> None:
        async with Scene() as scene:
            (tmp_path / "counter_1.db").touch()
            monkeypatch.setenv(SHARED_FOLDER, str(tmp_path))
            assert f"# TYPE {scene.prefix}upstream_status gauge" in scene.text()

    asyncio.run(main())


def test_buckets_are_those_of_the_settings() -> None:
    async def main() -> None:
        async with Scene(default_buckets=[10, 0.5e3]) as scene:
            put(scene.gateway, "/routes/1", COUNTED)
            await get(scene.gateway)
            found = [one["le"] for one, _ in scene.series(f"{scene.prefix}http_latency_bucket")]
            assert found[:3] == ["10.0", "500.0", "+Inf"]
            assert set(found) == set(found[:3])

    asyncio.run(main())


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"default_buckets": []}, "default_buckets"),
        ({"default_buckets": [1, 1]}, "expected each to be above the one before it"),
        ({"default_buckets": [0, 1]}, "default_buckets"),
        (extra({"route": "$uri"}), "'route' is no name for a label, or it is taken"),
        (extra({"le": "$uri"}), "'le' is no name"),
        (extra({"pid": "$uri"}), "'pid' is no name"),
        (extra({"__a": "$uri"}), "'__a' is no name"),
        (extra({"a-b": "$uri"}), "'a-b' is no name"),
        (extra({"a": "uri"}), "expected a variable such as $host for 'a'"),
        (extra({"a": "$"}), "expected a variable"),
        (extra({"a": "$uri", "b": "$host"}), "expected one {name: $variable} in each item"),
        (extra({"a": "$uri"}, {"a": "$host"}), "names a label twice"),
        (extra(expire=-1), "expire"),
        ({"max_extra_series": -1}, "max_extra_series"),
    ],
)
def test_attributes_that_cannot_be_used(attributes: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidResource, match=re.escape(says)):
        Registry(None, {"prometheus": attributes})
