"""The plugins that are there, and the ones that are switched on."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from batchway.config.resources import decode
from batchway.errors import InvalidResource
from batchway.plugins.base import Gateway, Plugin, PublicApi
from batchway.plugins.batch_requests import BatchRequests
from batchway.plugins.public_api import PublicApiPlugin

PLUGINS: dict[str, type[Plugin]] = {plugin.name: plugin for plugin in (BatchRequests, PublicApiPlugin)}


class Registry:
    """The enabled plugins with their `plugin_attr`. Never changed once built."""

    def __init__(
        self, enabled: Sequence[str] | None = None, attributes: Mapping[str, Any] | None = None
    ) -> None:
        """`enabled` None: all there are. Raises InvalidResource for wrong attributes."""
        names = PLUGINS if enabled is None else [name for name in enabled if name in PLUGINS]
        self.plugins = {name: PLUGINS[name] for name in names}
        attributes = attributes or {}
        self._attributes = {
            name: decode(
                attributes.get(name) or {}, plugin.Attributes, f"plugin_attr.{name}", show_values=False
            )
            for name, plugin in self.plugins.items()
        }

    def check_plugin(self, name: str, config: object) -> Struct:
        """The plugin's config. Raises InvalidResource naming the plugin and the property."""
        if isinstance(config, dict) and "_meta" in config:
            message = f'plugin "{name}": property "_meta" is not supported by batchway'
            raise InvalidResource(message)
        return decode(config, self._find(name).Config, f"config of plugin {name}", show_values=False)

    def check_metadata(self, name: str, document: object) -> Struct:
        """The plugin's metadata. Raises InvalidResource naming the plugin and the property."""
        return decode(document, self._find(name).Metadata, "configuration")

    def _find(self, name: str) -> type[Plugin]:
        plugin = self.plugins.get(name)
        if plugin is None:
            why = (
                "is not enabled: see `plugins` in the config file"
                if name in PLUGINS
                else ("is not supported by batchway")
            )
            message = f"unknown plugin [{name}]: it {why}"
            raise InvalidResource(message)
        return plugin

    def build(self, name: str, config: object, gateway: Gateway) -> Plugin:
        """A plugin for one route. Raises InvalidResource."""
        return self._find(name)(self.check_plugin(name, config), gateway)

    def public_apis(self, gateway: Gateway) -> list[PublicApi]:
        """All endpoints that enabled plugins offer."""
        return [
            api
            for name, plugin in self.plugins.items()
            for api in plugin.public_apis(gateway, self._attributes[name])
        ]

    def api_uris(self) -> list[str]:
        """Where the batch endpoint is, if its plugin is enabled."""
        attributes: Any = self._attributes.get(BatchRequests.name)
        return [] if attributes is None else [attributes.uri]

    def default_metadata(self, name: str) -> Struct:
        """What holds where no `plugin_metadata` is stored."""
        return msgspec.convert({}, self.plugins[name].Metadata)
