"""Everything that is configured, made ready: plugins built, upstreams at hand, credentials indexed.

Changed only between two requests. What follows from several resources together (which plugins hold for
a route, and for one of its consumers) is worked out when it is first asked for, and forgotten when one
of them changes.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from batchway.config import resources
from batchway.config.expression import Expression
from batchway.config.resources import Plugins, Route, Service, Timeout, Upstream
from batchway.errors import InvalidResource, PluginsMissing, RouteNotFound
from batchway.gateway.conditions import conditions
from batchway.gateway.consumers import Consumers
from batchway.gateway.pipeline import NO_PLUGINS, Built, Pipeline
from batchway.gateway.router import Candidate, Router, RouterKind
from batchway.plugins import Gateway, Matched, Plugin, Registry
from batchway.plugins.registry import close_all
from batchway.upstream import UpstreamClient

_EXPOSED = "expose:"  # no id of a stored route has a colon
NewClient = Callable[[Upstream, UpstreamClient | None], UpstreamClient]
"""Makes the client of an upstream; the second is the one it replaces, whose knowledge of nodes it keeps."""


class Entry(Struct, frozen=True, gc=True, eq=False):
    """A route as the router knows it, with what stands in it alone."""

    id: str
    uri_list: tuple[str, ...]
    host_list: tuple[str, ...]
    methods: frozenset[str]
    priority: int
    conditions: Expression | None
    plugins: Built
    client: UpstreamClient | None = None
    """Of the upstream that stands in the route itself."""
    upstream_id: str | None = None
    service_id: str | None = None
    plugin_config_id: str | None = None
    timeout: Timeout | None = None
    name: str | None = None


class Ready(Struct, frozen=True, gc=True, eq=False):
    """A route with what it names by id."""

    matched: Matched
    pipeline: Pipeline
    client: UpstreamClient | None
    """None if there is no upstream: a plugin may answer."""
    timeout: Timeout | None


class ForConsumer(Struct, frozen=True, gc=True, eq=False):
    """The plugins of a route for one consumer, and those whose `rewrite` the route alone did not run."""

    pipeline: Pipeline
    rewrite: tuple[Plugin, ...]


class _Service(Struct, frozen=True, gc=True, eq=False):
    document: Service
    plugins: Built
    client: UpstreamClient | None


class Catalog:
    """Resources by kind and id. `gateway` is what their plugins work in."""

    def __init__(
        self,
        gateway: Gateway,
        registry: Registry,
        new_client: NewClient,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called after each change that a request's way may depend on."""
        self.registry = registry
        self._changed = changed
        self.consumers = Consumers()
        self.rules = NO_PLUGINS
        """The plugins of all global rules."""
        self._gateway = gateway
        self._new_client = new_client
        self._kind: RouterKind = "radixtree_host_uri"
        self._router: Router[Entry] = Router(self._kind)
        self._entries: dict[str, Entry] = {}
        self._routes: dict[str, Route] = {}
        self._services: dict[str, _Service] = {}
        self._upstreams: dict[str, UpstreamClient] = {}
        self._plugin_sets: dict[tuple[str, str], Built] = {}
        self._exposed: tuple[str, ...] = ()
        self._ready: dict[str, Ready] = {}
        self._for_consumer: dict[str, dict[str, ForConsumer]] = {}

    # --- what requests ask

    def candidates(self, host: str, path: str, method: str) -> tuple[Candidate[Entry], ...]:
        """The routes that a request may take, the best first."""
        return self._router.candidates(host, path, method)

    def ready(self, entry: Entry) -> Ready:
        """The route with what it names. Raises RouteNotFound or PluginsMissing where that is not there.

        Serving it without would be serving it without its authentication.
        """
        ready = self._ready.get(entry.id)
        if ready is None:
            ready = self._ready[entry.id] = self._make_ready(entry)
        return ready

    def _make_ready(self, entry: Entry) -> Ready:
        service = None
        if entry.service_id is not None:
            service = self._services.get(entry.service_id)
            if service is None:
                message = "404 Route Not Found"
                raise RouteNotFound(message)
        sets: list[Built] = [] if service is None else [service.plugins]
        if entry.plugin_config_id is not None:
            named = self._plugin_sets.get(("plugin_configs", entry.plugin_config_id))
            if named is None:
                raise PluginsMissing
            sets.append(named)
        document = None if service is None else service.document
        return Ready(
            Matched(
                entry.id,
                entry.name,
                entry.service_id,
                None if document is None else document.name,
                entry.host_list,
            ),
            Pipeline.of(*sets, entry.plugins),
            self._client(entry, service),
            entry.timeout,
        )

    def _client(self, entry: Entry, service: _Service | None) -> UpstreamClient | None:
        if entry.client is not None or entry.upstream_id is not None:
            return entry.client or self._upstreams.get(entry.upstream_id or "")
        if service is None:
            return None
        return service.client or self._upstreams.get(service.document.upstream_id or "")

    def for_consumer(self, entry: Entry, username: str) -> ForConsumer | None:
        """The plugins for that consumer's requests on a route; None if they are the route's."""
        known = self._for_consumer.setdefault(entry.id, {})
        found = known.get(username)
        if found is None:
            group_id, own = self.consumers.plugins(username)
            group = None if group_id is None else self._plugin_sets.get(("consumer_groups", group_id))
            if group_id is not None and group is None:
                raise PluginsMissing
            if not own and not group:
                return None
            found = self._merge(self.ready(entry).pipeline, group or {}, own)
            known[username] = found
        return found

    @staticmethod
    def _merge(base: Pipeline, group: Built, own: Built) -> ForConsumer:
        merged = Pipeline.of(base.plugins, group, own)
        known = {id(plugin) for name, plugin in merged.plugins.items() if name not in base.plugins}
        return ForConsumer(merged, tuple(plugin for plugin in merged.rewrite if id(plugin) in known))

    def names(self, kind: str) -> set[str]:
        """By what the `routes`, `services` or `consumers` go: their ids, and the names that some have."""
        match kind:
            case "routes":
                return {name for entry in self._entries.values() for name in (entry.id, entry.name) if name}
            case "services":
                named = ((id_, service.document.name) for id_, service in self._services.items())
                return {name for both in named for name in both if name}
        return self.consumers.names()

    def clients(self) -> Iterable[tuple[str, str, UpstreamClient]]:
        """The upstreams in use, each with the kind and id of the resource that it stands in."""
        for id_, client in self._upstreams.items():
            yield "upstreams", id_, client
        for id_, entry in self._entries.items():
            if entry.client is not None:
                yield "routes", id_, entry.client
        for id_, service in self._services.items():
            if service.client is not None:
                yield "services", id_, service.client

    # --- what changes

    def use_router(self, kind: RouterKind) -> None:
        """Find routes by this kind of router from now on."""
        if kind != self._kind:
            self._kind, self._router = kind, Router(kind)
            for entry in self._entries.values():
                self._router.put(entry)
            self._changed()

    def put_route(self, id_: str, route: Route) -> None:
        """Add or replace a route. Raises InvalidResource if a plugin does not take its config."""
        if route.status == 0:
            self.remove_route(id_)
            return
        plugins = self._build(route.plugins, f"/routes/{id_}")
        try:
            entry = self._make_entry(id_, route, plugins)
        except BaseException:
            close_all(plugins)
            raise
        self._replace(id_, entry)
        self._routes[id_] = route

    def _make_entry(self, id_: str, route: Route, plugins: Built) -> Entry:
        old = self._entries.get(id_)
        return Entry(
            id_,
            route.uri_list,
            self._hosts(route),
            frozenset(route.methods),
            route.priority,
            conditions(route),
            plugins,
            self._make_client(route, None if old is None else old.client),
            route.upstream_id,
            route.service_id,
            route.plugin_config_id,
            route.timeout,
            route.name,
        )

    def _hosts(self, route: Route) -> tuple[str, ...]:
        service = self._services.get(route.service_id or "")
        return route.host_list or (service.document.hosts or () if service is not None else ())

    def _replace(self, id_: str, entry: Entry) -> None:
        old = self._entries.get(id_)
        self._router.put(entry)
        self._entries[id_] = entry
        self._forget_route(id_)
        if old is not None:
            _close(old.plugins, old.client)

    def remove_route(self, id_: str) -> None:
        """Forget a route."""
        self._routes.pop(id_, None)
        old = self._entries.pop(id_, None)
        if old is not None:
            self._router.remove(id_)
            self._forget_route(id_)
            _close(old.plugins, old.client)

    def put_service(self, id_: str, service: Service) -> None:
        """Add or replace a service. Raises like `put_route`."""
        plugins = self._build(service.plugins, f"/services/{id_}")
        old = self._services.get(id_)
        try:
            client = self._make_client(service, None if old is None else old.client)
        except BaseException:
            close_all(plugins)
            raise
        self._services[id_] = _Service(service, plugins, client)
        if old is not None:
            _close(old.plugins, old.client)
        self._follow_hosts(id_, None if old is None else old.document.hosts, service.hosts)
        self._forget()

    def remove_service(self, id_: str) -> None:
        """Forget a service."""
        old = self._services.pop(id_, None)
        if old is not None:
            _close(old.plugins, old.client)
            self._follow_hosts(id_, old.document.hosts, None)
            self._forget()

    def _follow_hosts(self, id_: str, before: Sequence[str] | None, after: Sequence[str] | None) -> None:
        """Put the routes again that have their hosts from this service."""
        if before == after:
            return
        for route_id, route in list(self._routes.items()):
            if route.service_id == id_ and not route.host_list:
                entry = replace(self._entries[route_id], host_list=self._hosts(route))
                self._router.put(entry)
                self._entries[route_id] = entry

    def put_upstream(self, id_: str, upstream: Upstream) -> None:
        """Add or replace an upstream. Requests on their way to it are not disturbed."""
        old = self._upstreams.get(id_)
        self._upstreams[id_] = self._new_client(upstream, old)
        if old is not None:
            old.close()
        self._forget()

    def remove_upstream(self, id_: str) -> None:
        """Forget an upstream."""
        old = self._upstreams.pop(id_, None)
        if old is not None:
            old.close()
        self._forget()

    def put_plugins(self, kind: str, id_: str, configs: Plugins) -> None:
        """Add or replace a plugin config, a consumer group or a global rule. Raises InvalidResource."""
        built = self._build(configs, f"/{kind}/{id_}")
        close_all(self._plugin_sets.get((kind, id_), {}))
        self._plugin_sets[kind, id_] = built
        self._follow_plugins(kind)

    def remove_plugins(self, kind: str, id_: str) -> None:
        """Forget one of them."""
        close_all(self._plugin_sets.pop((kind, id_), {}))
        self._follow_plugins(kind)

    def _follow_plugins(self, kind: str) -> None:
        if kind == "global_rules":
            rules = sorted((id_, built) for (of, id_), built in self._plugin_sets.items() if of == kind)
            self.rules = Pipeline.of(*(built for _, built in rules))
        self._forget()

    def put_consumer(self, consumer: resources.Consumer) -> None:
        """Add or replace a consumer. Raises InvalidResource."""
        auth = {plugin.name for plugin in self.registry.auth_plugins()}
        configs = consumer.plugins or {}
        held = {name: self._hold(name, config) for name, config in configs.items() if name in auth}
        rest = {name: config for name, config in configs.items() if name not in auth}
        built = self._build(rest, f"/consumers/{consumer.username}")
        self.consumers.put(consumer, held, built)
        self._forget()

    def remove_consumer(self, username: str) -> None:
        """Forget a consumer."""
        self.consumers.remove(username)
        self._forget()

    def put_credential(self, username: str, id_: str, credential: resources.Credential) -> None:
        """Add or replace a credential; it is of use once its consumer is there. Raises InvalidResource."""
        configs = credential.plugins or {}
        held = {name: self._hold(name, config) for name, config in configs.items()}
        self.consumers.put_credential(username, id_, held)

    def _hold(self, name: str, config: object) -> tuple[str, Struct]:
        """What a consumer shows to be known by, and all that its config says."""
        decoded = self.registry.check_plugin(name, config, consumer=True)
        field = self.registry.plugins[name].identity
        if not field:
            message = f"plugin {name} knows no consumers: a credential cannot be made of it"
            raise InvalidResource(message)
        return getattr(decoded, field), decoded

    def expose(self, uris: Sequence[str], make: Callable[[], Plugin]) -> None:
        """Make the public APIs at these URIs reachable without a route, and no others."""
        for uri in self._exposed:
            self.remove_route(_EXPOSED + uri)
        self._exposed = tuple(uris)
        for uri in uris:
            built: Built = {"public-api": make()}
            entry = Entry(_EXPOSED + uri, (uri,), (), frozenset({"POST"}), 0, None, built)
            self._replace(entry.id, entry)

    def close(self) -> None:
        """Free what all of it holds."""
        for entry in self._entries.values():
            _close(entry.plugins, entry.client)
        for service in self._services.values():
            _close(service.plugins, service.client)
        for client in self._upstreams.values():
            client.close()
        for built in self._plugin_sets.values():
            close_all(built)
        self.consumers.close()

    def _build(self, configs: Plugins | None, owner: str) -> Built:
        return self.registry.build_all(configs, self._gateway, owner)

    def _make_client(self, named: Route | Service, old: UpstreamClient | None) -> UpstreamClient | None:
        """Of the upstream that stands in it; None if an id names one, which goes before it."""
        if named.upstream is None or named.upstream_id is not None:
            return None
        return self._new_client(named.upstream, old)

    def _forget_route(self, id_: str) -> None:
        self._ready.pop(id_, None)
        self._for_consumer.pop(id_, None)
        self._changed()

    def _forget(self) -> None:
        self._ready.clear()
        self._for_consumer.clear()
        self._changed()


def _close(plugins: Built, client: UpstreamClient | None) -> None:
    close_all(plugins)
    if client is not None:
        client.close()
