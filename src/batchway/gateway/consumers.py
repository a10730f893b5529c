"""Consumers and their credentials, found by what a request shows."""

from collections.abc import Mapping

from msgspec import Struct

from batchway.config import resources
from batchway.gateway.pipeline import Built
from batchway.plugins import Consumer, Credential
from batchway.plugins.registry import close_all

Held = Mapping[str, tuple[str, Struct]]
"""By the names of auth plugins: what a request shows, and the ConsumerConfig."""

_Place = tuple[str, str]
"""A consumer's name, and the id of one of its credentials or "" for those in the consumer itself."""


class _Known(Struct, frozen=True, gc=True, eq=False):
    consumer: Consumer
    plugins: Built


class Consumers:
    """Who is known, and by what. A credential counts from when its consumer is there too."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._held: dict[str, dict[str, Held]] = {}
        # several consumers may, by mistake, have one key: the first one counts, as long as it is there
        self._index: dict[tuple[str, str], dict[_Place, Credential]] = {}

    def find(self, plugin: str, identity: str) -> Credential | None:
        """Whose credential it is."""
        found = self._index.get((plugin, identity))
        return next(iter(found.values())) if found else None

    def all(self, plugin: str) -> list[Credential]:
        """All credentials of an auth plugin."""
        return [
            credential
            for (name, _), places in self._index.items()
            if name == plugin
            for credential in places.values()
        ]

    def get(self, username: str) -> Consumer | None:
        """The consumer of that name."""
        known = self._known.get(username)
        return None if known is None else known.consumer

    def plugins(self, username: str) -> tuple[str | None, Built]:
        """A consumer's group, and the plugins that hold for its requests."""
        known = self._known.get(username)
        return (None, {}) if known is None else (known.consumer.group_id, known.plugins)

    def put(self, document: resources.Consumer, held: Held, plugins: Built) -> None:
        """Add or replace a consumer."""
        username = document.username
        self._forget_plugins(username)
        consumer = Consumer(username, document.group_id, dict(document.labels))
        self._known[username] = _Known(consumer, plugins)
        self._hold(username, "", held)

    def remove(self, username: str) -> None:
        """Forget a consumer. Its credentials are of no use any more."""
        self._forget_plugins(username)
        self._known.pop(username, None)
        self._drop(username, "")

    def put_credential(self, username: str, id_: str, held: Held) -> None:
        """Add or replace a credential."""
        self._hold(username, id_, held)

    def remove_credential(self, username: str, id_: str) -> None:
        """Forget a credential."""
        self._drop(username, id_)

    def close(self) -> None:
        """Free what the plugins hold."""
        for known in self._known.values():
            close_all(known.plugins)

    def _hold(self, username: str, id_: str, held: Held) -> None:
        self._leave_index(username)
        self._held.setdefault(username, {})[id_] = held
        self._enter_index(username)

    def _drop(self, username: str, id_: str) -> None:
        self._leave_index(username)
        held = self._held.get(username, {})
        held.pop(id_, None)
        if not held:
            self._held.pop(username, None)
        self._enter_index(username)

    def _leave_index(self, username: str) -> None:
        for id_, held in self._held.get(username, {}).items():
            for name, (identity, _) in held.items():
                places = self._index.get((name, identity), {})
                places.pop((username, id_), None)
                if not places:
                    self._index.pop((name, identity), None)

    def _enter_index(self, username: str) -> None:
        known = self._known.get(username)
        if known is None:
            return
        for id_, held in self._held.get(username, {}).items():
            for name, (identity, config) in held.items():
                credential = Credential(known.consumer, config, id_ or None)
                self._index.setdefault((name, identity), {})[username, id_] = credential

    def _forget_plugins(self, username: str) -> None:
        known = self._known.get(username)
        if known is not None:
            close_all(known.plugins)
