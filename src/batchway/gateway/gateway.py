"""The gateway: from a request to its route, through the route's plugins, on to the upstream.

It knows nothing of batches. An item and a request from the wire take this way alike.
"""

from collections.abc import Sequence

import structlog
from msgspec import Struct

from batchway.config.resources import Route, Timeout, Upstream
from batchway.errors import (
    BatchwayError,
    MethodRefused,
    NoHealthyNode,
    RouteNotFound,
)
from batchway.gateway.forward import Forwarding
from batchway.gateway.paths import normalise
from batchway.gateway.router import Router
from batchway.model import Request, Response, error_response
from batchway.plugins import Handler, Plugin, PublicApi, Registry
from batchway.plugins.public_api import PublicApiPlugin
from batchway.upstream import Pools, Terms, UpstreamClient

log = structlog.get_logger(__name__)

_MAX_FOUND = 8192
_MAX_FOUND_SIZE = 256
_EXPOSED = "expose:"  # no id of a stored route has a colon
_NEVER_SENT_ON = frozenset({"CONNECT", "TRACE"})


class RouteEntry(Struct, frozen=True, gc=True, eq=False):
    """A route made ready: its plugins built, its upstream at hand."""

    id: str
    uri_list: tuple[str, ...]
    host_list: tuple[str, ...]
    methods: frozenset[str]
    priority: int
    access: tuple[Plugin, ...]
    """The plugins that look at requests before they are sent on, in their order."""
    upstream: UpstreamClient | None
    upstream_id: str | None
    timeout: Timeout | None


class Gateway:
    """Routes, upstreams and plugin metadata as they stand, and the way of a request through them.

    Changed only between two requests, by whoever applies the store's events.
    """

    def __init__(
        self,
        registry: Registry,
        pools: Pools,
        terms: Terms,
        forwarding: Forwarding,
    ) -> None:
        self.pools = pools
        self._router: Router[RouteEntry] = Router()
        self._found: dict[tuple[bytes | None, str, str], RouteEntry] = {}
        self._upstreams: dict[str, UpstreamClient] = {}
        self._metadata: dict[str, Struct] = {}
        self._exposed: tuple[str, ...] = ()
        self.use(registry, forwarding, terms)

    def use(self, registry: Registry, forwarding: Forwarding, terms: Terms) -> None:
        """Work with these plugins and rules from the next request on.

        Routes and upstreams that are there stay as they are until they are put again.
        """
        self.registry = registry
        self.terms = terms
        self.forwarding = forwarding
        self._apis: dict[str, PublicApi] = {api.uri: api for api in registry.public_apis(self)}

    # --- the way of a request

    async def handle(self, request: Request) -> Response:
        """The answer to `request`, be it an error. Raises only what is a fault of ours."""
        try:
            if request.method in _NEVER_SENT_ON:
                message = f"method {request.method} is not allowed"
                raise MethodRefused(message)
            route = self._route(request)
            for plugin in route.access:
                response = await plugin.access(request)
                if response is not None:
                    return response
            upstream = route.upstream
            if upstream is None:
                upstream = self._upstream(route)
            return await upstream.send(request, self.forwarding.block(request), route.timeout)
        except BatchwayError as error:
            return error_response(error)

    def _route(self, request: Request) -> RouteEntry:
        """The route that the request takes; the way to it is remembered until a route changes."""
        host = request.headers.get(b"host")
        asked = (host, request.path, request.method)
        route = self._found.get(asked)
        if route is None:
            name = "" if host is None else _host_name(host)
            route = self._router.find(name, normalise(request.path), request.method)
            if route is None:
                message = "404 Route Not Found"
                raise RouteNotFound(message)
            if len(request.path) + len(host or b"") <= _MAX_FOUND_SIZE:
                if len(self._found) >= _MAX_FOUND:
                    self._found.clear()
                self._found[asked] = route
        return route

    def _upstream(self, route: RouteEntry) -> UpstreamClient:
        upstream = self._upstreams.get(route.upstream_id or "")
        if upstream is None:
            message = "the route has no upstream"
            raise NoHealthyNode(message)
        return upstream

    # --- what plugins ask

    def metadata(self, name: str) -> Struct:
        """The plugin's metadata, or its defaults."""
        return self._metadata.get(name) or self.registry.default_metadata(name)

    def public_api(self, method: str, uri: str) -> Handler | None:
        """The handler that an enabled plugin offers under that method and URI."""
        api = self._apis.get(uri)
        return api.handler if api is not None and method in api.methods else None

    # --- what changes

    def put_route(self, route_id: str, route: Route) -> None:
        """Add or replace a route. Raises InvalidResource if a plugin does not take its config."""
        self._found.clear()
        if route.status == 0:
            self._router.remove(route_id)
            return
        plugins = [
            self.registry.build(name, config, self) for name, config in (route.plugins or {}).items()
        ]
        plugins.sort(key=lambda plugin: -plugin.priority)
        own = route.upstream
        self._router.put(
            RouteEntry(
                route_id,
                route.uri_list,
                route.host_list,
                frozenset(route.methods),
                route.priority,
                tuple(p for p in plugins if type(p).access is not Plugin.access),
                None if own is None else UpstreamClient(own, self.pools, self.terms),
                route.upstream_id,
                route.timeout,
            )
        )

    def expose(self, uris: Sequence[str]) -> None:
        """Make the public APIs at these URIs reachable without a route, and no others."""
        for uri in self._exposed:
            self.remove_route(_EXPOSED + uri)
        self._exposed = tuple(uris)
        for uri in uris:
            plugin = PublicApiPlugin(PublicApiPlugin.Config(), self)
            self._found.clear()
            self._router.put(
                RouteEntry(_EXPOSED + uri, (uri,), (), frozenset({"POST"}), 0, (plugin,), None, None, None)
            )

    def remove_route(self, route_id: str) -> None:
        """Forget a route."""
        self._found.clear()
        self._router.remove(route_id)

    def put_upstream(self, upstream_id: str, upstream: Upstream) -> None:
        """Add or replace an upstream. Requests on their way to it are not disturbed."""
        self._upstreams[upstream_id] = UpstreamClient(upstream, self.pools, self.terms)

    def remove_upstream(self, upstream_id: str) -> None:
        """Forget an upstream."""
        self._upstreams.pop(upstream_id, None)

    def put_metadata(self, name: str, metadata: Struct) -> None:
        """Set a plugin's metadata."""
        self._metadata[name] = metadata

    def remove_metadata(self, name: str) -> None:
        """Go back to the plugin's defaults."""
        self._metadata.pop(name, None)


def _host_name(raw: bytes) -> str:
    """The host of a Host header: in lower case, without the port and the root's dot."""
    host = raw.decode("latin-1").lower()
    if not host.endswith("]") and ":" in host:
        host = host.rpartition(":")[0]
    return host.removesuffix(".")
