"""Health checks of an upstream's nodes. Source: apisix/schema_def.lua, `health_checker`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from batchway.config.resources.common import Host, Port, Positive, Seconds

Status = Annotated[int, Meta(ge=200, le=599)]
Statuses = Annotated[tuple[Status, ...], Meta(min_length=1)]
Times = Annotated[int, Meta(ge=1, le=254)]
Type = Literal["http", "https", "tcp"]


def _check_statuses(statuses: tuple[int, ...]) -> None:
    if len(set(statuses)) != len(statuses):
        msg = '"http_statuses" names a value twice'
        raise ValueError(msg)


class ActiveHealthy(Struct, frozen=True, forbid_unknown_fields=True):
    """When a probed node that is down is up again. `interval` in seconds, between probes of it while up."""

    interval: Positive = 1
    http_statuses: Statuses = (200, 302)
    successes: Times = 2

    def __post_init__(self) -> None:
        _check_statuses(self.http_statuses)


class ActiveUnhealthy(Struct, frozen=True, forbid_unknown_fields=True):
    """When a probed node is down. `interval` in seconds, between probes of it while down."""

    interval: Positive = 1
    http_statuses: Statuses = (429, 404, 500, 501, 502, 503, 504, 505)
    http_failures: Times = 5
    tcp_failures: Times = 2
    timeouts: Times = 3

    def __post_init__(self) -> None:
        _check_statuses(self.http_statuses)


class Active(Struct, frozen=True, forbid_unknown_fields=True):
    """Probes. `timeout` in seconds."""

    type: Type = "http"
    timeout: Seconds = 1
    concurrency: Positive = 10
    """Probes of one upstream that run at a time."""
    host: Host | None = None
    """The Host header, and for https the name to verify; None: the node's."""
    port: Port | None = None
    """None: the node's."""
    http_path: str = "/"
    https_verify_certificate: bool = True
    healthy: ActiveHealthy = ActiveHealthy()
    unhealthy: ActiveUnhealthy = ActiveUnhealthy()
    req_headers: tuple[str, ...] = ()
    """Lines such as `User-Agent: probe`."""


class PassiveHealthy(Struct, frozen=True, forbid_unknown_fields=True):
    """What answers to requests speak for a node."""

    http_statuses: Statuses = (
        *(200, 201, 202, 203, 204, 205, 206, 207, 208, 226),
        *(300, 301, 302, 303, 304, 305, 306, 307, 308),
    )
    successes: Annotated[int, Meta(ge=0, le=254)] = 5

    def __post_init__(self) -> None:
        _check_statuses(self.http_statuses)


class PassiveUnhealthy(Struct, frozen=True, forbid_unknown_fields=True):
    """What answers to requests, and their absence, speak against a node. 0: does not count."""

    http_statuses: Statuses = (429, 500, 503)
    tcp_failures: Annotated[int, Meta(ge=0, le=254)] = 2
    timeouts: Annotated[int, Meta(ge=0, le=254)] = 7
    http_failures: Annotated[int, Meta(ge=0, le=254)] = 5

    def __post_init__(self) -> None:
        _check_statuses(self.http_statuses)


class Passive(Struct, frozen=True, forbid_unknown_fields=True):
    """What is learned from the requests themselves."""

    type: Type = "http"
    healthy: PassiveHealthy = PassiveHealthy()
    unhealthy: PassiveUnhealthy = PassiveUnhealthy()


class Checks(Struct, frozen=True, forbid_unknown_fields=True):
    """Passive checks only take a node out; only active ones bring it back."""

    active: Active
    passive: Passive | None = None
