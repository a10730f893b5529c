"""Routes as the router knows them, and what it makes of a request."""

from msgspec import Struct

from batchway.config.expression import Expression
from batchway.config.settings import RouterKind
from batchway.gateway.router import Router


class Route(Struct, frozen=True):
    """What the router needs to know of a route, and no more."""

    id: str
    uri_list: tuple[str, ...] = ("/*",)
    host_list: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    priority: int = 0
    conditions: Expression | None = None


def route(
    id: str,
    *uris: str,
    hosts: str = "",
    methods: str = "",
    priority: int = 0,
    conditions: Expression | None = None,
) -> Route:
    return Route(id, uris, tuple(hosts.split()), frozenset(methods.split()), priority, conditions)


def router_of(*routes: Route, kind: RouterKind = "radixtree_host_uri") -> Router[Route]:
    router: Router[Route] = Router(kind)
    for one in routes:
        router.put(one)
    return router


def first(router: Router[Route], path: str, host: str = "", method: str = "GET") -> str | None:
    """The id of the best route."""
    return next(iter(tried(router, path, host, method)), None)


def tried(router: Router[Route], path: str, host: str = "", method: str = "GET") -> list[str]:
    """The ids of all that are to be tried, in their order."""
    return [one.route.id for one in router.candidates(host, path, method)]
