"""All resources of a gateway as one document, as in APISIX's apisix.yaml. Values in, resources out. No I/O.

Source: apisix/core/config_yaml.lua (3.x) for the shape. Unlike there, what is wrong with one resource
is wrong with the whole: half a configuration may be one without its authentication.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

import msgspec
from msgspec import Struct

from batchway.admin import sealing
from batchway.admin.access import PluginSchemas
from batchway.admin.kinds import KINDS, NOT_SUPPORTED, Document, Kind, Place, check_id
from batchway.admin.patch import check_depth
from batchway.admin.references import check_identities, check_rule, holds_identities
from batchway.config.data_encryption import Keyring
from batchway.errors import InvalidResource

Keys = tuple[str | int, ...]
NAMES = tuple(name for name, kind in KINDS.items() if not kind.parent)
"""The sections of the document."""
_CREDENTIALS = KINDS["credentials"]
_OF_CONFIG = frozenset({"apisix", "batchway", "deployment", "nginx_config", "plugin_attr"})
"""Often found here all the same: APISIX passes over them."""
_NAMED_BY_OTHERS = frozenset({"plugin_configs", "consumer_groups"})
"""Of no use without an id."""


class Fault(Struct, frozen=True):
    """One thing that is wrong."""

    keys: Keys
    """Where: `("routes", 0)`."""
    text: str


class Resource(Struct, frozen=True):
    """One resource of the document."""

    place: Place
    document: Document
    """As the Admin API would be given it, with its id as text."""
    keys: Keys
    """Where in the document it stands."""


class Whole(Struct, frozen=True):
    """What the document says, and what is wrong with it. With a fault, nothing in it is to be used."""

    resources: dict[str, Resource]
    """By key of the store, such as `/routes/1`."""
    faults: list[Fault]


# --- from the document to its resources


def read(tree: object) -> Whole:
    """The resources in `tree`, each with an id; what they say is not looked at yet.

    One without an id, where that is allowed, gets one that is made of what it says: so it is the same
    resource as long as nobody changes it, wherever in the list it stands.
    """
    whole = Whole({}, [])
    if not isinstance(tree, dict):
        whole.faults.append(Fault((), f"expected a mapping of {', '.join(NAMES)}"))
        return whole
    for name, items in tree.items():
        if name in NAMES and isinstance(items, list | None):
            for index, item in enumerate(items or ()):
                _add(whole, KINDS[name], item, (name, index))
        elif text := _why_none(str(name), items):
            whole.faults.append(Fault((str(name),), text))
    return whole


def _why_none(name: str, items: object) -> str:
    if name in NAMES:
        return "expected a list"
    if name.endswith("_conf_version") and type(items) in (int, float):  # who pushes it to APISIX counts
        return ""
    if name in NOT_SUPPORTED:
        return f"batchway has no {NOT_SUPPORTED[name]}" if items else ""
    if name == "plugins":
        return "which plugins are on is said in config.yaml"
    if name in _OF_CONFIG:
        return "this belongs into config.yaml"
    close = get_close_matches(name, NAMES, n=1)
    return "unknown key" + (f"; did you mean {close[0]}?" if close else "")


def _add(whole: Whole, kind: Kind, item: object, keys: Keys) -> None:
    below = None
    try:
        item = _object(kind, item)
        if kind.name == "consumers":
            below = item.pop("credentials", None)
        place, document = _placed(kind, item)
        first = whole.resources.setdefault(place.key, resource := Resource(place, document, keys))
    except InvalidResource as error:
        whole.faults.append(Fault(keys, error.message))
        return
    if first is not resource:
        text = f'duplicate {place.kind.singular} "{place.id}": the first is {dotted(first.keys)}'
        whole.faults.append(Fault(keys, text))
    if below is not None:
        _add_credentials(whole, place, below, (*keys, "credentials"))


def _placed(kind: Kind, item: Document) -> tuple[Place, Document]:
    """Where the item belongs, and what it says, with its id. Raises InvalidResource."""
    parent, kind, item = _credential_in(kind, item)
    place = Place(kind, _id(kind, item), parent)
    if kind.is_plain:
        return place, {name: value for name, value in item.items() if name != "id"}
    return place, {kind.id_name: place.id, **item, kind.id_name: place.id}


def _credential_in(kind: Kind, item: Document) -> tuple[str, Kind, Document]:
    """APISIX has credentials among the consumers, with an id such as `jack/credentials/1`.

    Consumers among them may have an id, too: their name.
    """
    if kind.name == "consumers" and "id" in item:
        match str(item["id"]).split("/"):
            case [parent, "credentials", id_]:
                check_id(kind, parent)
                return parent, _CREDENTIALS, item | {"id": id_}
            case [name] if name == item.get("username"):
                return "", kind, {key: value for key, value in item.items() if key != "id"}
    return "", kind, item


def _add_credentials(whole: Whole, consumer: Place, items: object, keys: Keys) -> None:
    if not isinstance(items, list):
        whole.faults.append(Fault(keys, "expected a list"))
        return
    for index, item in enumerate(items):
        here = (*keys, index)
        try:
            document = _object(_CREDENTIALS, item)
            id_ = f"{consumer.id}/credentials/{_id(_CREDENTIALS, document)}"
        except InvalidResource as error:
            whole.faults.append(Fault(here, error.message))
            continue
        _add(whole, KINDS["consumers"], document | {"id": id_}, here)


def _object(kind: Kind, item: object) -> Document:
    """A copy of the item, with `{}` for a plugin behind whose name nothing stands: `key-auth:`."""
    if not isinstance(item, dict):
        msg = f"invalid {kind.singular}: expected a mapping"
        raise InvalidResource(msg)
    plugins = item.get("plugins")
    if not isinstance(plugins, dict):
        return dict(item)
    return item | {"plugins": {name: {} if said is None else said for name, said in plugins.items()}}


def _id(kind: Kind, item: Document) -> str | None:
    """The id that the item says it has, or one made for it."""
    id_ = item.get(kind.id_name or "id")
    if type(id_) is int:
        return str(id_)
    if isinstance(id_, str):
        return id_
    if id_ is not None:
        return ""  # which is none
    if kind.id_name != "id" or kind.name in _NAMED_BY_OTHERS:
        return None
    said = msgspec.json.encode(item, order="sorted")
    return "auto-" + hashlib.sha256(said).hexdigest()[:16]


def dotted(keys: Keys) -> str:
    """The keys as people write them: `routes[0].uri`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


