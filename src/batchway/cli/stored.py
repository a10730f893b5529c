"""What is wrong with stored resources. Entries in, findings out. No I/O."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from batchway.admin import sealing
from batchway.admin.kinds import KINDS, Document, Kind, Place, check_id, locate
from batchway.config.data_encryption import Keyring
from batchway.errors import InvalidResource
from batchway.plugins import Registry, all_plugins
from batchway.store.base import Entry


class Finding(Struct, frozen=True):
    """One thing that is wrong with one entry."""

    key: str
    """Kind and id: `routes/5`."""
    text: str
    is_warning: bool = False
    """It does no harm."""


def examine(
    entries: Sequence[Entry], registry: Registry, keyring: Keyring | None = None
) -> Iterator[Finding]:
    """What is wrong, in the order of the entries. At most one finding says so of a document's own shape."""
    keys, keyring = {entry.key for entry in entries}, keyring or Keyring()
    for entry in entries:
        place = locate(entry.key) or _misplaced(entry.key)
        if place is None:
            expected = ", ".join(KINDS)
            text = f"no kind of resource that batchway has: expected {expected}"
            yield Finding(entry.key.removeprefix("/"), text)
            continue
        yield from _examine(entry, place, keys, registry, keyring)


def _misplaced(key: str) -> Place | None:
    """Where `key` would be if its id were one."""
    _, name, id_ = (*key.split("/", 2), "", "")[:3]
    kind = KINDS.get(name)
    return Place(kind, id_) if kind and not kind.parent else None


def _examine(
    entry: Entry, place: Place, keys: set[str], registry: Registry, keyring: Keyring
) -> Iterator[Finding]:
    name, kind, id_ = entry.key.removeprefix("/"), place.kind, place.id or ""
    try:
        check_id(kind, id_)
        document = _document(entry)
    except InvalidResource as error:
        yield Finding(name, error.message)
        return
    if kind.is_plain and id_ in all_plugins() and id_ not in registry.plugins:
        yield Finding(name, f"plugin {id_} is not enabled: this has no effect", is_warning=True)
        return
    try:
        kind.check(id_, sealing.unseal(document, kind, registry.plugins, keyring), registry)
    except InvalidResource as error:
        yield Finding(name, _bare(error.message, kind))
    yield from _dangling(name, place, document, keys)


def _bare(message: str, kind: Kind) -> str:
    """The message without what the name of the entry says already."""
    return message.removeprefix(f"invalid {kind.singular}: ").removeprefix("invalid configuration: ")


def _document(entry: Entry) -> Document:
    try:
        document = msgspec.json.decode(entry.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidResource("not JSON") from None
    if not isinstance(document, dict):
        raise InvalidResource("expected a JSON object")
    return document


def _dangling(name: str, place: Place, document: Document, keys: set[str]) -> Iterator[Finding]:
    parent = place.kind.parent
    if parent and f"/{parent}/{place.parent}" not in keys:
        yield Finding(name, f'there is no {KINDS[parent].singular} "{place.parent}"')
    for reference, target in place.kind.references.items():
        id_ = document.get(reference)
        if isinstance(id_, str | int) and f"/{target}/{id_}" not in keys:
            yield Finding(name, f'property "{reference}": there is no {KINDS[target].singular} "{id_}"')
