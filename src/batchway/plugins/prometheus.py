"""`prometheus`: counts and times for Prometheus, of requests and of batches.

Source: apisix/plugins/prometheus/exporter.lua, for the names and labels that APISIX's dashboards know.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta, Struct

from batchway.model import BatchReport, Request, Response
from batchway.plugins.base import Gateway, Plugin, PublicApi
from batchway.plugins.context import Context
from batchway.plugins.meta import is_asked
from batchway.upstream import UpstreamHealth

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment's name for where workers keep their numbers, so that each can tell those of all."""
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

_LATENCY_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000, 60000)
_BATCH_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_BYTES = tuple(4**power for power in range(4, 14))


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`prefer_name`: labels hold the names of routes and services, where they have one, not their ids."""

    prefer_name: bool = False


class Address(Struct, frozen=True):
    """Where the export server listens."""

    ip: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 9091


class ExportAttributes(Struct, frozen=True):
    """`plugin_attr.prometheus`."""

    export_uri: Annotated[str, Meta(pattern="^/")] = "/apisix/prometheus/metrics"
    enable_export_server: bool = True
    """A listener of its own; else the numbers are a public API."""
    export_addr: Address = Address()
    metric_prefix: Annotated[str, Meta(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*\Z")] = "apisix_"


Names = Callable[[str], Collection[str]]
"""As `Gateway.names`."""
NODE_LABELS = ("name", "ip", "port")
"""Of `upstream_status`; `name` is that of the resource, such as `/apisix/upstreams/1`."""
_SPEAK_OF = {"route": "routes", "service": "services", "consumer": "consumers"}
"""Labels, and the kinds of resources whose ids or names they hold; `""` is none of them."""


class _There:
    """What a registry has, without the series of routes, services and consumers that are there no more.

    They are left out and not deleted, since the workers add up what each has counted for itself: a series
    that one of them began anew would go down. One whose route comes back goes on where it was.
    """

    def __init__(
        self, registry: "CollectorRegistry", there: Mapping[str, Collection[str]], more: "Metric"
    ) -> None:
        self._registry = registry
        self._there = there
        self._more = more

    def collect(self) -> "Iterator[Metric]":
        """As a registry has it, and one metric more."""
        for metric in self._registry.collect():
            metric.samples = [one for one in metric.samples if self._is_there(one.labels)]
            yield metric
        yield self._more

    def _is_there(self, labels: Mapping[str, str]) -> bool:
        return all(not (told := labels.get(label)) or told in names for label, names in self._there.items())


class Metrics:
    """All that is counted. Made when it is first needed: by then it is known where the numbers are kept."""

    def __init__(self, prefix: str) -> None:
        # here, and not above: the library looks at the environment when it is imported
        import prometheus_client as client  # noqa: PLC0415
        from prometheus_client import core, multiprocess  # noqa: PLC0415

        client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._client = client
        self._multiprocess = multiprocess
        self._gauge = core.GaugeMetricFamily
        self._prefix = prefix
        # The library adds `_total` to counters; APISIX's dashboards ask for the names without it.
        self._renamed = [f"{prefix}{name}".encode() for name in ("http_status", "bandwidth")]
        registry = self._own = client.CollectorRegistry()
        where = ("route", "service", "consumer", "node")
        self.status = client.Counter(
            f"{prefix}http_status",
            "Requests by the status they were answered with",
            ("code", "route", "matched_uri", "matched_host", "service", "consumer", "node"),
            registry=registry,
        )
        self.latency = client.Histogram(
            f"{prefix}http_latency",
            "Milliseconds: of the whole request, of the upstream until its answer began, of the rest",
            ("type", *where),
            buckets=_LATENCY_MS,
            registry=registry,
        )
        self.bandwidth = client.Counter(
            f"{prefix}bandwidth", "Bytes of bodies by their direction", ("type", *where), registry=registry
        )
        self.requests = client.Counter(
            f"{prefix}http_requests_total", "Requests with the plugin, items of batches among them",
            registry=registry,
        )  # fmt: skip
        self.batches = client.Counter(
            "batchway_batches_total", "Batches that were run", ("format",), registry=registry
        )
        self.batch_items = client.Counter(
            "batchway_batch_items_total",
            "Items of batches: ok, or failed: no answer, a status of 500 and above, or a call's error",
            ("format", "outcome"),
            registry=registry,
        )
        self.batch_size = client.Histogram(
            "batchway_items_per_batch", "Items in a batch", ("format",), buckets=_ITEMS, registry=registry
        )
        self.batch_duration = client.Histogram(
            "batchway_batch_duration_seconds", "Seconds from a batch's body to the answer to it",
            ("format",), buckets=_BATCH_S, registry=registry,
        )  # fmt: skip
        self.batch_bytes = client.Histogram(
            "batchway_batch_bytes", "Bytes of a batch and of its answer, by their direction",
            ("format", "type"), buckets=_BYTES, registry=registry,
        )  # fmt: skip

    def text(self, names: Names, health: Iterable[UpstreamHealth]) -> bytes:
        """Everything as Prometheus reads it, without what speaks of things now gone.

        The numbers are those of all workers; `health` is what the checks of this one have found.
        """
        registry: CollectorRegistry = self._own
        if SHARED_FOLDER in os.environ:
            registry = self._client.CollectorRegistry()
            self._multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        there = {label: names(kind) for label, kind in _SPEAK_OF.items()}
        text = self._client.generate_latest(_There(registry, there, self._standing(health)))
        for name in self._renamed:
            text = text.replace(name + b"_total", name)
        return text

    def _standing(self, health: Iterable[UpstreamHealth]) -> "Metric":
        name = f"{self._prefix}upstream_status"
        found = self._gauge(name, "Nodes with health checks: 1 is up, 0 down", labels=NODE_LABELS)
        for one in health:
            for node in one.nodes:
                is_up = node.status in ("healthy", "mostly_healthy")
                found.add_metric((f"/apisix/{one.kind}/{one.id}", node.ip, str(node.port)), float(is_up))
        return found


@cache
def metrics(prefix: str) -> Metrics:
    """What this process counts under names that begin with `prefix`."""
    return Metrics(prefix)


class Prometheus(Plugin):
    """Counts the requests of the routes that it is on, and all batches while it is enabled."""

    name = "prometheus"
    priority = 500
    Config: ClassVar[type[Struct]] = Config
    Attributes: ClassVar[type[Struct]] = ExportAttributes
    _prefix: ClassVar[str] = ExportAttributes().metric_prefix

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._metrics = metrics(gateway.attributes(self.name).metric_prefix)

    def log(self, context: Context) -> None:
        """Count the request: once, as the route has it, if a global rule has the plugin as well."""
        own = None if context.pipeline is None else context.pipeline.plugins.get(self.name)
        if own is not None and getattr(own, "inner", own) is not self and is_asked(own, context):
            return
        found, route = self._metrics, context.route
        by_name = self.config.prefer_name
        route_label = (by_name and route.name) or route.id
        service = (by_name and route.service_name) or route.service_id or ""
        consumer = context.var("consumer_name") or ""
        node = context.request.upstream_addr.rpartition(":")[0]
        where = (route_label, service, consumer, node)
        found.requests.inc()
        found.status.labels(
            *(str(context.status), route_label, context.matched_uri, route.host(context.var("host") or "")),
            *(service, consumer, node),
        ).inc()
        total_ms = context.duration_s * 1000
        found.latency.labels("request", *where).observe(total_ms)
        upstream_ms = 0.0
        if context.upstream_s is not None:
            upstream_ms = context.upstream_s * 1000
            found.latency.labels("upstream", *where).observe(upstream_ms)
        found.latency.labels("apisix", *where).observe(max(total_ms - upstream_ms, 0))
        body = context.original.body
        received = len(body) if isinstance(body, bytes) else body.length or 0
        found.bandwidth.labels("ingress", *where).inc(received)
        found.bandwidth.labels("egress", *where).inc(context.body_bytes)

    @classmethod
    def batch_over(cls, report: BatchReport) -> None:
        """Count the batch."""
        found, kind = metrics(cls._prefix), report.format
        found.batches.labels(kind).inc()
        found.batch_items.labels(kind, "failed").inc(report.failed)
        found.batch_items.labels(kind, "ok").inc(report.items - report.failed)
        found.batch_size.labels(kind).observe(report.items)
        found.batch_duration.labels(kind).observe(report.duration_s)
        found.batch_bytes.labels(kind, "ingress").observe(report.bytes_in)
        found.batch_bytes.labels(kind, "egress").observe(report.bytes_out)

    @classmethod
    def public_apis(cls, gateway: Gateway, attributes: ExportAttributes) -> list[PublicApi]:
        """`GET /apisix/prometheus/metrics`, unless a listener of its own has it."""
        cls._prefix = attributes.metric_prefix
        if attributes.enable_export_server:
            return []

        async def export(_request: Request) -> Response:
            text = metrics(cls._prefix).text(gateway.names, gateway.health())
            return Response(200, "OK", [(b"Content-Type", CONTENT_TYPE)], text)

        return [PublicApi(frozenset({"GET"}), attributes.export_uri, export)]