# --- what is wrong with them


def check(
    resources: Mapping[str, Resource],
    plugins: PluginSchemas,
    keyring: Keyring,
    others: Iterable[tuple[Place, Document]] = (),
) -> Iterator[Fault]:
    """What is wrong with the resources, each for itself and all together.

    `others` will be there with them, with their secrets in the clear.
    """
    holders: dict[tuple[str, str], str] = {}
    rules: dict[str, Document] = {}
    present = set(resources)
    for place, document in others:
        present.add(place.key)
        _hold(place, document, plugins, holders)
        if place.kind.name == "global_rules":
            rules[place.id or ""] = document
    for resource in resources.values():
        try:
            document = _check(resource, plugins, keyring)
            check_identities(resource.place, document, plugins, lambda *held: holders.get(held))
            _hold(resource.place, document, plugins, holders)
            if resource.place.kind.name == "global_rules":
                check_rule(resource.place.id or "", document, rules)
        except InvalidResource as error:
            yield Fault(resource.keys, error.message)
        yield from _dangling(resource, present)


def _check(resource: Resource, plugins: PluginSchemas, keyring: Keyring) -> Document:
    """The document with its secrets in the clear. Raises InvalidResource."""
    place, document = resource.place, resource.document
    check_depth(document)
    document = sealing.unseal(document, place.kind, plugins.plugins, keyring)
    place.kind.check(place.id or "", document, plugins)
    return document


def _hold(
    place: Place, document: Document, plugins: PluginSchemas, holders: dict[tuple[str, str], str]
) -> None:
    """Note by what the consumer is known, for those that come after."""
    if not holds_identities(place):
        return
    configs = document.get("plugins")
    for name, config in configs.items() if isinstance(configs, dict) else ():
        plugin = plugins.plugins.get(name)
        identity = config.get(plugin.identity) if plugin and isinstance(config, dict) else None
        if isinstance(identity, str):
            holders.setdefault((name, identity), place.parent or place.id or "")


def _dangling(resource: Resource, present: set[str]) -> Iterator[Fault]:
    place = resource.place
    if place.kind.parent:
        parent = Place(KINDS[place.kind.parent], place.parent)
        if parent.key not in present:
            yield Fault(resource.keys, f'there is no {parent.kind.singular} "{place.parent}"')
    for name, target in place.kind.references.items():
        id_ = resource.document.get(name)
        if isinstance(id_, str | int) and f"/{target}/{id_}" not in present:
            text = f'property "{name}": there is no {KINDS[target].singular} "{id_}"'
            yield Fault(resource.keys, text)
