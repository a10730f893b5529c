"""Routes and services. Source: apache/apisix, `apisix/schema_def.lua` (3.x)."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from batchway.config import expression
from batchway.config.resources.common import (
    Count,
    Description,
    Host,
    Id,
    Labels,
    Method,
    Name,
    Plugins,
    Timeout,
    Uri,
    is_network,
    one_or_many,
    shown,
)
from batchway.config.resources.upstream import Upstream


class Route(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which requests go through which plugins to which upstream."""

    id: Id | None = None
    uri: Uri | None = None
    """Read `uri_list` instead."""
    uris: Annotated[tuple[Uri, ...], Meta(min_length=1)] | None = None
    methods: tuple[Method, ...] = ()
    """Empty: every method."""
    host: Host | None = None
    """Read `host_list` instead."""
    hosts: Annotated[tuple[Host, ...], Meta(min_length=1)] | None = None
    remote_addr: str | None = None
    """Read `remote_addr_list` instead."""
    remote_addrs: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    vars: list[Any] = []
    """An expression on the request's variables, see `batchway.config.expression`. Empty: no condition."""
    priority: int = 0
    """The higher one is tried first."""
    upstream: Upstream | None = None
    upstream_id: Id | None = None
    service_id: Id | None = None
    plugins: Plugins | None = None
    plugin_config_id: Id | None = None
    status: Literal[0, 1] = 1
    """0: the route is switched off."""
    timeout: Timeout | None = None
    """Overrides the upstream's."""
    name: Name | None = None
    desc: Description | None = None
    labels: Labels = {}
    create_time: Count | None = None
    update_time: Count | None = None

    def __post_init__(self) -> None:
        for problem in _route_problems(self):
            raise ValueError(problem)

    @property
    def uri_list(self) -> tuple[str, ...]:
        """The paths it matches; `*` or `*name` stands for any text, `:name` for a segment."""
        return one_or_many(self.uri, self.uris)

    @property
    def host_list(self) -> tuple[str, ...]:
        """The hosts it matches; empty for every host."""
        return one_or_many(self.host, self.hosts)

    @property
    def remote_addr_list(self) -> tuple[str, ...]:
        """Addresses and networks of the clients it serves; empty for all."""
        return one_or_many(self.remote_addr, self.remote_addrs)


class Service(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What several routes have in common; a route's own word goes before it."""

    id: Id | None = None
    name: Name | None = None
    desc: Description | None = None
    labels: Labels = {}
    hosts: Annotated[tuple[Host, ...], Meta(min_length=1)] | None = None
    """For routes that name no host."""
    upstream: Upstream | None = None
    upstream_id: Id | None = None
    plugins: Plugins | None = None
    create_time: Count | None = None
    update_time: Count | None = None

    def __post_init__(self) -> None:
        if self.hosts and len(set(self.hosts)) != len(self.hosts):
            msg = '"hosts" names a value twice'
            raise ValueError(msg)


def _route_problems(route: Route) -> Iterator[str]:
    if (route.uri is None) == (route.uris is None):
        yield 'exactly one of "uri" and "uris" is expected'
    for one, other in (("host", "hosts"), ("remote_addr", "remote_addrs")):
        if getattr(route, one) is not None and getattr(route, other) is not None:
            yield f'only one of "{one}" and "{other}" is expected'
    if all(getattr(route, name) is None for name in _NEEDED):
        yield f"one of {', '.join(map(shown, _NEEDED[:-1]))} and {shown(_NEEDED[-1])} is required"
    for name in ("uris", "hosts", "methods", "remote_addrs"):
        values = getattr(route, name) or ()
        if len(set(values)) != len(values):
            yield f'"{name}" names a value twice'
    for uri in route.uri_list:
        yield from _uri_problems(uri)
    yield from _vars_problems(route.vars)
    for address in route.remote_addr_list:
        if not is_network(address):
            yield f"remote_addr {shown(address)} is no address and no network"


_NEEDED = ("upstream", "upstream_id", "service_id", "plugins")


def _uri_problems(uri: str) -> Iterator[str]:
    if not uri.startswith("/") and uri != "*":
        yield f'uri {shown(uri)} must begin with "/"'
    ends = uri.endswith("*") and uri.count("*", uri.rfind("/")) == 1
    if any("*" in segment[1:] for segment in (uri[:-1] if ends else uri).split("/")):
        yield f'uri {shown(uri)}: "*" must be the last character, or begin a segment as in "/*rest"'
    if "/" in uri.partition("*")[2] and "/:" in uri:
        yield f'uri {shown(uri)}: a path with "*" within it cannot have a ":name", too'


def _vars_problems(vars: list[Any]) -> Iterator[str]:
    try:
        expression.compile(vars)
    except ValueError as error:
        yield str(error)
