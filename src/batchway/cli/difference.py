"""What an import would change, as lines for a terminal. No secret is among them."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from batchway.admin import sealing
from batchway.admin.kinds import Document, Place
from batchway.admin.whole import Keys, Resource, dotted
from batchway.cli.printable import printable
from batchway.plugins import Plugin

_MAX_VALUE = 60


def added(place: Place) -> str:
    """The line of a new resource."""
    return f"+ {_name(place)}"


def removed(place: Place) -> str:
    """The line of one that goes."""
    return f"- {_name(place)}"


def changed(
    resource: Resource,
    old: Document,
    properties: Iterable[tuple[Keys, object, object]],
    plugins: Mapping[str, type[Plugin]],
) -> Iterator[str]:
    """The lines of one that changes: its name, and each property with both values."""
    yield f"~ {_name(resource.place)}"
    secrets = _secrets(resource, old, plugins)
    for keys, before, after in properties:
        path = dotted(keys)
        if any(path == one or path.startswith(f"{one}.") or one.startswith(f"{path}.") for one in secrets):
            yield printable(f"    {path}: a secret, {_kind_of_change(before, after)}")
        else:
            yield printable(f"    {path}: {_shown(before)} -> {_shown(after)}")


def _name(place: Place) -> str:
    return printable(place.key.removeprefix("/"))


def _secrets(resource: Resource, old: Document, plugins: Mapping[str, type[Plugin]]) -> set[str]:
    """Where secrets stand in either."""
    found: set[str] = set()

    def note(text: str, place: str) -> str:
        found.add(place)
        return text

    for document in (old, resource.document):
        sealing.replaced(document, resource.place.kind, plugins, note)
    return found


def _kind_of_change(before: object, after: object) -> str:
    if before is msgspec.UNSET:
        return "added"
    return "removed" if after is msgspec.UNSET else "changed"


def _shown(value: object) -> str:
    if value is msgspec.UNSET:
        return "(none)"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…"
