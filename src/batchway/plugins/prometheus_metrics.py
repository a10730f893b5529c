"""What `prometheus` counts, where it is kept, and how it is told.

Source: apisix/plugins/prometheus/exporter.lua, for the names and labels that APISIX's dashboards know.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from batchway.plugins.prometheus_series import LAST_USED, Extra, Labels, Series, Shape
from batchway.upstream import UpstreamHealth

if TYPE_CHECKING:
    from prometheus_client import Gauge, Metric

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment's name for where workers keep their numbers, so that each can tell those of all."""
STATUS_LABELS = ("code", "route", "matched_uri", "matched_host", "service", "consumer", "node")
WHERE_LABELS = ("route", "service", "consumer", "node")
"""Of latency and bandwidth, beside their `type`."""
NODE_LABELS = ("name", "ip", "port")
"""Of `upstream_status`; `name` is that of the resource, such as `/apisix/upstreams/1`."""

_BATCH_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_ITEMS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_BYTES = tuple(4**power for power in range(4, 14))

Names = Callable[[str], Collection[str]]
"""As `Gateway.names`."""
_SPEAK_OF = {"route": "routes", "service": "services", "consumer": "consumers"}
"""Labels, and the kinds of resources whose ids or names they hold; `""` is none of them."""


class _Told:
    """What was counted, without the series that are not to be told.

    Those of routes, services and consumers that are there no more, those that nothing has used for long,
    and, after a reload with other labels or buckets, those that have none of these. They are left out and
    not deleted, since the workers add up what each has counted for itself: a series that one of them began
    anew would go down. One that is used again goes on where it was.
    """

    def __init__(
        self,
        families: "Iterable[Metric]",
        series: Mapping[str, Series],
        buckets: Collection[float],
        there: Mapping[str, Collection[str]],
    ) -> None:
        """`series` by the name of their metric."""
        self._families = {metric.name: metric for metric in families}
        self._series = series
        self._buckets = frozenset(buckets) | {float("inf")}
        self._there = there
        now = time.time()
        self._recent = {
            name: self._used_since(one, now - one.expire_s) for name, one in series.items() if one.expire_s
        }

    def _used_since(self, series: Series, since: float) -> set[Labels]:
        found = self._families.get(series.last_used)
        if found is None:
            return set()
        names = set(series.labels)
        return {
            tuple(one.labels[label] for label in series.labels)
            for one in found.samples
            if one.value >= since and one.labels.keys() == names
        }

    def metrics(self) -> "Iterator[Metric]":
        """As a registry has them."""
        for name, metric in self._families.items():
            if name.startswith(LAST_USED):
                continue
            series = self._series.get(name)
            metric.samples = [
                one
                for one in metric.samples
                if self._is_there(one.labels)
                and (series is None or self._is_told(name, series, one.labels))
            ]
            yield metric

    def _is_there(self, labels: Mapping[str, str]) -> bool:
        return all(not (told := labels.get(label)) or told in names for label, names in self._there.items())

    def _is_told(self, name: str, series: Series, labels: Mapping[str, str]) -> bool:
        if labels.keys() - {"type", "le"} != set(series.labels):
            return False
        if "le" in labels and float(labels["le"]) not in self._buckets:
            return False
        recent = self._recent.get(name)
        return recent is None or tuple(labels[label] for label in series.labels) in recent


class _Collected(Struct, frozen=True):
    """What the library takes for a registry."""

    families: "list[Metric]"

    def collect(self) -> "list[Metric]":
        """As a registry has it."""
        return self.families


