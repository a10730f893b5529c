"""Whether nodes are up: what speaks for and against each is counted until it is enough.

Source: lua-resty-healthcheck, `incr_counter`: failures in a row take a node out, successes in a row bring
it back; each side's counts are void once the other's counts. What neither list of statuses has is nothing.
"""

from collections.abc import Callable, Iterable
from typing import Literal

import structlog
from msgspec import Struct

from batchway.upstream.spec import Evidence
from batchway.upstream.target import Counter, Status, Target

log = structlog.get_logger(__name__)

Failure = Literal["http_failure", "tcp_failure", "timeout_failure"]


class NodeHealth(Struct, frozen=True):
    """One address as the control API shows it."""

    hostname: str
    ip: str
    port: int
    status: Status
    counter: Counter


class UpstreamHealth(Struct, frozen=True):
    """The nodes of one upstream that has checks; `kind` and `id` say whose it is."""

    kind: str
    id: str
    type: str
    nodes: tuple[NodeHealth, ...]


class Rules(Struct, frozen=True):
    """What counts, and how often it takes. A number of 0 switches that count off."""

    good: frozenset[int]
    bad: frozenset[int]
    successes: int
    failures: dict[Failure, int]

    @classmethod
    def of(cls, evidence: Evidence) -> "Rules":
        """The rules of active or of passive checks."""
        healthy, unhealthy = evidence.healthy, evidence.unhealthy
        return cls(
            frozenset(healthy.http_statuses),
            frozenset(unhealthy.http_statuses),
            healthy.successes,
            {
                "http_failure": unhealthy.http_failures,
                "tcp_failure": unhealthy.tcp_failures,
                "timeout_failure": unhealthy.timeouts,
            },
        )


class Health:
    """Takes note of what happens to the nodes of one upstream."""

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.on_change = on_change
        """Called when a node has gone down, or come up again."""

    def answered(self, target: Target, status: int, rules: Rules) -> None:
        """A node answered with that status; 0 stands for an answer that is not HTTP."""
        if status in rules.good:
            self.succeeded(target, rules)
        elif status in rules.bad or not status:
            self.failed(target, "http_failure", rules)

    def succeeded(self, target: Target, rules: Rules) -> None:
        """A node did what it should."""
        standing = target.standing
        if not rules.successes or standing.status == "healthy":
            return
        counter = standing.counter = Counter(success=standing.counter.success + 1)
        if counter.success >= rules.successes:
            self._turn(target, "healthy")
        elif standing.status == "unhealthy":
            self._turn(target, "mostly_unhealthy")

    def failed(self, target: Target, failure: Failure, rules: Rules) -> None:
        """A node did not do what it should."""
        standing = target.standing
        limit = rules.failures[failure]
        if not limit or standing.status == "unhealthy":
            return
        counter = standing.counter
        counter.success = 0
        count = getattr(counter, failure) + 1
        setattr(counter, failure, count)
        if count >= limit:
            self._turn(target, "unhealthy")
        elif standing.status == "healthy":
            self._turn(target, "mostly_healthy")

    def _turn(self, target: Target, status: Status) -> None:
        standing = target.standing
        was_up = standing.up
        standing.status = status
        if standing.up != was_up:
            log.warning(
                "upstream node is up again" if standing.up else "upstream node is down", node=target.name
            )
            self.on_change()


def snapshot(targets: Iterable[Target]) -> tuple[NodeHealth, ...]:
    """How the targets are now."""
    return tuple(
        NodeHealth(
            target.node.host,
            target.ip,
            target.node.port,
            target.standing.status,
            Counter(*(getattr(target.standing.counter, name) for name in Counter.__struct_fields__)),
        )
        for target in targets
    )
