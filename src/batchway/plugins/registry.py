"""The plugins that are there, and the ones that are switched on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from batchway.config.resources import decode
from batchway.errors import InvalidResource
from batchway.plugins.base import Gateway, Plugin, PublicApi
from batchway.plugins.basic_auth import BasicAuth
from batchway.plugins.batch_requests import BatchRequests
from batchway.plugins.consumer_restriction import ConsumerRestriction
from batchway.plugins.cors import Cors
from batchway.plugins.fault_injection import FaultInjection
from batchway.plugins.hmac_auth import HmacAuth
from batchway.plugins.ip_restriction import IpRestriction
from batchway.plugins.jwt_auth import JwtAuth
from batchway.plugins.key_auth import KeyAuth
from batchway.plugins.limit_count import LimitCount
from batchway.plugins.meta import NO_META, Conditional, Meta
from batchway.plugins.mocking import Mocking
from batchway.plugins.multi_auth import MultiAuth
from batchway.plugins.prometheus import Prometheus
from batchway.plugins.proxy_rewrite import ProxyRewrite
from batchway.plugins.public_api import PublicApiPlugin
from batchway.plugins.real_ip import RealIp
from batchway.plugins.redirect import Redirect
from batchway.plugins.request_id import RequestId
from batchway.plugins.response_rewrite import ResponseRewrite

ENTRY_POINTS = "batchway.plugins"
"""Where packages of third parties name their plugins."""

PLUGINS: dict[str, type[Plugin]] = {
    plugin.name: plugin
    for plugin in (
        BatchRequests,
        KeyAuth,
        MultiAuth,
        JwtAuth,
        HmacAuth,
        BasicAuth,
        ResponseRewrite,
        RealIp,
        ProxyRewrite,
        Cors,
        RequestId,
        Redirect,
        Mocking,
        IpRestriction,
        FaultInjection,
        ConsumerRestriction,
        LimitCount,
        Prometheus,
        PublicApiPlugin,
    )
}
"""batchway's own."""

log = structlog.get_logger(__name__)


def all_plugins() -> dict[str, type[Plugin]]:
    """batchway's own plugins and those of installed packages, which never replace one of ours."""
    return {**_installed(), **PLUGINS}


@cache
def _installed() -> dict[str, type[Plugin]]:
    found: dict[str, type[Plugin]] = {}
    for entry_point in entry_points(group=ENTRY_POINTS):
        plugin = _load(entry_point)
        if plugin is None:
            continue
        if plugin.name in PLUGINS or found.setdefault(plugin.name, plugin) is not plugin:
            log.warning("plugin not used: its name is taken", plugin=plugin.name, where=entry_point.value)
    return found


def _load(entry_point: EntryPoint) -> type[Plugin] | None:
    """The plugin, or None if it cannot be used: that must not keep the others from working."""
    try:
        plugin = entry_point.load()
    except Exception as error:  # noqa: BLE001 - it is a stranger's code
        log.error("plugin not loaded", where=entry_point.value, error=repr(error))
        return None
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)) or not _is_complete(plugin):
        log.error("no subclass of Plugin with name and priority", where=entry_point.value)
        return None
    return plugin


def _is_complete(plugin: type[Plugin]) -> bool:
    return isinstance(getattr(plugin, "name", None), str) and isinstance(
        getattr(plugin, "priority", None), int
    )


class _Nothing(Struct):
    """The config of a plugin that is switched off, where it says nothing that could be used."""


