"""The control API: what this worker serves, for people and programs on this machine.

Source: apisix/control/v1.lua (3.x), for paths, statuses and shapes. Whoever reaches it may read it, so no
secret is shown; it listens on the loopback address unless told otherwise.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from ipaddress import ip_address
from typing import Protocol

import msgspec
import structlog

from batchway.admin import plugins, schemas
from batchway.admin.kinds import KINDS, Document, Place
from batchway.errors import BatchwayError, InternalError
from batchway.model import REASONS, Response, error_response, json_response
from batchway.plugins import Registry
from batchway.plugins.variables import host_name
from batchway.server import control_shown
from batchway.server.control_page import page
from batchway.store.base import Entry
from batchway.upstream import UpstreamHealth, is_address
from batchway.wire import Receive, Scope, Send, follow_lifespan, send_response

log = structlog.get_logger(__name__)

_KINDS = ("routes", "services", "upstreams")
_PLURALS = {name.removesuffix("s"): name for name in _KINDS}
_AT_ONCE = 50
"""So many resources are shown before requests get a turn."""


class Gateway(Protocol):
    """What is told of it."""

    @property
    def registry(self) -> Registry:
        """The plugins, as they are now."""

    def health(self) -> Iterable[UpstreamHealth]:
        """Of every upstream that has checks, whatever resource it stands in."""


class _Refused(Exception):
    """The request gets this answer."""

    def __init__(self, status: int, message: str, allowed: str = "") -> None:
        self.response = json_response(status, {"error_msg": message})
        if allowed:
            self.response.headers.append((b"Allow", allowed.encode()))


async def _no_reload() -> None:
    """There is nothing to read again."""


class ControlApp:
    """`/v1/...`. `reload` is to read the configuration again, as SIGHUP does: raises BatchwayError."""

    def __init__(self, gateway: Gateway, entries: Callable[[], Collection[Entry]]) -> None:
        """`entries` are the stored resources that the gateway serves."""
        self.reload: Callable[[], Awaitable[None]] = _no_reload
        self._gateway = gateway
        self._entries = entries
        self._schema: tuple[Registry, bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's lifespan."""
        match scope["type"]:
            case "http":
                await send_response(await self._respond(scope), send)
            case "lifespan":
                await follow_lifespan(receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1000})

    async def _respond(self, scope: Scope) -> Response:
        try:
            _check_asker(scope)
            return await self._answer(scope)
        except _Refused as refused:
            return refused.response
        except Exception:
            log.exception("control request failed", path=scope["path"])
            return error_response(InternalError())

    async def _answer(self, scope: Scope) -> Response:
        match scope["path"].strip("/").split("/"):
            case ["v1", "gc"]:
                _check_method(scope, "POST")
                gc.collect()
                return Response(200, REASONS[200], [], b"")
            case ["v1", "plugins", "reload"]:
                _check_method(scope, "PUT")
                return await self._reload()
            case ["v1", *path]:
                return await self._tell(path, scope)
        raise _Refused(404, "404 Not Found")

    async def _tell(self, path: list[str], scope: Scope) -> Response:
        """What only reads."""
        match path:
            case ["schema"]:
                _check_method(scope, "GET")
                return _json(await self._schemas())
            case ["healthcheck", *rest]:
                _check_method(scope, "GET")
                return self._tell_health(rest, scope)
            case [kind] if kind in _KINDS:
                _check_method(scope, "GET")
                return await self._tell_all(kind)
            case [kind, id_] if kind in _PLURALS:
                _check_method(scope, "GET")
                return self._tell_one(kind, id_)
            case ["plugin_metadatas"]:
                _check_method(scope, "GET")
                return json_response(200, list(self._metadata().values()))
            case ["plugin_metadata", name]:
                _check_method(scope, "GET")
                return self._tell_metadata(name)
        raise _Refused(404, "404 Not Found")

    # --- how upstreams are

    def _tell_health(self, rest: list[str], scope: Scope) -> Response:
        match rest:
            case []:
                found = list(self._gateway.health())
                return (
                    page(found) if _is_for_people(scope) else json_response(200, list(map(_health, found)))
                )
            case [kind, *_] if kind not in _KINDS:
                raise _Refused(400, f"invalid src type {kind}")
            case [kind]:
                raise _Refused(404, f"missing src id for src type {kind}")
            case [kind, id_]:
                one = self._health_of(kind, id_)
                return page([one]) if _is_for_people(scope) else json_response(200, _health(one))
        raise _Refused(404, "404 Not Found")

    def _health_of(self, kind: str, id_: str) -> UpstreamHealth:
        for found in self._gateway.health():
            if (found.kind, found.id) == (kind, id_):
                return found
        if self._find(kind, id_) is None:
            raise _Refused(404, f"{kind}[{id_}] not found")
        raise _Refused(404, f"no checker for {kind}[{id_}]")

    # --- what is served

    def _of(self, kind: str) -> list[tuple[Place, Entry]]:
        """The resources of a kind, oldest first."""
        collection = Place(KINDS[kind])
        found = [entry for entry in self._entries() if collection.has(entry.key)]
        found.sort(key=lambda entry: entry.create_revision)
        return [(Place(KINDS[kind], entry.key.rpartition("/")[2]), entry) for entry in found]

    def _find(self, kind: str, id_: str) -> tuple[Place, Entry] | None:
        place = Place(KINDS[kind], id_)
        key = place.collection + id_  # not `place.key`: it may be no id at all
        return next(((place, entry) for entry in self._entries() if entry.key == key), None)

    async def _tell_all(self, kind: str) -> Response:
        shown = [document async for document in self._shown(kind)]
        return _json(b"[" + b",".join(shown) + b"]")

    async def _shown(self, kind: str) -> AsyncIterator[bytes]:
        """The resources as JSON; all else that the loop has to do gets its turn among them."""
        for count, (place, entry) in enumerate(self._of(kind), 1):
            if not count % _AT_ONCE:
                await asyncio.sleep(0)
            yield msgspec.json.encode(self._show(place, entry))

    def _show(self, place: Place, entry: Entry) -> Document:
        return control_shown.resource(entry, place, self._gateway.registry.plugins)

    def _tell_one(self, kind: str, id_: str) -> Response:
        found = self._find(_PLURALS[kind], id_)
        if found is None:
            raise _Refused(404, f"{kind}[{id_}] not found")
        return json_response(200, self._show(*found))

    def _metadata(self) -> dict[str, Document]:
        """By the name of the plugin; those of plugins that are off are of no use."""
        there = self._gateway.registry.plugins
        named = [(place.id or "", entry) for place, entry in self._of("plugin_metadata")]
        return {name: control_shown.metadata(entry, name) for name, entry in named if name in there}

    def _tell_metadata(self, name: str) -> Response:
        found = self._metadata().get(name)
        if found is None:
            raise _Refused(404, f"plugin metadata[{name}] not found")
        return json_response(200, found)

    async def _schemas(self) -> bytes:
        """All schemas as JSON: made in a thread, since that takes a while, and once for these plugins."""
        registry = self._gateway.registry
        if self._schema is None or self._schema[0] is not registry:
            self._schema = registry, await asyncio.to_thread(_schemas, registry)
        return self._schema[1]

    # --- what does something

    async def _reload(self) -> Response:
        try:
            await self.reload()
        except BatchwayError as error:  # it names files: nothing for an answer
            log.error("configuration not reloaded", error=error.message)
            message = "the configuration cannot be used: the log says why"
            raise _Refused(503, message) from None
        return Response(200, REASONS[200], [(b"Content-Type", b"text/plain; charset=utf-8")], b"done")


