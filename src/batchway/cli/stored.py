"""What is wrong with stored resources. Entries in, findings out. No I/O."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from batchway.admin.kinds import KINDS, Document, Kind
from batchway.admin.resource import check_id
from batchway.errors import InvalidResource
from batchway.plugins import PLUGINS, Registry
from batchway.store.base import Entry


class Finding(Struct, frozen=True):
    """One thing that is wrong with one entry."""

    key: str
    """Kind and id: `routes/5`."""
    text: str
    is_warning: bool = False
    """It does no harm."""


def examine(entries: Sequence[Entry], registry: Registry) -> Iterator[Finding]:
    """What is wrong, in the order of the entries. At most one finding says so of a document's own shape."""
    keys = {entry.key for entry in entries}
    for entry in entries:
        name = entry.key.removeprefix("/")
        kind = KINDS.get(name.partition("/")[0])
        if kind is None:
            yield Finding(name, f"no kind of resource that batchway has: expected {', '.join(KINDS)}")
            continue
        yield from _examine(entry, kind, keys, registry)


def _examine(entry: Entry, kind: Kind, keys: set[str], registry: Registry) -> Iterator[Finding]:
    name = entry.key.removeprefix("/")
    id_ = name.partition("/")[2]
    try:
        check_id(kind, id_)
        document = _document(entry)
    except InvalidResource as error:
        yield Finding(name, error.message)
        return
    if kind.is_plain and id_ in PLUGINS and id_ not in registry.plugins:
        yield Finding(name, f"plugin {id_} is not enabled: this has no effect", is_warning=True)
        return
    try:
        kind.check(id_, document, registry)
    except InvalidResource as error:
        yield Finding(name, _bare(error.message, kind))
    yield from _dangling(name, kind, document, keys)


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


def _dangling(name: str, kind: Kind, document: Document, keys: set[str]) -> Iterator[Finding]:
    for reference, target in kind.references.items():
        id_ = document.get(reference)
        if isinstance(id_, str | int) and f"/{target}/{id_}" not in keys:
            yield Finding(name, f'property "{reference}": there is no {KINDS[target].singular} "{id_}"')
