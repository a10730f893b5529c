"""Keeps the gateway as the store says: all of it at the start, then write by write."""

import asyncio
from collections.abc import Collection

import msgspec
import structlog

from batchway.admin import sealing
from batchway.config.data_encryption import Keyring
from batchway.errors import InvalidResource, StoreError
from batchway.gateway import Gateway, apply
from batchway.store.base import Compacted, Entry, Event, Store

log = structlog.get_logger(__name__)

_RETRY_S = 0.5
_AT_ONCE = 100
"""So many resources are applied before requests get a turn."""


class Sync:
    """Applies what is in the store to a gateway, in the store's order."""

    def __init__(self, store: Store, gateway: Gateway, keyring: Keyring | None = None) -> None:
        self._store = store
        self._gateway = gateway
        self.keyring = keyring or Keyring()
        #: what stands at each key that the gateway has
        self._known: dict[str, Entry] = {}
        #: and of what was deleted while a load is under way
        self._gone: dict[str, int] = {}
        self._loads = 0
        self._revision = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def load(self) -> None:
        """Apply everything that is there now, but nothing older than what `follow` applies meanwhile."""
        self._loads += 1
        try:
            listing = await self._store.list("")
            # What is named by others comes first, so that no route is ever without its own.
            entries = sorted(listing.entries, key=lambda entry: apply.rank(entry.key))
            if listing.at_once and self._revision:
                entries = self._catch_up(entries, listing.revision)
            for count, entry in enumerate(entries):
                known = self._known.get(entry.key)
                newest = max(0 if known is None else known.mod_revision, self._gone.get(entry.key, 0))
                if newest <= entry.mod_revision:
                    self._put(entry)
                if count % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
            self._remove_all_but({entry.key for entry in listing.entries}, listing.revision)
            self._advance(listing.revision)
        finally:
            self._loads -= 1
            if not self._loads:
                self._gone.clear()

    def _catch_up(self, entries: list[Entry], revision: int) -> list[Entry]:
        """Apply what has changed in one go; the rest is returned."""
        seen, self._revision = self._revision, max(self._revision, revision)
        changed = [entry for entry in entries if entry.mod_revision > seen]
        for entry in changed:
            self._put(entry)
        if seen < revision:
            self._remove_all_but({entry.key for entry in entries}, revision)
        return [entry for entry in entries if entry.mod_revision <= seen]

    def _remove_all_but(self, keys: set[str], revision: int) -> None:
        for key in self._known.keys() - keys:
            if self._known[key].mod_revision <= revision:
                self._remove(key)

    async def follow(self) -> None:
        """Apply writes as they come, until cancelled or the store is closed."""
        while True:
            try:
                together: list[Event] = []
                async for event in self._store.watch(self._revision):
                    together.append(event)
                    if not event.more:
                        self._apply_all(together)
                        together.clear()
                return
            except Compacted:
                log.info("behind the store: reading all of it again")
                if not await self._reload():
                    await asyncio.sleep(_RETRY_S)
            except StoreError as error:
                log.warning("cannot follow the store", error=error.message)
                await asyncio.sleep(_RETRY_S)

    async def _reload(self) -> bool:
        """Whether the store could be read."""
        try:
            await self.load()
        except StoreError as error:
            log.warning("cannot read the store", error=error.message)
            return False
        return True

    def served(self) -> Collection[Entry]:
        """What the gateway has, as it stands in the store: with its secrets encrypted."""
        return self._known.values()

    async def applied(self, revision: int) -> None:
        """Return once the gateway has what `revision` wrote."""
        if self._revision >= revision:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, waiter))
        await waiter

    def _advance(self, revision: int) -> None:
        self._revision = max(self._revision, revision)
        still: list[tuple[int, asyncio.Future[None]]] = []
        for wanted, waiter in self._waiting:
            if wanted > self._revision:
                still.append((wanted, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._waiting = still

    def _apply_all(self, events: list[Event]) -> None:
        """Events of one revision. No request gets a turn between them."""
        revision = events[-1].revision
        if revision <= self._revision:  # a load has seen to it already
            return
        if len(events) > 1:
            events = sorted(events, key=_turn)
        for event in events:
            self._apply(event)
        self._advance(revision)

    def _apply(self, event: Event) -> None:
        if event.entry is not None:
            self._put(event.entry)
        else:
            self._remove(event.key)
            if self._loads:
                self._gone[event.key] = event.revision

    def _put(self, entry: Entry) -> None:
        self._known[entry.key] = entry
        try:
            plugins = self._gateway.registry.plugins
            document = sealing.read(entry.key, entry.value, plugins, self.keyring)
            if not apply.put(self._gateway, entry.key, document):
                log.warning("unknown resource in the store", key=entry.key)
        except (InvalidResource, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # Serving half of what it says, say without its authentication, would be worse.
            log.error("stored resource is not served", key=entry.key, error=str(error))
            self._remove(entry.key)

    def _remove(self, key: str) -> None:
        self._known.pop(key, None)
        apply.remove(self._gateway, key)


def _turn(event: Event) -> int:
    """What is named by others is put before what names it, and goes after it."""
    rank = apply.rank(event.key)
    return rank if event.entry is not None else 2 * apply.KINDS - rank