class Metrics:
    """All that is counted. Made when it is first needed: by then it is known where the numbers are kept."""

    def __init__(self, shape: Shape) -> None:
        # here, and not above: the library looks at the environment when it is imported
        import prometheus_client as client  # noqa: PLC0415
        from prometheus_client import core, multiprocess, values  # noqa: PLC0415

        _share_values(values)
        client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._client = client
        self._merge = multiprocess.MultiProcessCollector.merge
        self._gauge = core.GaugeMetricFamily
        self._shape = shape
        prefix = self._prefix = shape.prefix
        # The library adds `_total` to counters; APISIX's dashboards ask for the names without it.
        self._renamed = [f"{prefix}{name}".encode() for name in ("http_status", "bandwidth")]
        self._own = client.CollectorRegistry()
        self._make_requests()
        self._make_batches()

    def _make_requests(self) -> None:
        client, registry, shape, prefix = self._client, self._own, self._shape, self._prefix
        self.status_series = self._make_series("http_status", STATUS_LABELS, shape.status)
        self.latency_series = self._make_series("http_latency", WHERE_LABELS, shape.latency)
        self.bandwidth_series = self._make_series("bandwidth", WHERE_LABELS, shape.bandwidth)
        self._series = {
            f"{prefix}http_status": self.status_series,
            f"{prefix}http_latency": self.latency_series,
            f"{prefix}bandwidth": self.bandwidth_series,
        }
        self.is_plain = all(one.is_plain for one in self._series.values())
        """Whether the labels of a series are the metric's own, and it is told for ever."""
        self.status = client.Counter(
            f"{prefix}http_status",
            "Requests by the status they were answered with",
            self.status_series.labels,
            registry=registry,
        )
        self.latency = client.Histogram(
            f"{prefix}http_latency",
            "Milliseconds: of the whole request, of the upstream until its answer began, of the rest",
            ("type", *self.latency_series.labels),
            buckets=shape.buckets_ms,
            registry=registry,
        )
        self.bandwidth = client.Counter(
            f"{prefix}bandwidth",
            "Bytes of bodies by their direction",
            ("type", *self.bandwidth_series.labels),
            registry=registry,
        )
        self.requests = client.Counter(
            f"{prefix}http_requests_total", "Requests with the plugin, items of batches among them",
            registry=registry,
        )  # fmt: skip

    def _make_batches(self) -> None:
        client, registry = self._client, self._own
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

    def _make_series(self, name: str, labels: Labels, extra: Extra) -> Series:
        return Series(name, labels, extra, self._shape.max_extra_series, self._make_gauge)

    def _make_gauge(self, name: str, labels: Labels) -> "Gauge":
        """Of all workers' the latest: whichever is asked knows of a series that others have used."""
        what = "Seconds since the epoch"
        return self._client.Gauge(name, what, labels, registry=self._own, multiprocess_mode="max")

    def text(self, names: Names, health: Iterable[UpstreamHealth]) -> bytes:
        """Everything as Prometheus reads it, without what speaks of things now gone.

        The numbers are those of all workers; `health` is what the checks of this one have found.
        """
        there = {label: names(kind) for label, kind in _SPEAK_OF.items()}
        told = _Told(self._counted(), self._series, self._shape.buckets_ms, there)
        text = self._client.generate_latest(_Collected([*told.metrics(), self._standing(health)]))
        for name in self._renamed:
            text = text.replace(name + b"_total", name)
        return text

    def _counted(self) -> "Iterable[Metric]":
        """By this process, or by all workers."""
        folder = os.environ.get(SHARED_FOLDER)
        if folder is None:
            return self._own.collect()
        # The library's own way to find them stumbles over one that a worker is about to begin: it is empty.
        files = [str(path) for path in Path(folder).glob("*.db") if path.stat().st_size]
        counted: Iterable[Metric] = self._merge(files)  # type: ignore[no-untyped-call]
        return counted

    def _standing(self, health: Iterable[UpstreamHealth]) -> "Metric":
        name = f"{self._prefix}upstream_status"
        found = self._gauge(name, "Nodes with health checks: 1 is up, 0 down", labels=NODE_LABELS)
        for one in health:
            for node in one.nodes:
                is_up = node.status in ("healthy", "mostly_healthy")
                found.add_metric((f"/apisix/{one.kind}/{one.id}", node.ip, str(node.port)), float(is_up))
        return found


def _share_values(library: Any) -> None:
    """Have one value for each series in a worker's file, also where metrics of two shapes count in it.

    A value keeps the number that it has written last: after a reload, and another that takes it back, the
    older of two would undo what the other has counted meanwhile. `library` is its module of values.
    """
    kind = library.ValueClass
    if isinstance(kind, type) and getattr(kind, "_multiprocess", False):
        library.ValueClass = cache(kind)


@cache
def metrics(shape: Shape) -> Metrics:
    """What this process counts in that shape."""
    return Metrics(shape)
