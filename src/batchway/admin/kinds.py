"""The kinds of resources: a table entry each."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from batchway.admin.access import PluginSchemas
from batchway.config.resources import decode_route, decode_upstream

Document = dict[str, Any]


class Kind(Struct, frozen=True):
    """What sets one kind of resource apart."""

    name: str
    """In the path and in the key: `routes`."""
    singular: str
    """In messages: `route`."""
    check: Callable[[str, Document, PluginSchemas], None]
    """Raises InvalidResource for a document that is none of this kind."""
    defaults: dict[str, object] = {}
    """What a stored document says where the user's is silent."""
    references: dict[str, str] = {}
    """Properties that hold the id of a resource, and its kind."""
    is_plain: bool = False
    """The document holds neither id nor times, and its id is a plugin's name."""


def _check_route(_id: str, document: Document, plugins: PluginSchemas) -> None:
    for name, config in (decode_route(document).plugins or {}).items():
        plugins.check_plugin(name, config)


def _check_upstream(_id: str, document: Document, _plugins: PluginSchemas) -> None:
    decode_upstream(document)


def _check_metadata(name: str, document: Document, plugins: PluginSchemas) -> None:
    plugins.check_metadata(name, document)


_UPSTREAM_DEFAULTS: dict[str, object] = {
    "type": "roundrobin",
    "scheme": "http",
    "pass_host": "pass",
}

KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "routes",
            "route",
            _check_route,
            defaults={"status": 1, "priority": 0, "upstream": _UPSTREAM_DEFAULTS},
            references={"upstream_id": "upstreams"},
        ),
        Kind("upstreams", "upstream", _check_upstream, defaults=_UPSTREAM_DEFAULTS),
        Kind("plugin_metadata", "plugin metadata", _check_metadata, is_plain=True),
    )
}


def with_defaults(document: Document, defaults: dict[str, object]) -> Document:
    """`document` with what it leaves out. Defaults of an inner object apply only where it is there."""
    filled = dict(document)
    for name, default in defaults.items():
        if not isinstance(default, dict):
            filled.setdefault(name, default)
        elif isinstance(inner := filled.get(name), dict):
            filled[name] = with_defaults(inner, default)
    return filled
