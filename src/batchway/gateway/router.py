"""Which route a request takes: by host, path and method, in time that does not grow with the routes.

Source: lua-resty-radixtree and apisix/http/router/radixtree_host_uri.lua: an exact host comes before a
wildcard, a longer wildcard before a shorter, any of them before routes without a host; within that an
exact path before a prefix, a longer prefix before a shorter; then the higher `priority`.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


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


M = TypeVar("M", bound=Match)


V = TypeVar("V")


class _Node(Generic[V]):
    """A node of a radix tree: the characters that lead to it, and what is kept there."""

    __slots__ = ("children", "label", "value")

    def __init__(self, label: str) -> None:
        self.label = label
        self.children: dict[str, _Node[V]] = {}
        self.value: V | None = None


class PrefixTree(Generic[V]):
    """A radix tree from strings to values, asked for all keys that a text begins with."""

    def __init__(self) -> None:
        self._root: _Node[V] = _Node("")

    def __bool__(self) -> bool:
        return bool(self._root.children) or self._root.value is not None

    def get(self, key: str) -> V | None:
        """The value kept under exactly that key."""
        node, rest = self._root, key
        while rest:
            child = node.children.get(rest[0])
            if child is None or not rest.startswith(child.label):
                return None
            node, rest = child, rest[len(child.label) :]
        return node.value

    def set(self, key: str, value: V) -> None:
        """Keep `value` under `key`."""
        node, rest = self._root, key
        while rest:
            child = node.children.get(rest[0])
            if child is None:
                child = node.children[rest[0]] = _Node(rest)
            elif not rest.startswith(child.label):
                child = self._split(node, child, rest)
            node, rest = child, rest[len(child.label) :]
        node.value = value

    def remove(self, key: str) -> None:
        """Forget `key`, and the nodes that only led to it."""
        path = [self._root]
        rest = key
        while rest:
            child = path[-1].children.get(rest[0])
            if child is None or not rest.startswith(child.label):
                return
            path.append(child)
            rest = rest[len(child.label) :]
        path[-1].value = None
        while len(path) > 1 and path[-1].value is None and not path[-1].children:
            node = path.pop()
            del path[-1].children[node.label[0]]

    @staticmethod
    def _split(parent: _Node[V], child: _Node[V], key: str) -> _Node[V]:
        """Put a node between the two where `key` parts from the child's label."""
        label = child.label
        common = next(
            (i for i, (a, b) in enumerate(zip(label, key, strict=False)) if a != b),
            min(len(label), len(key)),
        )
        between: _Node[V] = _Node(label[:common])
        parent.children[label[0]] = between
        child.label = label[common:]
        between.children[child.label[0]] = child
        return between

    def prefixes(self, text: str) -> list[V]:
        """The values of all keys that `text` begins with, the longest key first."""
        node, position, found = self._root, 0, []
        while True:
            if node.value is not None:
                found.append(node.value)
            if position == len(text):
                break
            child = node.children.get(text[position])
            if child is None or not text.startswith(child.label, position):
                break
            node, position = child, position + len(child.label)
        found.reverse()
        return found


class _Paths(Generic[M]):
    """The routes of one host."""

    def __init__(self) -> None:
        self.exact: dict[str, list[M]] = {}
        self.prefixes: PrefixTree[list[M]] = PrefixTree()

    def __bool__(self) -> bool:
        return bool(self.exact or self.prefixes)

    def add(self, uri: str, route: M) -> None:
        routes = self._at(uri)
        routes.append(route)
        routes.sort(key=lambda one: -one.priority)  # stable: the older of two equals stays first

    def remove(self, uri: str, route: M) -> None:
        routes = self._at(uri)
        routes.remove(route)
        if not routes and uri.endswith("*"):
            self.prefixes.remove(uri[:-1])
        elif not routes:
            del self.exact[uri]

    def _at(self, uri: str) -> list[M]:
        if not uri.endswith("*"):
            return self.exact.setdefault(uri, [])
        routes = self.prefixes.get(uri[:-1])
        if routes is None:
            routes = []
            self.prefixes.set(uri[:-1], routes)
        return routes

    def find(self, path: str, method: str) -> M | None:
        for route in self.exact.get(path, ()):
            if not route.methods or method in route.methods:
                return route
        for routes in self.prefixes.prefixes(path):
            for route in routes:
                if not route.methods or method in route.methods:
                    return route
        return None


class Router(Generic[M]):
    """Finds the route of a request. Routes come and go one by one, in constant time each."""

    def __init__(self) -> None:
        self._any: _Paths[M] = _Paths()
        self._hosts: dict[str, _Paths[M]] = {}
        self._wildcards: PrefixTree[_Paths[M]] = PrefixTree()
        self._routes: dict[str, M] = {}

    def __len__(self) -> int:
        return len(self._routes)

    def put(self, route: M) -> None:
        """Add a route, in place of the one with its id."""
        self.remove(route.id)
        self._routes[route.id] = route
        for paths, uri in self._places(route):
            paths.add(uri, route)

    def remove(self, route_id: str) -> None:
        """Forget a route, if it is there."""
        route = self._routes.pop(route_id, None)
        if route is None:
            return
        for paths, uri in self._places(route):
            paths.remove(uri, route)
        for host in {host.lower() for host in route.host_list}:
            if not self._host(host):
                self._forget_host(host)

    def _forget_host(self, host: str) -> None:
        if host.startswith("*"):
            self._wildcards.remove(host[:0:-1])
        else:
            del self._hosts[host]

    def _places(self, route: M) -> Iterator[tuple[_Paths[M], str]]:
        hosts = [self._host(host.lower()) for host in route.host_list] or [self._any]
        for paths in hosts:
            for uri in route.uri_list:
                yield paths, uri

    def _host(self, host: str) -> _Paths[M]:
        if not host.startswith("*"):
            return self._hosts.setdefault(host, _Paths())
        suffix = host[:0:-1]  # without the star, read from its end
        paths = self._wildcards.get(suffix)
        if paths is None:
            paths = _Paths()
            self._wildcards.set(suffix, paths)
        return paths

    def find(self, host: str, path: str, method: str) -> M | None:
        """The route for a request; `host` in lower case without a port, `path` normalised."""
        exact = self._hosts.get(host)
        if exact is not None:
            route = exact.find(path, method)
            if route is not None:
                return route
        for paths in self._wildcards.prefixes(host[::-1]):
            route = paths.find(path, method)
            if route is not None:
                return route
        return self._any.find(path, method)
