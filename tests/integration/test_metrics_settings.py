"""What `plugin_attr.prometheus` adds to the metrics: of one worker and of several, and over a reload."""

import re

import pytest

from batchway.plugins.prometheus_series import LATENCY_MS

from .conftest import StartGateway
from .gateway import Document, Gateway
from .waiting import wait
from .wire import fetch

METRICS = "/apisix/prometheus/metrics"
ROUTE: Document = {"uri": "/hello", "plugins": {"prometheus": {}, "mocking": {"response_example": "ok"}}}
NAMES = "http_status", "http_latency", "bandwidth"


def settings(workers: int, **attributes: object) -> Document:
    """A config file with these `plugin_attr.prometheus`."""
    return {"batchway": {"workers": workers}, "plugin_attr": {"prometheus": attributes}}


def of_each(**added: object) -> Document:
    """The same for each metric that can be added to."""
    return dict.fromkeys(NAMES, added)


def series(gateway: Gateway, name: str) -> list[tuple[Document, float]]:
    """The labels of each series of that name, and its value."""
    text = fetch(gateway.metrics, "GET", METRICS).body.decode()
    found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
    return [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in found]


def count(gateway: Gateway, times: int, tenant: str = "") -> None:
    """Send requests, on connections of their own: several workers have some."""
    for _ in range(times):
        headers = {"X-Tenant": tenant} if tenant else {}
        assert fetch(gateway.data, "GET", "/hello", headers=headers).status == 200


def total(gateway: Gateway, name: str, **labels: str) -> float:
    """The sum of the series with these labels."""
    return sum(value for given, value in series(gateway, name) if labels.items() <= given.items())


def wait_counted(gateway: Gateway, times: int, **labels: str) -> None:
    """Return once that many requests are counted, also in what a worker counts last but for bytes."""
    name = "apisix_http_latency_count"
    wait(lambda: total(gateway, name, type="apisix", **labels) == times, "counted")


@pytest.mark.parametrize("workers", [1, 2])
def test_labels_buckets_and_expiry(start_gateway: StartGateway, workers: int) -> None:
    labels = [{"tenant": "$http_x_tenant"}]
    metrics = of_each(extra_labels=labels, expire=3600)
    gateway = start_gateway(settings(workers, default_buckets=[100, 60_000], metrics=metrics))
    gateway.put("routes", "hello", ROUTE)
    count(gateway, 8, "red")
    count(gateway, 4, "blue")
    wait_counted(gateway, 12)
    for _ in range(4):  # whichever worker is asked
        assert total(gateway, "apisix_http_status", tenant="red") == 8
        assert total(gateway, "apisix_http_latency_count", tenant="blue", type="request") == 4
        assert total(gateway, "apisix_http_latency_bucket", le="60000.0", type="request") == 12
        found = series(gateway, "apisix_http_latency_bucket")
        assert {given["le"] for given, _ in found} == {"100.0", "60000.0", "+Inf"}

    # after a moment without requests, nothing is told; what comes again goes on where it was
    brief = of_each(extra_labels=labels, expire=0.01)
    gateway.reload(settings(workers, default_buckets=[100, 60_000], metrics=brief))
    wait(lambda: not series(gateway, "apisix_http_status"), "expired")
    assert series(gateway, "apisix_bandwidth") == []
    assert total(gateway, "apisix_http_latency_count") == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_labels_and_buckets_change_by_a_reload(start_gateway: StartGateway, workers: int) -> None:
    gateway = start_gateway(settings(workers))
    gateway.put("routes", "hello", ROUTE)
    count(gateway, 3)
    wait_counted(gateway, 3)

    extra = of_each(extra_labels=[{"tenant": "$http_x_tenant"}])
    gateway.reload(settings(workers, default_buckets=[7, 60_000], metrics=extra))
    count(gateway, 6, "red")
    wait_counted(gateway, 6, tenant="red")
    for name in ("apisix_http_status", "apisix_bandwidth", "apisix_http_latency_bucket"):
        assert {given.get("tenant") for given, _ in series(gateway, name)} == {"red"}, name
    buckets = {given["le"] for given, _ in series(gateway, "apisix_http_latency_bucket")}
    assert buckets == {"7.0", "60000.0", "+Inf"}

    gateway.reload(settings(workers, default_buckets=list(LATENCY_MS), metrics=of_each(extra_labels=[])))
    count(gateway, 2)
    wait(lambda: total(gateway, "apisix_http_status") == 5, "it goes on where it was")
    assert not any("tenant" in given for given, _ in series(gateway, "apisix_http_status"))


def test_what_is_counted_goes_down_by_no_reload(start_gateway: StartGateway) -> None:
    """Also where a series stays the same and only its metric is made anew, and then as it was before."""
    first, other = ({"default_buckets": buckets} for buckets in ([7, 60_000], [9, 60_000]))
    gateway = start_gateway(settings(2, **first))
    gateway.put("routes", "hello", ROUTE)
    for done, attributes in enumerate((first, other, first, other)):
        gateway.reload(settings(2, **attributes))
        count(gateway, 6)
        wait_counted(gateway, 6 * (done + 1))
        requests = fetch(gateway.metrics, "GET", METRICS).body.decode()
        assert f"\napisix_http_requests_total {6 * (done + 1)}.0\n" in requests
        assert total(gateway, "apisix_http_latency_bucket", le="60000.0", type="request") == 6 * (done + 1)
