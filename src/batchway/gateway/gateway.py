"""The gateway: from a request to its route, through the plugins that hold for it, on to the upstream.

It knows nothing of batches. An item and a request from the wire take this way alike.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from msgspec import Struct

from batchway.config.resources import Timeout, Upstream
from batchway.errors import BatchwayError, InternalError, MethodRefused, NoHealthyNode, RouteNotFound
from batchway.gateway.catalog import Catalog, Entry, Ready
from batchway.gateway.fetch import fetch
from batchway.gateway.forward import Forwarding
from batchway.gateway.observe import Observer, observed
from batchway.gateway.paths import PathRules
from batchway.gateway.pipeline import NO_PLUGINS, Pipeline, ask, filtered
from batchway.gateway.router import Candidate, RouterKind
from batchway.model import BatchReport, ClientGone, Request, Response, error_response
from batchway.plugins import Consumer, Context, Counters, Credential, Handler, Plugin, PublicApi, Registry
from batchway.plugins.counters import LocalCounters
from batchway.plugins.public_api import PublicApiPlugin
from batchway.plugins.variables import host_name
from batchway.upstream import Pools, Terms, UpstreamClient, UpstreamHealth

log = structlog.get_logger(__name__)

_MAX_FOUND = 8192
_MAX_FOUND_SIZE = 256
_CUT_OFF = 499
"""nginx's number for a client that has left; also for an item that was late for its batch."""
_NEVER_SENT_ON = frozenset({"CONNECT", "TRACE"})

_Asked = tuple[bytes | None, str, str]
"""Host, path and method as they came: what a route is found by, but for its conditions."""


class _Found(Struct, frozen=True, gc=True, eq=False):
    path: str
    candidates: tuple[Candidate[Entry], ...]


class _Direct(Struct, frozen=True, gc=True, eq=False):
    """The way of a request that no plugin and no condition has a say in."""

    client: UpstreamClient
    timeout: Timeout | None


