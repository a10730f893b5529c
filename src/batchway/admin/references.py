"""What resources say of one another, checked when one of them is written or deleted."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from batchway.admin.access import FindHolder, PluginSchemas
from batchway.admin.kinds import KINDS, Document, Place, locate
from batchway.errors import InvalidResource
from batchway.store.base import Entry, Store, Unchanged


class ParentMissing(Exception):
    """The resource that another one stands below is not there. The text says so."""


async def check_references(store: Store, place: Place, document: Document) -> list[str]:
    """The keys of all that `document` names or stands below.

    Raises InvalidResource if one is not there, ParentMissing if what it stands below is not.
    """
    kind, keys = place.kind, []
    if kind.parent:
        parent = Place(KINDS[kind.parent], place.parent)
        if await store.get(parent.key) is None:
            msg = f"{parent.kind.singular} not found"
            raise ParentMissing(msg)
        keys.append(parent.key)
    for name, target in kind.references.items():
        if name in document:
            named = Place(KINDS[target], str(document[name]))
            keys.append(await _check_named(store, named))
    return keys


async def _check_named(store: Store, place: Place) -> str:
    if await store.get(place.key) is None:
        singular = place.kind.singular
        msg = f"failed to fetch {singular} info by {singular} id [{place.id}], response code: 404"
        raise InvalidResource(msg)
    return place.key


async def check_unused(store: Store, place: Place) -> int | None:
    """The revision at which no resource named this one; None if none can.

    Raises InvalidResource if one does.
    """
    if not any(place.kind.name in kind.references.values() for kind in KINDS.values()):
        return None
    # An id is never escaped: no need to decode all that is stored, which would take the time of the loop.
    named = re.compile(rb'_id"\s*:\s*"?%b["\s,}]' % re.escape((place.id or "").encode()))
    listing = await store.list("/")
    for entry in listing.entries:
        if not named.search(entry.value):
            continue
        user = locate(entry.key)
        how = None if user is None else _use(entry, user, place)
        if user is not None and how is not None:
            by = f"{how}{user.kind.singular} [{user.id}]"
            msg = f"can not delete this {place.kind.singular}, {by} is still using it now"
            raise InvalidResource(msg)
    return listing.revision


def _use(entry: Entry, user: Place, used: Place) -> str | None:
    """How `user` uses `used`: itself (""), or a plugin in it does; None if not at all."""
    names = [name for name, target in user.kind.references.items() if target == used.kind.name]
    document = _decoded(entry)
    if any(str(document.get(name)) == used.id for name in names):
        return ""
    if used.kind.name == "upstreams" and used.id in list(_upstream_ids(document.get("plugins"))):
        return "plugin in "
    return None


def _decoded(entry: Entry) -> Document:
    """The document; an empty one if the store holds none there."""
    try:
        return msgspec.json.decode(entry.value, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _upstream_ids(value: object) -> Iterator[str]:
    """Those that plugins name, such as traffic-split, however deep in their configs."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "upstream_id":
                yield str(inner)
            else:
                yield from _upstream_ids(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _upstream_ids(inner)


async def check_rules(store: Store, place: Place, document: Document) -> Unchanged | None:
    """What has to hold when `document` is written, so that no other global rule has one of its plugins.

    Only one of them could hold. Raises InvalidResource if one has.
    """
    if place.kind.name != "global_rules":
        return None
    listing = await store.list(place.collection)
    for entry in listing.entries:
        if entry.key != place.key:
            _check_apart(document, entry.key.removeprefix(place.collection), _decoded(entry))
    return Unchanged(place.collection, listing.revision)


def check_rule(id_: str, rule: Document, others: dict[str, Document]) -> None:
    """Add a global rule to `others`. Raises InvalidResource if one of these has a plugin of it."""
    for other_id, other in others.items():
        _check_apart(rule, other_id, other)
    others[id_] = rule


def _check_apart(rule: Document, other_id: str, other: Document) -> None:
    there = other.get("plugins")
    for name in rule.get("plugins") or ():
        if isinstance(there, dict) and name in there:
            msg = f"plugin '{name}' already exists in global rule with id '{other_id}'"
            raise InvalidResource(msg)


def check_identities(
    place: Place, document: Document, plugins: PluginSchemas, find_holder: FindHolder
) -> None:
    """Raises InvalidResource if another consumer is known to an auth plugin by the same identity."""
    if not holds_identities(place):
        return
    username = place.parent or place.id
    for name, config in document.get("plugins", {}).items():
        plugin = plugins.plugins.get(name)
        identity = plugin and config.get(plugin.identity)
        holder = find_holder(name, identity) if isinstance(identity, str) else None
        if holder not in (None, username):
            msg = f"duplicate key found with consumer: {holder}"
            raise InvalidResource(msg)


def holds_identities(place: Place) -> bool:
    """Whether credentials may stand in it."""
    return "consumers" in (place.kind.name, place.kind.parent)