def _schemas(registry: Registry) -> bytes:
    main = {kind.singular.replace(" ", "_"): schemas.kind_schema(kind.name) for kind in KINDS.values()}
    found = plugins.all_plugins(registry.plugins)
    return msgspec.json.encode({"main": main, "plugins": found, "stream_plugins": {}})


# --- who asks, and how


def _check_asker(scope: Scope) -> None:
    """Raises _Refused for what a page from elsewhere has a browser on this machine send.

    It needs no key, so nothing else would keep a page from it: one whose name leads to the loopback
    address could read all, and any could have something done.
    """
    headers = dict(scope["headers"])
    if scope["method"] != "GET" and b"origin" in headers:
        raise _Refused(403, "refused: a page in a browser has sent this")
    server = scope.get("server")
    host = host_name(headers.get(b"host", b"")).strip("[]")
    if server and _is_loopback(server[0]) and host != "localhost" and not is_address(host):
        raise _Refused(403, "refused: expected an address or localhost in Host")


def _is_loopback(host: str) -> bool:
    return is_address(host) and ip_address(host).is_loopback


def _check_method(scope: Scope, allowed: str) -> None:
    if scope["method"] != allowed:
        raise _Refused(405, f"method not allowed, expected {allowed}", allowed)


def _is_for_people(scope: Scope) -> bool:
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def _health(found: UpstreamHealth) -> Document:
    return {"name": f"/apisix/{found.kind}/{found.id}", "type": found.type, "nodes": found.nodes}


def _json(body: bytes) -> Response:
    return Response(200, REASONS[200], [(b"Content-Type", b"application/json")], body)
