"""Resources: JSON documents in, frozen values out. No I/O.

Source: apache/apisix, `apisix/schema_def.lua` (3.x), for names, constraints and defaults.
"""

from typing import TypeVar

from msgspec import Struct

from batchway.config.resources.checks import Active, Checks, Passive
from batchway.config.resources.common import Id, Plugins, Timeout
from batchway.config.resources.consumer import Consumer, ConsumerGroup, Credential, GlobalRule, PluginConfig
from batchway.config.resources.explain import decode
from batchway.config.resources.route import Route, Service
from batchway.config.resources.upstream import KeepalivePool, Node, Tls, Upstream

T = TypeVar("T", bound=Struct)


def decode_resource(document: object, kind: type[T], what: str, *, show_values: bool = True) -> T:
    """The resource that `document` (parsed JSON) describes; APISIX's ids may be integers.

    Raises InvalidResource with one line that names the property, and without `show_values` no value.
    """
    return decode(_without_idle(_with_text_ids(document)), kind, what, show_values=show_values)


def decode_route(document: object) -> Route:
    """The route that `document` (parsed JSON) describes. Raises InvalidResource."""
    return decode_resource(document, Route, "route")


def decode_upstream(document: object) -> Upstream:
    """The upstream that `document` (parsed JSON) describes. Raises InvalidResource."""
    return decode_resource(document, Upstream, "upstream")


def _without_idle(document: object) -> object:
    """`document` without the switch that clients send switched off, of something that batchway has not."""
    if isinstance(document, dict) and document.get("enable_websocket") is False:
        return {name: value for name, value in document.items() if name != "enable_websocket"}
    return document


_IDS = ("id", "upstream_id", "service_id", "plugin_config_id", "group_id")


def _with_text_ids(document: object) -> object:
    """`document` with integer ids as text: APISIX takes both."""
    if not isinstance(document, dict):
        return document
    changed: dict[str, object] = {
        name: str(value) for name in _IDS if type(value := document.get(name)) is int and value >= 1
    }
    if "upstream" in document:
        changed["upstream"] = _with_text_ids(document["upstream"])
    return document | changed


__all__ = [
    "Active",
    "Checks",
    "Consumer",
    "ConsumerGroup",
    "Credential",
    "GlobalRule",
    "Id",
    "KeepalivePool",
    "Node",
    "Passive",
    "PluginConfig",
    "Plugins",
    "Route",
    "Service",
    "Timeout",
    "Tls",
    "Upstream",
    "decode",
    "decode_resource",
    "decode_route",
    "decode_upstream",
]
