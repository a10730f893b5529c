"""What the Admin API tells of plugins. Source: apisix/admin/plugins.lua (3.x)."""

from collections.abc import Mapping
from typing import Any

from batchway.admin import schemas
from batchway.admin.listing import BadArgument
from batchway.errors import BatchwayError
from batchway.plugins import Plugin

Plugins = Mapping[str, type[Plugin]]


class PluginNotFound(BatchwayError):
    """No such plugin is enabled."""

    status = 404
    code = "plugin_not_found"

    def __init__(self, message: str = "plugin not found") -> None:
        super().__init__(message)


class SchemaNotFound(BatchwayError):
    """The plugin has no schema of that type."""

    status = 400
    code = "schema_not_found"

    def __init__(self, message: str = "not found schema") -> None:
        super().__init__(message)


def plugin_names(plugins: Plugins) -> list[str]:
    """The enabled plugins, those that come first in the way of a request first."""
    return sorted(plugins, key=lambda name: (-plugins[name].priority, name))


def plugin_schema(plugins: Plugins, name: str, schema_type: str = "") -> schemas.Schema:
    """A plugin's schema: of what a route says, a `consumer`, or its `metadata`.

    Raises PluginNotFound, SchemaNotFound, BadArgument.
    """
    plugin = plugins.get(name)
    if plugin is None:
        raise PluginNotFound
    if schema_type not in ("", "consumer", "metadata"):
        raise BadArgument('query argument "schema_type" must be consumer or metadata')
    if schema_type == "metadata":
        return schemas.struct_schema(plugin.Metadata)
    struct = plugin.ConsumerConfig if schema_type == "consumer" else plugin.Config
    if struct is None:
        raise SchemaNotFound
    return schemas.plugin_schema(struct)


def all_plugins(plugins: Plugins) -> dict[str, dict[str, Any]]:
    """All that there is to know of all enabled plugins, by name."""
    return {name: _described(plugins[name]) for name in plugin_names(plugins)}


def _described(plugin: type[Plugin]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": plugin.version,
        "priority": plugin.priority,
        "schema": schemas.plugin_schema(plugin.Config),
        "metadata_schema": schemas.struct_schema(plugin.Metadata),
    }
    if plugin.ConsumerConfig is not None:
        found["consumer_schema"] = schemas.plugin_schema(plugin.ConsumerConfig)
    if plugin.is_auth:
        found["type"] = "auth"
    return found