class Gateway:
    """Everything that is configured as it stands, and the way of a request through it.

    `catalog` is changed only between two requests, by whoever applies the store's events.
    """

    def __init__(
        self,
        registry: Registry,
        pools: Pools,
        terms: Terms,
        forwarding: Forwarding,
        *,
        counters: Counters | None = None,
        router: RouterKind = "radixtree_host_uri",
        paths: PathRules | None = None,
    ) -> None:
        self.pools = pools
        self.counters: Counters = counters or LocalCounters()
        self.observers: tuple[Observer, ...] = ()
        """Take note of every request. Whoever sets this calls `changed`."""
        self._metadata: dict[str, Struct] = {}
        self._found: dict[_Asked, _Found] = {}
        self._direct: dict[_Asked, _Direct] = {}
        self.catalog = Catalog(self, registry, self._new_client, self.changed)
        self.use(registry, forwarding, terms, router=router, paths=paths)

    def use(
        self,
        registry: Registry,
        forwarding: Forwarding,
        terms: Terms,
        *,
        router: RouterKind = "radixtree_host_uri",
        paths: PathRules | None = None,
    ) -> None:
        """Work with these plugins and rules from the next request on.

        Resources that are there stay as they are until they are put again.
        """
        self.paths = paths or PathRules()
        self.catalog.use_router(router)
        self.registry = self.catalog.registry = registry
        self.terms = terms
        self.forwarding = forwarding
        self._of_batches = [
            plugin.batch_over
            for plugin in registry.plugins.values()
            if plugin.batch_over.__func__ is not Plugin.batch_over.__func__  # type: ignore[attr-defined]
        ]
        self._apis: dict[str, PublicApi] = {api.uri: api for api in registry.public_apis(self)}
        self.changed()

    def _new_client(self, upstream: Upstream, previous: UpstreamClient | None) -> UpstreamClient:
        return UpstreamClient(upstream, self.pools, self.terms, previous=previous)

    def changed(self) -> None:
        """Forget which way requests took: something that decides on it has changed."""
        self._found.clear()
        self._direct.clear()

    # --- the way of a request

    async def handle(self, request: Request) -> Response:
        """The answer to `request`, be it an error. Raises only what is a fault of ours.

        A plugin's is logged, and answered with 500.
        """
        direct = self._direct.get((request.headers.get(b"host"), request.path, request.method))
        if direct is None:
            return await self._handle(request)
        try:
            return await direct.client.send(request, self.forwarding.block(request), direct.timeout)
        except BatchwayError as error:
            return error_response(error)

    async def _handle(self, request: Request) -> Response:
        context = Context(request, request.path)
        try:
            return await self._handle_noted(context)
        except (asyncio.CancelledError, ClientGone):
            context.status = _CUT_OFF
            self._over(context)
            raise

    async def _handle_noted(self, context: Context) -> Response:
        rules = self.catalog.rules
        try:
            response = await self._answer(context)
        except BatchwayError as error:
            response = error_response(error)
        except ClientGone:
            raise
        except Exception:
            log.exception("request failed", path=context.path, route=context.route.id)
            response = error_response(InternalError())
        pipeline: Pipeline = context.pipeline or NO_PLUGINS
        response = await filtered((*rules.filters, *pipeline.filters), context, response)
        if self.observers or rules.log or pipeline.log:
            return observed(response, context, self._over)
        return response

    def _over(self, context: Context) -> None:
        pipeline: Pipeline = context.pipeline or NO_PLUGINS
        plugins = (*self.catalog.rules.log, *pipeline.log)
        for note in (*(plugin.log for plugin in plugins), *self.observers):
            try:
                note(context)
            except Exception:  # the answer is there, and the others want to take note of it too
                log.exception("request not noted", path=context.path, route=context.route.id)

    async def _answer(self, context: Context) -> Response:
        """Raises BatchwayError."""
        request = context.original
        if request.method in _NEVER_SENT_ON:
            message = f"method {request.method} is not allowed"
            raise MethodRefused(message)
        candidate = self._match(context)
        if candidate is None:
            response = await self._through_rules(context)
            if response is not None:
                return response
            message = "404 Route Not Found"
            raise RouteNotFound(message)
        context.params, context.matched_uri = candidate.params, candidate.uri
        ready = self.catalog.ready(candidate.route)
        context.route = ready.matched
        response = await self._through_rules(context)
        if response is None:
            response = await self._through_plugins(context, candidate.route, ready)
        return response or await self._send(context, ready)

    async def _through_rules(self, context: Context) -> Response | None:
        rules = self.catalog.rules
        context.counted = rules.counting
        response = await ask(rules.rewrite, "rewrite", context)
        return response or await ask(rules.access, "access", context)

    async def _through_plugins(self, context: Context, entry: Entry, ready: Ready) -> Response | None:
        """The answer of a plugin of the route, or of the consumer that it turns out to be."""
        context.pipeline = pipeline = ready.pipeline
        response = await ask(pipeline.rewrite, "rewrite", context)
        if response is None and context.consumer is not None:
            merged = self.catalog.for_consumer(entry, context.consumer.username)
            if merged is not None:
                context.pipeline = pipeline = merged.pipeline
                response = await ask(merged.rewrite, "rewrite", context)
        if response is not None:
            return response
        access = pipeline.admitting(context) if pipeline.calls else pipeline.access
        return await ask(access, "access", context)

    async def _send(self, context: Context, ready: Ready) -> Response:
        client = ready.client
        if client is None:
            message = "the route has no upstream"
            raise NoHealthyNode(message)
        request = context.request
        lookup = context.var if client.needs_lookup else None
        block = self.forwarding.block(request)
        began = time.perf_counter()
        context.upstream = client.upstream
        try:
            response = await client.send(request, block, ready.timeout, lookup)
            context.upstream_status = response.status
        finally:
            context.upstream_s = time.perf_counter() - began
        return response

    # --- to the route

    def _match(self, context: Context) -> Candidate[Entry] | None:
        """The route that the request takes; the way to it is remembered until something changes."""
        request = context.original
        asked = (request.headers.get(b"host"), request.path, request.method)
        found = self._found.get(asked) or self._find(asked)
        context.path = found.path
        for candidate in found.candidates:
            holds = candidate.route.conditions
            if holds is None or holds(context.var):
                return candidate
        return None

    def _find(self, asked: _Asked) -> _Found:
        host, path, method = asked
        name = "" if host is None else host_name(host)
        matched = self.paths.matched(path)
        found = _Found(self.paths.uri(path), self.catalog.candidates(name, matched, method))
        if found.candidates and len(path) + len(host or b"") <= _MAX_FOUND_SIZE:
            if len(self._found) >= _MAX_FOUND:
                self.changed()
            self._found[asked] = found
            self._remember_direct(asked, found)
        return found

    def _remember_direct(self, asked: _Asked, found: _Found) -> None:
        """Remember the whole way, if there is nothing on it to decide or to do."""
        route = found.candidates[0].route
        rules = self.catalog.rules
        if route.conditions is not None or rules.plugins or self.observers or asked[2] in _NEVER_SENT_ON:
            return
        ready = self.catalog.ready(route)
        if ready.client is not None and not ready.pipeline.plugins and not ready.client.needs_lookup:
            self._direct[asked] = _Direct(ready.client, ready.timeout)

    # --- what plugins ask

    def metadata(self, name: str) -> Struct:
        """The plugin's metadata, or its defaults."""
        return self._metadata.get(name) or self.registry.default_metadata(name)

    def attributes(self, name: str) -> Any:
        """The plugin's `plugin_attr`, or its defaults."""
        return self.registry.attributes(name)

    def public_api(self, method: str, uri: str) -> Handler | None:
        """The handler that an enabled plugin offers under that method and URI."""
        api = self._apis.get(uri)
        return api.handler if api is not None and method in api.methods else None

    def credential(self, name: str, identity: str) -> Credential | None:
        """The credential of the auth plugin `name` that is found by `identity`."""
        return self.catalog.consumers.find(name, identity)

    def credentials(self, name: str) -> list[Credential]:
        """All credentials of that auth plugin."""
        return self.catalog.consumers.all(name)

    def consumer(self, username: str) -> Consumer | None:
        """The consumer of that name."""
        return self.catalog.consumers.get(username)

    def names(self, kind: str) -> set[str]:
        """By what the resources of a kind go: their ids, and the names that some have."""
        return self.catalog.names(kind)

    def health(self) -> list[UpstreamHealth]:
        """Of every upstream that has checks, whatever resource it stands in."""
        clients = self.catalog.clients()
        return [found for kind, id_, client in clients if (found := client.health(kind, id_)) is not None]

    def build(self, name: str, config: object, owner: str) -> Plugin | None:
        """A plugin for one that is made of others; None if its `_meta` disables it."""
        return self.registry.build(name, config, self, owner)

    async def fetch(self, url: str) -> bytes:
        """A small document from elsewhere. Raises UpstreamError."""
        return await fetch(url, self.pools, self.terms)

    @property
    def note_batch(self) -> Callable[[BatchReport], None] | None:
        """What takes note of batches; None if nothing does."""
        return self._note_batch if self._of_batches else None

    @property
    def is_observed(self) -> bool:
        """Whether something takes note of every request, and of the calls that it carries."""
        return bool(self.observers)

    def _note_batch(self, report: BatchReport) -> None:
        for note in self._of_batches:
            note(report)

    # --- what changes

    def expose(self, uris: Sequence[str]) -> None:
        """Make the public APIs at these URIs reachable without a route, and no others."""
        self.catalog.expose(uris, lambda: PublicApiPlugin(PublicApiPlugin.Config(), self))

    def put_metadata(self, name: str, metadata: Struct) -> None:
        """Set a plugin's metadata."""
        self._metadata[name] = metadata

    def remove_metadata(self, name: str) -> None:
        """Go back to the plugin's defaults."""
        self._metadata.pop(name, None)

    def close(self) -> None:
        """Free what the plugins and upstreams hold."""
        self.catalog.close()
