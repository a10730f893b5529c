"""Dumps of other shapes, as the sections of an apisix.yaml.

That is: lists that the Admin API answers, and what APISIX's `adc dump` writes, where routes stand below
their services and a credential says its plugin as `type`.
"""

from collections.abc import Iterator
from typing import Any

from batchway.admin.kinds import locate
from batchway.admin.whole import NAMES

_PREFIX = "/apisix"
_MAPPINGS = ("global_rules", "plugin_metadata")
"""In a dump of `adc`, these are by plugin name."""
_LISTS = ("services", "routes", "consumers")


def as_sections(tree: object) -> object:
    """`tree` as an apisix.yaml has it; as it is, if it is none of the others."""
    if not isinstance(tree, dict):
        return tree
    if isinstance(tree.get("list"), list) and "total" in tree:
        return _of_list(tree["list"])
    if "key" in tree and "value" in tree:
        return _of_list([tree])
    return _of_adc(tree) if _is_adc(tree) else tree


# --- the Admin API's


def _of_list(nodes: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for node in nodes:
        key = str(node.get("key", "")) if isinstance(node, dict) else ""
        place = locate(key.removeprefix(_PREFIX))
        if place is None or not isinstance(node.get("value"), dict):
            found.setdefault(key or "list", []).append(node)  # which is then named as unknown
            continue
        id_ = f"{place.parent}/credentials/{place.id}" if place.parent else place.id
        named = {} if place.kind.id_name == "username" else {"id": id_}
        found.setdefault(place.kind.parent or place.kind.name, []).append(node["value"] | named)
    return found


# --- adc's


def _is_adc(tree: dict[str, Any]) -> bool:
    if not all(isinstance(tree.get(name) or [], list) for name in _LISTS):
        return False
    return any(isinstance(tree.get(name), dict) for name in _MAPPINGS) or any(
        isinstance(service, dict) and "routes" in service for service in tree.get("services") or ()
    )


def _of_adc(tree: dict[str, Any]) -> dict[str, Any]:
    found = dict(tree)
    found["services"] = services = []
    found["routes"] = list(tree.get("routes") or ())
    for service in tree.get("services") or ():
        own, routes = _split(service)
        services.append(own)
        found["routes"] += routes
    found["consumers"] = [_consumer(one) for one in tree.get("consumers") or ()]
    for name in _MAPPINGS:
        if isinstance(tree.get(name), dict):
            found[name] = list(_by_plugin(name, tree[name]))
    return {name: items for name, items in found.items() if items or name not in NAMES}


def _split(service: Any) -> tuple[Any, list[Any]]:
    """A service without its routes, and those, each naming it."""
    if not isinstance(service, dict) or not isinstance(service.get("routes", []), list):
        return service, []
    own = {name: value for name, value in service.items() if name != "routes"}
    own.setdefault("id", own.get("name"))
    routes = [_route(route, own["id"]) for route in service.get("routes", [])]
    return own, routes


def _route(route: Any, service_id: object) -> Any:
    if not isinstance(route, dict):
        return route
    return {"id": route.get("name"), **route, "service_id": service_id}


def _consumer(consumer: Any) -> Any:
    if not isinstance(consumer, dict) or not isinstance(consumer.get("credentials"), list):
        return consumer
    return consumer | {"credentials": [_credential(one) for one in consumer["credentials"]]}


def _credential(credential: Any) -> Any:
    if not isinstance(credential, dict) or "type" not in credential:
        return credential
    rest = {name: value for name, value in credential.items() if name not in ("type", "config")}
    named = {"id": credential["name"]} if "name" in credential else {}
    return named | rest | {"plugins": {credential["type"]: credential.get("config", {})}}


def _by_plugin(name: str, configs: dict[str, Any]) -> Iterator[Any]:
    for plugin, config in configs.items():
        if name == "global_rules":
            yield {"id": plugin, "plugins": {plugin: config}}
        else:
            yield {"id": plugin, **config} if isinstance(config, dict) else config
