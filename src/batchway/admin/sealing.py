"""Which properties of a document are secrets, and the document with them encrypted or plain."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from batchway.admin.kinds import Document, Kind, locate
from batchway.config.data_encryption import PREFIX, Keyring, NotOurs
from batchway.errors import InvalidResource
from batchway.plugins import Plugin

Plugins = Mapping[str, type[Plugin]]
Path = tuple[str, ...]
Change = Callable[[str, str], str]
"""From a secret and its place, such as `plugins.key-auth.key`, to what stands there instead."""

MARK = PREFIX.encode()
"""A stored value without these bytes needs no `unseal`."""


def seal(document: Document, kind: Kind, plugins: Plugins, keyring: Keyring) -> Document:
    """`document` as the store has it."""
    return _changed(document, kind, plugins, keyring.seal)


def unseal(document: Document, kind: Kind, plugins: Plugins, keyring: Keyring) -> Document:
    """`document` as people have it. Raises InvalidResource naming a secret that cannot be read."""

    def open_(text: str, place: str) -> str:
        try:
            return keyring.open(text, place)
        except NotOurs as error:
            msg = f'invalid {kind.singular}: property "{place}": {error.message}'
            raise InvalidResource(msg) from None

    return _changed(document, kind, plugins, open_)


def unseal_what_can_be(document: Document, kind: Kind, plugins: Plugins, keyring: Keyring) -> Document:
    """Like `unseal`, but what cannot be read stays as it is."""

    def open_(text: str, place: str) -> str:
        try:
            return keyring.open(text, place)
        except NotOurs:
            return text

    return _changed(document, kind, plugins, open_)


def replaced(document: Document, kind: Kind, plugins: Plugins, change: Change) -> Document:
    """`document` with each of its secrets as `change` has it."""
    return _changed(document, kind, plugins, change)


def read(key: str, value: bytes, plugins: Plugins, keyring: Keyring) -> object:
    """What stands at a key of the store, parsed and plain.

    Raises InvalidResource like `unseal`, and what msgspec and Python raise for what is no JSON.
    """
    document = msgspec.json.decode(value)
    place = locate(key) if MARK in value else None
    return (
        unseal(document, place.kind, plugins, keyring) if place and isinstance(document, dict) else document
    )


def _changed(document: Document, kind: Kind, plugins: Plugins, change: Change) -> Document:
    found: Any = document
    for path in _secrets(document, kind, plugins):
        found = _changed_at(found, path, change, ".".join(path))
    return dict(found)


def _secrets(document: Document, kind: Kind, plugins: Plugins) -> Iterator[Path]:
    if kind.upstream_at is not None:
        yield (*kind.upstream_at, "tls", "client_key")
    configs = document.get("plugins")
    for name in configs if isinstance(configs, dict) and not kind.is_plain else ():
        plugin = plugins.get(name)
        for secret in plugin.secrets if plugin else ():
            yield ("plugins", name, *secret.split("."))


def _changed_at(value: object, path: Path, change: Change, place: str) -> object:
    """`value` with every text at and below `path` changed; a step of it goes into each item of a list."""
    if isinstance(value, list):
        return [_changed_at(item, path, change, place) for item in value]
    if isinstance(value, dict):
        names = path[:1] or value
        inner = {name: value[name] for name in names if name in value}
        return value | {name: _changed_at(one, path[1:], change, place) for name, one in inner.items()}
    return change(value, place) if isinstance(value, str) and not path else value
