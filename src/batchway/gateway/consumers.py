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


_Indexed = dict[tuple[tuple[str, str], _Place], Credential]
"""By plugin and identity, and the place that they stand in."""


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

    def names(self) -> set[str]:
        """All that there are."""
        return set(self._known)

    def plugins(self, username: str) -> tuple[str | None, Built]:
        """A consumer's group, and the plugins that hold for its requests."""
        known = self._known.get(username)
        return (None, {}) if known is None else (known.consumer.group_id, known.plugins)

    def put(self, document: resources.Consumer, held: Held, plugins: Built) -> None:
        """Add or replace a consumer."""
        username = document.username
        self._forget_plugins(username)
        before = self._indexed(username)
        consumer = Consumer(username, document.group_id, dict(document.labels))
        self._known[username] = _Known(consumer, plugins)
        self._held.setdefault(username, {})[""] = held
        self._index_again(username, before)

    def remove(self, username: str) -> None:
        """Forget a consumer. Its credentials are of no use any more."""
        self._forget_plugins(username)
        before = self._indexed(username)
        self._known.pop(username, None)
        self._let_go(username, "")
        self._index_again(username, before)

    def put_credential(self, username: str, id_: str, held: Held) -> None:
        """Add or replace a credential."""
        before = self._indexed(username)
        self._held.setdefault(username, {})[id_] = held
        self._index_again(username, before)

    def remove_credential(self, username: str, id_: str) -> None:
        """Forget a credential."""
        before = self._indexed(username)
        self._let_go(username, id_)
        self._index_again(username, before)

    def close(self) -> None:
        """Free what the plugins hold."""
        for known in self._known.values():
            close_all(known.plugins)

    def _let_go(self, username: str, id_: str) -> None:
        held = self._held.get(username, {})
        held.pop(id_, None)
        if not held:
            self._held.pop(username, None)

    def _indexed(self, username: str) -> _Indexed:
        """A consumer's credentials by what they are found by; none if it is not there."""
        known = self._known.get(username)
        if known is None:
            return {}
        return {
            ((name, identity), (username, id_)): Credential(known.consumer, config, id_ or None)
            for id_, held in self._held.get(username, {}).items()
            for name, (identity, config) in held.items()
        }

    def _index_again(self, username: str, before: _Indexed) -> None:
        """Index a consumer's credentials; one that was there `before` stays first if it was."""
        now = self._indexed(username)
        for (shown, place), credential in now.items():
            self._index.setdefault(shown, {})[place] = credential
        for shown, place in before.keys() - now.keys():
            places = self._index[shown]
            del places[place]
            if not places:
                del self._index[shown]

    def _forget_plugins(self, username: str) -> None:
        known = self._known.get(username)
        if known is not None:
            close_all(known.plugins)
