"""Which routes a request may take, in the order to try them, in time that does not grow with the routes.

Source: apisix/http/router/radixtree_*.lua and lua-resty-radixtree. An exact path comes before a prefix,
a longer prefix before a shorter; then the higher `priority`. With `radixtree_host_uri` the host is looked
at before the path: exact before a wildcard, a longer wildcard before a shorter, any of them before routes
without a host. With the other kinds a route's hosts are but a condition among the routes of one path.
"""

from collections.abc import Iterator
from itertools import count
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from batchway.config.expression import Expression
from batchway.config.settings import RouterKind as RouterKind
from batchway.gateway.path_index import Paths
from batchway.gateway.places import Entry, Hosts, Matched, Pattern


class Match(Protocol):
    """What the router needs to know of a route."""

    @property
    def id(self) -> str: ...

    @property
    def uri_list(self) -> tuple[str, ...]: ...

    @property
    def host_list(self) -> tuple[str, ...]: ...

    @property
    def methods(self) -> frozenset[str]:
        """Empty for all of them."""

    @property
    def priority(self) -> int: ...

    @property
    def conditions(self) -> Expression | None:
        """What else a request must fulfil; None for nothing. Never asked by the router itself."""


M = TypeVar("M", bound=Match)

NO_PARAMS: dict[str, str] = {}
"""Shared by all candidates without parameters: not to be changed."""


class Candidate(Struct, Generic[M], frozen=True, eq=False):
    """A route that a request may take."""

    route: M
    params: dict[str, str]
    """The values of `:name` and `*name` in the path."""
    uri: str
    """Which of the route's paths leads to it."""


class _Placed(Struct, Generic[M], frozen=True, eq=False):
    """A route and its entries. Its age is that of its id: a change leaves it at its place."""

    route: M
    age: int
    entries: tuple[Entry[M], ...]
    hosts: tuple[str, ...]


class Router(Generic[M]):
    """Finds the routes for a request. Routes come and go one by one, in constant time each."""

    def __init__(self, kind: RouterKind = "radixtree_host_uri") -> None:
        self._host_first = kind == "radixtree_host_uri"
        self._has_parameters = kind == "radixtree_uri_with_parameter"
        self._hosts: Hosts[Paths[M]] = Hosts(Paths)
        self._placed: dict[str, _Placed[M]] = {}
        self._ages = count()

    def __len__(self) -> int:
        return len(self._placed)

    def put(self, route: M) -> None:
        """Add a route, or put it in place of the one with its id."""
        old = self._placed.get(route.id)
        self.remove(route.id)
        age = next(self._ages) if old is None else old.age
        entries = tuple(self._entries(route, age))
        hosts = tuple(dict.fromkeys(host.lower() for host in route.host_list))
        self._placed[route.id] = placed = _Placed(route, age, entries, hosts)
        for _, paths, inner in self._places(placed):
            for entry in entries:
                paths.add(entry, inner)

    def remove(self, route_id: str) -> None:
        """Forget a route, if it is there."""
        placed = self._placed.pop(route_id, None)
        if placed is None:
            return
        for host, paths, inner in self._places(placed):
            for entry in placed.entries:
                paths.remove(entry, inner)
            self._hosts.prune(host)

    def _entries(self, route: M, age: int) -> Iterator[Entry[M]]:
        for index, uri in enumerate(dict.fromkeys(route.uri_list)):
            pattern = Pattern.of(uri, parameters=self._has_parameters)
            yield Entry((-route.priority, pattern.rank, -len(uri), age, index), route, pattern, uri)

    def _places(self, placed: _Placed[M]) -> Iterator[tuple[str, Paths[M], tuple[str, ...]]]:
        """Hosts at which the router keeps it, with the paths there, and the hosts to tell those."""
        if not self._host_first:
            yield "", self._hosts.at(""), placed.hosts
            return
        for host in placed.hosts or ("",):
            yield host, self._hosts.at(host), ()

    def candidates(self, host: str, path: str, method: str) -> tuple[Candidate[M], ...]:
        """The routes that host, path and method lead to, up to the first that has no conditions.

        `host` in lower case without a port, `path` normalised.
        """
        found: dict[str, Candidate[M]] = {}
        for entry, values in self._matching(host, path):
            route = entry.route
            if (route.methods and method not in route.methods) or route.id in found:
                continue
            found[route.id] = Candidate(route, _params(entry, values), entry.uri)
            if route.conditions is None:
                break
        return tuple(found.values())

    def _matching(self, host: str, path: str) -> Iterator[Matched[M]]:
        for paths in self._hosts.matching(host):
            yield from paths.matching(path, host)


def _params(entry: Entry[M], values: tuple[str, ...]) -> dict[str, str]:
    params = {name: value for name, value in zip(entry.pattern.names, values, strict=False) if name}
    return params or NO_PARAMS
