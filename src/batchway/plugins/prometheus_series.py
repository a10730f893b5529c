"""Which series the metrics of `prometheus` have: as APISIX has them, and as the settings add to them."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from msgspec import Struct

from batchway.plugins.variables import Lookup

if TYPE_CHECKING:
    from prometheus_client import Gauge

LATENCY_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4)
MAX_EXTRA_SERIES = 1000
OTHER = "other"
"""Stands for all values of labels beyond the bound."""
LAST_USED = "batchway_last_used_"
"""What the names of metrics begin with that are kept for us alone, and never told."""
_MAX_VALUE = 128

log = structlog.get_logger(__name__)

Labels = tuple[str, ...]


class Extra(Struct, frozen=True):
    """What the settings have a metric do that it does not by itself."""

    labels: tuple[tuple[str, str], ...] = ()
    """Further ones, each with the variable whose value it has."""
    expire_s: float = 0
    """After so long without a request, a series is not told; 0: it is, for ever."""


class Shape(Struct, frozen=True):
    """All in which the metrics of one gateway may differ from another's."""

    prefix: str = "apisix_"
    buckets_ms: tuple[float, ...] = LATENCY_MS
    status: Extra = Extra()
    latency: Extra = Extra()
    bandwidth: Extra = Extra()
    max_extra_series: int = MAX_EXTRA_SERIES


class Series:
    """The series of one metric: which there may be, which labels they have, when each was last used.

    Values of further labels may be what clients send: a series that has them is one of at most
    `max_series`; those that would be more are one for each set of the rest, with `other` in these labels.
    """

    def __init__(
        self,
        name: str,
        labels: Labels,
        extra: Extra,
        max_series: int,
        make_gauge: "Callable[[str, Labels], Gauge]",
    ) -> None:
        self.labels = (*labels, *(label for label, _ in extra.labels))
        self.expire_s = extra.expire_s
        self.last_used = f"{LAST_USED}{name}"
        self.is_plain = extra == Extra()
        self._name = name
        self._variables = tuple(variable for _, variable in extra.labels)
        self._max_series = max_series
        self._there: set[Labels] = set()
        self._used = make_gauge(self.last_used, self.labels) if extra.expire_s else None

    def use(self, labels: Labels, lookup: Lookup) -> Labels:
        """The labels of the series that a request belongs to, of which `labels` are the metric's own."""
        if self._variables:
            values = tuple(_tellable(lookup(name) or "") for name in self._variables)
            labels = self._bounded(labels, values)
        if self._used is not None:
            self._used.labels(*labels).set(time.time())
        return labels

    def _bounded(self, labels: Labels, values: Labels) -> Labels:
        wanted = labels + values
        if wanted in self._there:
            return wanted
        if len(self._there) < self._max_series:
            self._there.add(wanted)
            if len(self._there) == self._max_series:
                log.warning("as many series as there may be", metric=self._name, series=self._max_series)
            return wanted
        return labels + (OTHER,) * len(values)


def _tellable(value: str) -> str:
    """`value` as a label's: not endless, and nothing in it that breaks lines or cannot be encoded."""
    value = value[:_MAX_VALUE]
    return value if value.isprintable() else "".join(c if c.isprintable() else "?" for c in value)
