"""Stored resources to the gateway: what stands at a key is what holds from now on."""

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from batchway.config.resources import (
    Consumer,
    ConsumerGroup,
    Credential,
    GlobalRule,
    PluginConfig,
    Service,
    decode_resource,
    decode_route,
    decode_upstream,
)
from batchway.gateway.gateway import Gateway

T = TypeVar("T", bound=Struct)

Put = Callable[[Gateway, str, object], None]
Remove = Callable[[Gateway, str], None]


def _plugin_set(kind: str, document_type: Any, what: str) -> tuple[Put, Remove]:
    def put(gateway: Gateway, id_: str, document: object) -> None:
        found = decode_resource(document, document_type, what)
        gateway.catalog.put_plugins(kind, id_, found.plugins)

    def remove(gateway: Gateway, id_: str) -> None:
        gateway.catalog.remove_plugins(kind, id_)

    return put, remove


def _put_service(gateway: Gateway, id_: str, document: object) -> None:
    gateway.catalog.put_service(id_, decode_resource(document, Service, "service"))


def _put_consumer(gateway: Gateway, _id: str, document: object) -> None:
    gateway.catalog.put_consumer(decode_resource(document, Consumer, "consumer", show_values=False))


def _put_credential(gateway: Gateway, id_: str, document: object) -> None:
    username, _, credential_id = id_.partition("/")
    found = decode_resource(document, Credential, "credential", show_values=False)
    gateway.catalog.put_credential(username, credential_id, found)


def _remove_credential(gateway: Gateway, id_: str) -> None:
    username, _, credential_id = id_.partition("/")
    gateway.catalog.consumers.remove_credential(username, credential_id)


_KINDS: dict[str, tuple[Put, Remove]] = {
    "upstreams": (
        lambda gateway, id_, document: gateway.catalog.put_upstream(id_, decode_upstream(document)),
        lambda gateway, id_: gateway.catalog.remove_upstream(id_),
    ),
    "services": (_put_service, lambda gateway, id_: gateway.catalog.remove_service(id_)),
    "plugin_configs": _plugin_set("plugin_configs", PluginConfig, "plugin config"),
    "consumer_groups": _plugin_set("consumer_groups", ConsumerGroup, "consumer group"),
    "consumers": (_put_consumer, lambda gateway, id_: gateway.catalog.remove_consumer(id_)),
    "credentials": (_put_credential, _remove_credential),
    "plugin_metadata": (
        lambda gateway, id_, document: gateway.put_metadata(
            id_, gateway.registry.check_metadata(id_, document)
        ),
        lambda gateway, id_: gateway.remove_metadata(id_),
    ),
    "global_rules": _plugin_set("global_rules", GlobalRule, "global rule"),
    "routes": (
        lambda gateway, id_, document: gateway.catalog.put_route(id_, decode_route(document)),
        lambda gateway, id_: gateway.catalog.remove_route(id_),
    ),
}
_ORDER = list(_KINDS)
KINDS = len(_ORDER)
"""How many kinds there are; no rank is above that."""


def rank(key: str) -> int:
    """In which order resources are applied: what is named by others before what names it."""
    kind, _ = _split(key)
    return _ORDER.index(kind) if kind in _KINDS else len(_ORDER)


def put(gateway: Gateway, key: str, document: object) -> bool:
    """Apply `document` (parsed JSON) at `key`, such as `/routes/1`; False for a kind that is not known.

    Raises InvalidResource; what was at the key is still as it was then.
    """
    kind, id_ = _split(key)
    if kind not in _KINDS:
        return False
    _KINDS[kind][0](gateway, id_, document)
    return True


def remove(gateway: Gateway, key: str) -> None:
    """Forget what is at `key`."""
    kind, id_ = _split(key)
    if kind in _KINDS:
        _KINDS[kind][1](gateway, id_)


def _split(key: str) -> tuple[str, str]:
    """`/routes/1` as `routes` and `1`; `/consumers/jack/credentials/2` as `credentials` and `jack/2`."""
    match key.split("/"):
        case ["", "consumers", username, "credentials", id_]:
            return "credentials", f"{username}/{id_}"
        case ["", kind, id_]:
            return kind, id_
    return "", key