class Registry:
    """The enabled plugins with their `plugin_attr`. Never changed once built."""

    def __init__(
        self, enabled: Sequence[str] | None = None, attributes: Mapping[str, Any] | None = None
    ) -> None:
        """`enabled` None: all there are. Raises InvalidResource for wrong attributes."""
        known = all_plugins()
        names = known if enabled is None else [name for name in enabled if name in known]
        self.plugins = {name: known[name] for name in names}
        self._known = frozenset(known)
        attributes = attributes or {}
        self._attributes = {
            name: decode(
                attributes.get(name) or {}, plugin.Attributes, f"plugin_attr.{name}", show_values=False
            )
            for name, plugin in self.plugins.items()
        }

    def check_plugin(self, name: str, config: object, *, consumer: bool = False) -> Struct:
        """The plugin's config; with `consumer`, what a consumer holds of it.

        Raises InvalidResource naming the plugin and the property.
        """
        return self._decode(name, config, consumer=consumer)[0]

    def _decode(self, name: str, config: object, *, consumer: bool = False) -> tuple[Struct, Meta]:
        plugin, meta = self._find(name), NO_META
        if isinstance(config, dict) and "_meta" in config:
            meta = decode(config["_meta"], Meta, f'config of plugin {name}, "_meta"')
            config = {key: value for key, value in config.items() if key != "_meta"}
        _refuse_references(name, config)
        kind = plugin.Config
        if consumer and plugin.ConsumerConfig is not None:
            kind = plugin.ConsumerConfig
        try:
            decoded = decode(config, kind, f"config of plugin {name}", show_values=False)
            if kind is plugin.Config:
                plugin.check(decoded, self)
        except InvalidResource:
            if consumer or not meta.disable:
                raise
            return _Nothing(), meta  # as in APISIX: what is switched off need not be whole
        return decoded, meta

    def check_metadata(self, name: str, document: object) -> Struct:
        """The plugin's metadata. Raises InvalidResource naming the plugin and the property."""
        return decode(document, self._find(name).Metadata, "configuration")

    def _find(self, name: str) -> type[Plugin]:
        plugin = self.plugins.get(name)
        if plugin is None:
            why = (
                "is not enabled: see `plugins` in the config file"
                if name in self._known
                else ("is not supported by batchway")
            )
            message = f"unknown plugin [{name}]: it {why}"
            raise InvalidResource(message)
        return plugin

    def build(self, name: str, config: object, gateway: Gateway, owner: str = "") -> Plugin | None:
        """A plugin for what `owner` names; None if its `_meta` switches it off. Raises InvalidResource."""
        decoded, meta = self._decode(name, config)
        if meta.disable:
            return None
        plugin = self._find(name)(decoded, gateway, owner)
        return plugin if meta == NO_META else Conditional(plugin, meta)

    def build_all(
        self, configs: Mapping[str, object] | None, gateway: Gateway, owner: str
    ) -> dict[str, Plugin | None]:
        """The plugins of one resource by name, all of them or none. Raises InvalidResource."""
        built: dict[str, Plugin | None] = {}
        try:
            for name, config in (configs or {}).items():
                built[name] = self.build(name, config, gateway, owner)
        except BaseException:
            close_all(built)
            raise
        return built

    def public_apis(self, gateway: Gateway) -> list[PublicApi]:
        """All endpoints that enabled plugins offer."""
        return [
            api
            for name, plugin in self.plugins.items()
            for api in plugin.public_apis(gateway, self._attributes[name])
        ]

    def attributes(self, name: str) -> Struct:
        """The `plugin_attr` of an enabled plugin, or its defaults."""
        return self._attributes[name]

    def auth_plugins(self) -> Iterator[type[Plugin]]:
        """Those that know consumers."""
        return (plugin for plugin in self.plugins.values() if plugin.is_auth)

    def api_uris(self) -> list[str]:
        """Where the batch endpoint is, if its plugin is enabled."""
        attributes: Any = self._attributes.get(BatchRequests.name)
        return [] if attributes is None else [attributes.uri]

    def default_metadata(self, name: str) -> Struct:
        """What holds where no `plugin_metadata` is stored."""
        return msgspec.convert({}, self.plugins[name].Metadata)


_REFERENCES = ("$secret://", "$env://")
"""APISIX looks up what these name. Taken for the secret itself, they would be one that everybody knows."""


def _refuse_references(name: str, config: object) -> None:
    """Raises InvalidResource if the config refers to a secret that stands elsewhere."""
    values = [config]
    while values:
        match values.pop():
            case dict(inner):
                values += inner.values()
            case list(inner):
                values += inner
            case str(text) if text.lower().startswith(_REFERENCES):
                kind = text.partition("://")[0].lower()
                msg = f"config of plugin {name}: references such as {kind}:// are not supported by batchway"
                raise InvalidResource(msg)


def close_all(plugins: Mapping[str, Plugin | None]) -> None:
    """Close those that are there."""
    for plugin in plugins.values():
        if plugin is not None:
            plugin.close()
