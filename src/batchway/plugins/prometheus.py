"""`prometheus`: counts and times for Prometheus, of requests and of batches.

Source: apisix/plugins/prometheus/exporter.lua, for the names and labels that APISIX's dashboards know.
"""

import re
from itertools import pairwise
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from batchway.model import BatchReport, Request, Response
from batchway.plugins.base import Gateway, Plugin, PublicApi
from batchway.plugins.context import Context
from batchway.plugins.meta import is_asked
from batchway.plugins.prometheus_metrics import STATUS_LABELS, WHERE_LABELS, Metrics, metrics
from batchway.plugins.prometheus_series import LATENCY_MS, MAX_EXTRA_SERIES, Extra, Labels, Shape

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """`prefer_name`: labels hold the names of routes and services, where they have one, not their ids."""

    prefer_name: bool = False


class Address(Struct, frozen=True):
    """Where the export server listens."""

    ip: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 9091


class MetricAttributes(Struct, frozen=True):
    """Of one metric."""

    extra_labels: tuple[dict[str, str], ...] = ()
    """`{name: $variable}`, one in each."""
    expire: Annotated[float, Meta(ge=0)] = 0
    """Seconds without a request after which a series is not told; 0: for ever."""

    def __post_init__(self) -> None:
        names = [_check_label(label) for label in self.extra_labels]
        if len(set(names)) < len(names):
            message = '"extra_labels" names a label twice'
            raise ValueError(message)

    def extra(self) -> Extra:
        """What that adds to the metric."""
        labels = tuple((name, value[1:]) for label in self.extra_labels for name, value in label.items())
        return Extra(labels, self.expire)


_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
_TAKEN = frozenset({*STATUS_LABELS, *WHERE_LABELS, "type", "le", "quantile", "pid"})
"""By the metrics, by Prometheus, and by the library where it adds up what the workers have."""


def _check_label(label: dict[str, str]) -> str:
    """The name. Raises ValueError."""
    if len(label) != 1:
        message = '"extra_labels": expected one {name: $variable} in each item'
        raise ValueError(message)
    ((name, value),) = label.items()
    if not _LABEL.fullmatch(name) or name in _TAKEN:
        message = f'"extra_labels": {name!r} is no name for a label, or it is taken'
        raise ValueError(message)
    if not value.startswith("$") or len(value) == 1:
        message = f'"extra_labels": expected a variable such as $host for {name!r}'
        raise ValueError(message)
    return name


class MetricsAttributes(Struct, frozen=True):
    """Of those metrics that can be added to."""

    http_status: MetricAttributes = MetricAttributes()
    http_latency: MetricAttributes = MetricAttributes()
    bandwidth: MetricAttributes = MetricAttributes()


class ExportAttributes(Struct, frozen=True):
    """`plugin_attr.prometheus`."""

    export_uri: Annotated[str, Meta(pattern="^/")] = "/apisix/prometheus/metrics"
    enable_export_server: bool = True
    """A listener of its own; else the numbers are a public API."""
    export_addr: Address = Address()
    metric_prefix: Annotated[str, Meta(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*\Z")] = Shape().prefix
    default_buckets: Annotated[
        tuple[Annotated[float, Meta(gt=0)], ...], Meta(min_length=1, max_length=100)
    ] = LATENCY_MS
    """Of `http_latency`, in milliseconds."""
    metrics: MetricsAttributes = MetricsAttributes()
    max_extra_series: Annotated[int, Meta(ge=0, le=100_000)] = MAX_EXTRA_SERIES
    """Of a metric with `extra_labels`, per worker. Ours: in APISIX a client can make any number."""

    def __post_init__(self) -> None:
        if any(after <= before for before, after in pairwise(self.default_buckets)):
            message = '"default_buckets": expected each to be above the one before it'
            raise ValueError(message)

    def shape(self) -> Shape:
        """How the metrics are to be."""
        return Shape(
            self.metric_prefix,
            self.default_buckets,
            self.metrics.http_status.extra(),
            self.metrics.http_latency.extra(),
            self.metrics.bandwidth.extra(),
            self.max_extra_series,
        )


class Prometheus(Plugin):
    """Counts the requests of the routes that it is on, and all batches while it is enabled."""

    name = "prometheus"
    priority = 500
    Config: ClassVar[type[Struct]] = Config
    Attributes: ClassVar[type[Struct]] = ExportAttributes
    _shape: ClassVar[Shape] = Shape()
    _of_batches: ClassVar[Metrics | None] = None

    def __init__(self, config: Any, gateway: Gateway, owner: str = "") -> None:
        super().__init__(config, gateway, owner)
        self._metrics = metrics(gateway.attributes(self.name).shape())

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
        host = route.host(context.var("host") or "")
        where: Labels = (route_label, service, consumer, node)
        status: Labels = (str(context.status), route_label, context.matched_uri, host, *where[1:])
        by_latency = by_bandwidth = where
        if not found.is_plain:
            status = found.status_series.use(status, context.var)
            by_latency = found.latency_series.use(where, context.var)
            by_bandwidth = found.bandwidth_series.use(where, context.var)
        found.requests.inc()
        found.status.labels(*status).inc()
        total_ms = context.duration_s * 1000
        found.latency.labels("request", *by_latency).observe(total_ms)
        upstream_ms = 0.0
        if context.upstream_s is not None:
            upstream_ms = context.upstream_s * 1000
            found.latency.labels("upstream", *by_latency).observe(upstream_ms)
        found.latency.labels("apisix", *by_latency).observe(max(total_ms - upstream_ms, 0))
        body = context.original.body
        received = len(body) if isinstance(body, bytes) else body.length or 0
        found.bandwidth.labels("ingress", *by_bandwidth).inc(received)
        found.bandwidth.labels("egress", *by_bandwidth).inc(context.body_bytes)

    @classmethod
    def batch_over(cls, report: BatchReport) -> None:
        """Count the batch."""
        found, kind = cls._of_batches, report.format
        if found is None:  # hashing the shape each time would take longer than a small batch should
            found = cls._of_batches = metrics(cls._shape)
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
        shape = cls._shape = attributes.shape()
        cls._of_batches = None
        if attributes.enable_export_server:
            return []

        async def export(_request: Request) -> Response:
            text = metrics(shape).text(gateway.names, gateway.health())
            return Response(200, "OK", [(b"Content-Type", CONTENT_TYPE)], text)

        return [PublicApi(frozenset({"GET"}), attributes.export_uri, export)]
