"""Resources as one document, for people to read and keep: the way back from `batchway.admin.whole`."""

import re
from collections.abc import Iterable

import msgspec

from batchway.admin import sealing
from batchway.admin.kinds import Document, Kind, Place, with_defaults
from batchway.admin.sealing import Plugins
from batchway.admin.whole import NAMES, Keys
from batchway.config.substitution import literal

TIMES = ("create_time", "update_time")
_NOT_IN_NAME = re.compile("[^A-Z0-9]+")


def declare(resources: Iterable[tuple[Place, Document]]) -> dict[str, list[Document]]:
    """The resources by the names of their kinds, in an order that depends on nothing but their keys.

    Credentials stand behind their consumers, with an id such as `jack/credentials/1`, as in APISIX.
    """
    found: dict[str, list[Document]] = {}
    for place, document in sorted(resources, key=_turn):
        id_ = f"{place.parent}/credentials/{place.id}" if place.parent else place.id
        named = document if place.kind.id_name == "username" else {"id": id_} | _without(document, ("id",))
        found.setdefault(place.kind.parent or place.kind.name, []).append(named)
    return found


def _turn(resource: tuple[Place, Document]) -> tuple[int, str, bool, str]:
    place = resource[0]
    section = NAMES.index(place.kind.parent or place.kind.name)
    return section, place.parent or place.id or "", bool(place.parent), place.id or ""


# --- one resource


def essential(kind: Kind, document: Document, *, with_times: bool = False) -> Document:
    """What somebody would have to write: no defaults, no times, properties in the order of the docs."""
    said = document if with_times or kind.is_plain else _without(document, TIMES)
    return _ordered(kind, _without_defaults(said, kind.defaults))


def complete(kind: Kind, document: Document) -> Document:
    """The same for any two documents that say the same: with all defaults, ids as text, no times."""
    if kind.is_plain:
        return document
    ids = {name: str(document[name]) for name in kind.references if name in document}
    return with_defaults(_without(document, TIMES), kind.defaults) | ids


def _without(document: Document, names: Iterable[str]) -> Document:
    return {name: value for name, value in document.items() if name not in names}


def _without_defaults(document: Document, defaults: dict[str, object]) -> Document:
    """The opposite of `with_defaults`."""
    found = {}
    for name, value in document.items():
        default = defaults.get(name)
        if isinstance(default, dict) and isinstance(value, dict):
            found[name] = _without_defaults(value, default)
        elif name not in defaults or not _is_same(value, default):
            found[name] = value
    return found


def _is_same(one: object, other: object) -> bool:
    """Unlike `==`, tells `1` from `true`, however deep inside."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and one == other


def _ordered(kind: Kind, document: Document) -> Document:
    first = (kind.id_name, *(kind.struct.__struct_fields__ if kind.struct else ()))
    known = {name: document[name] for name in first if name in document}
    ordered = known | {name: document[name] for name in sorted(document.keys() - known.keys())}
    plugins = ordered.get("plugins")
    if isinstance(plugins, dict) and not kind.is_plain:
        ordered["plugins"] = {name: plugins[name] for name in sorted(plugins)}
    return ordered


# --- what must not be read as a variable, and what must


class Placeholder(str):
    """`${{NAME}}`, in place of a secret."""

    __slots__ = ()


class Secrets:
    """Replaces secrets by variables, each with a name of its own. `hidden` is by name where they were."""

    def __init__(self) -> None:
        self.hidden: dict[str, str] = {}

    def hide(self, place: Place, document: Document, plugins: Plugins) -> Document:
        """`document` without its secrets."""

        def change(_text: str, where: str) -> str:
            return Placeholder("${{" + self._name(place, where) + "}}")

        return sealing.replaced(document, place.kind, plugins, change)

    def _name(self, place: Place, where: str) -> str:
        words = f"{place.key}_{where.removeprefix('plugins.')}".upper()
        name = _NOT_IN_NAME.sub("_", words).strip("_")
        number = 1
        while (numbered := name if number == 1 else f"{name}_{number}") in self.hidden:
            number += 1
        self.hidden[numbered] = f"{place.key.removeprefix('/')}: {where}"
        return numbered


def literally(value: object) -> object:
    """`value` such that what looks like a variable in it is none, but for placeholders."""
    match value:
        case Placeholder():
            return value
        case str():
            return literal(value)
        case dict():
            return {literal(name): literally(inner) for name, inner in value.items()}
        case list():
            return [literally(inner) for inner in value]
    return value


# --- what differs


def differences(old: object, new: object, keys: Keys = ()) -> Iterable[tuple[Keys, object, object]]:
    """The properties that are not the same, each with both values; msgspec.UNSET where there is none.

    Lists are compared as a whole: which item became which is anybody's guess.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from differences(
                old.get(name, msgspec.UNSET), new.get(name, msgspec.UNSET), (*keys, name)
            )
    elif not _is_same(old, new):
        yield keys, old, new
