"""The generic resource: what can be done with any kind. Documents in, answers out, no HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from batchway.admin import sealing
from batchway.admin.access import Access, FindHolder
from batchway.admin.kinds import KINDS, Document, Kind, Place, with_defaults
from batchway.admin.listing import Selection
from batchway.admin.patch import check_depth, merge, replace_at
from batchway.admin.references import (
    check_identities,
    check_references,
    check_rules,
    check_unused,
    holds_identities,
)
from batchway.config.resources.common import shown
from batchway.errors import InvalidResource, StoreError
from batchway.store.base import Conflict, Entry, Store, Unchanged

PREFIX = "/apisix"
"""What stands before a key of the store in an answer: APISIX's etcd prefix."""
_ATTEMPTS = 10
_AT_ONCE = 200
"""So many entries are looked at before requests get a turn."""

Make = Callable[[Document | None], Document]
"""From the document that is there, if any, to the new one."""


class Answer(Struct, frozen=True):
    """An HTTP status and the document that goes with it."""

    status: int
    document: Document
    key: str = ""
    """What was written."""
    revision: int | None = None
    """Of the write."""


class NotFound(Exception):
    """There is no such key."""


def no_holder(_plugin: str, _identity: str) -> None:
    """Nobody holds anything."""


class Resources:
    """Reads and writes of resources. `applied` is awaited with the revision of every write."""

    def __init__(
        self,
        store: Store,
        applied: Callable[[int], Awaitable[None]],
        find_holder: FindHolder = no_holder,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`find_holder` knows all that `applied` has returned for."""
        self._store = store
        self._applied = applied
        self._find_holder = find_holder
        self._now = now
        # The store sees to it that nobody gets in between; those here need not even try.
        self._writing = asyncio.Lock()

    async def get(self, place: Place, access: Access) -> Answer:
        """The resource."""
        entry = await self._store.get(place.key)
        if entry is None or not await self._has_parent(place):
            raise NotFound
        return Answer(200, _shown(entry, place.kind, access))

    async def list(self, place: Place, wanted: Selection, access: Access) -> Answer:
        """The resources, oldest first: all that are wanted, or those of one page."""
        if not await self._has_parent(place):
            raise NotFound
        listing = await self._store.list(place.collection)
        by_age = sorted(listing.entries, key=lambda entry: entry.create_revision)
        entries = [
            entry
            async for entry in _in_turns(by_age)
            if place.has(entry.key) and (wanted.takes_all or wanted.takes(_decode(entry)))
        ]
        size = wanted.page_size or len(entries)
        shown = entries[(wanted.page - 1) * size : wanted.page * size]
        documents = [_shown(entry, place.kind, access) async for entry in _in_turns(shown)]
        return Answer(200, {"list": documents, "total": len(entries)})

    async def _has_parent(self, place: Place) -> bool:
        """What it stands below may have gone by its time, and it is about to."""
        return not place.kind.parent or await self._store.get(_parent(place).key) is not None

    def check_writable(self) -> None:
        """Raises ReadOnly if nothing can be written, whatever it is."""
        self._store.check_writable()

    async def put(
        self,
        place: Place,
        body: object,
        access: Access,
        *,
        ttl_s: float | None = None,
        forced: bool = False,
    ) -> Answer:
        """Make the resource, or replace it. If `place` has no id, the document has it.

        `forced`: a global rule may have plugins that another one has. It is for the moment in which they
        move from the one to the other: of the two, only that of the rule whose id comes last holds.
        """
        kind, document = place.kind, _object(place.kind, body)
        if place.id is None and not kind.is_plain:
            place = msgspec.structs.replace(place, id=_own_id(kind, document))
        entry = await self._write(place, lambda _: _as_new(kind, document), access, ttl_s, forced=forced)
        status = 201 if entry.create_revision == entry.mod_revision else 200
        return _written(status, entry, kind, access)

    async def post(
        self, place: Place, body: object, access: Access, *, ttl_s: float | None = None
    ) -> Answer:
        """Make the resource under a new id. Ids sort by age."""
        kind, document = place.kind, _object(place.kind, body)
        if place.id is not None or kind.id_name in document:
            msg = f"wrong {kind.singular} id, do not need it"
            raise InvalidResource(msg)

        def make(old: Document | None) -> Document:
            if old is not None:  # two in one nanosecond, or the clock went back
                msg = "the new id is taken"
                raise Conflict(msg)
            return _as_new(kind, document)

        place = msgspec.structs.replace(place, id=f"{time.time_ns():020}")
        return _written(201, await self._write(place, make, access, ttl_s), kind, access)

    async def patch(
        self,
        place: Place,
        path: Sequence[str],
        body: object,
        access: Access,
        *,
        ttl_s: float | None = None,
    ) -> Answer:
        """Change the resource: merge `body`, or with a `path` put `body` there."""
        kind = place.kind
        if not path:
            _object(kind, body)

        def make(old: Document | None) -> Document:
            if old is None:
                raise NotFound
            old = _as_new(kind, old)
            return _object(kind, replace_at(old, path, body) if path else merge(old, body))

        return _written(200, await self._write(place, make, access, ttl_s), kind, access)

    async def delete(self, place: Place, *, force: bool) -> Answer:
        """Delete the resource with all below it; unless `force`, only if no other one names it."""
        key = place.key
        async with self._writing:
            revision = await self._try_delete(place, force=force)
        if revision is None:
            raise NotFound
        await self._applied(revision)
        return Answer(200, {"key": PREFIX + key, "deleted": "1"}, key, revision)

    async def _try_delete(self, place: Place, *, force: bool) -> int | None:
        has_below = any(kind.parent == place.kind.name for kind in KINDS.values())
        for _ in range(_ATTEMPTS):
            since = None if force else await check_unused(self._store, place)
            try:
                return await self._store.delete(place.key, unchanged_since=since, with_below=has_below)
            except Conflict:  # another process has written meanwhile: perhaps what names this one
                continue
        raise _too_busy(place.key)

    async def _write(
        self, place: Place, make: Make, access: Access, ttl_s: float | None, *, forced: bool = False
    ) -> Entry:
        """Write what `make` makes of the document that is there, if nothing came between."""
        async with self._writing:
            entry = await self._try_write(place, make, access, ttl_s, forced=forced)
            if holds_identities(place):  # the next write must find it among those that are held
                await self._applied(entry.mod_revision)
                return entry
        await self._applied(entry.mod_revision)
        return entry

    async def _try_write(
        self, place: Place, make: Make, access: Access, ttl_s: float | None, *, forced: bool
    ) -> Entry:
        key, kind = place.key, place.kind
        plugins, keyring = access.plugins.plugins, access.keyring
        for _ in range(_ATTEMPTS):
            old = await self._store.get(key)
            old_document = None if old is None else _plain(old, kind, access)
            document = self._complete(place, make(old_document), old_document)
            document = sealing.unseal(document, kind, plugins, keyring)
            requires, unchanged = await self._check(place, document, access, forced=forced)
            value = msgspec.json.encode(sealing.seal(document, kind, plugins, keyring))
            try:
                return await self._store.put(
                    key,
                    value,
                    expected_revision=old.mod_revision if old else None,
                    create_only=old is None,
                    requires=requires,
                    unchanged=unchanged,
                    ttl_s=ttl_s,
                )
            except Conflict:  # another process was faster: once more, with what it wrote
                continue
        raise _too_busy(key)

    async def _check(
        self, place: Place, document: Document, access: Access, *, forced: bool
    ) -> tuple[Sequence[str], Unchanged | None]:
        """The keys that have to be there when `document` is written, and what must be as it was.

        Raises InvalidResource, or ParentMissing, if it cannot be.
        """
        check_depth(document)
        place.kind.check(place.id or "", document, access.plugins)
        requires = await check_references(self._store, place, document)
        check_identities(place, document, access.plugins, self._find_holder)
        return requires, None if forced else await check_rules(self._store, place, document)

    def _complete(self, place: Place, document: Document, old: Document | None) -> Document:
        """The document as it is stored, but for its secrets: with its id, its times and the defaults."""
        kind = place.kind
        if kind.is_plain:
            _check_own_id(place, document, "id")
            return {name: value for name, value in document.items() if name != "id"}
        _check_own_id(place, document, kind.id_name)
        now = int(self._now())
        created = document.get("create_time", (old or {}).get("create_time", now))
        updated = document.get("update_time", now)
        stamps = {kind.id_name: place.id, "create_time": created, "update_time": updated}
        return with_defaults(document, kind.defaults) | stamps


def _too_busy(key: str) -> Conflict:
    return Conflict(f"{PREFIX}{key} is changed by others all the time")


def _as_new(kind: Kind, document: Document) -> Document:
    """`document` without the time of its last change: that is now, unless a patch says otherwise."""
    if kind.is_plain:
        return document
    return {name: value for name, value in document.items() if name != "update_time"}


def _check_own_id(place: Place, document: Document, name: str) -> None:
    if name in document and _own_id(place.kind, document, name) != place.id:
        what = "username" if name == "username" else f"{place.kind.singular} id"
        msg = f"wrong {what}"
        raise InvalidResource(msg)


def _own_id(kind: Kind, document: Document, name: str = "") -> str | None:
    """The id that the document says it has; APISIX's may be integers, but for usernames."""
    name = name or kind.id_name
    id_ = document.get(name)
    if name == "username" and name in document and not isinstance(id_, str):
        msg = f'invalid {kind.singular}: property "{name}": expected str, got {shown(id_)}'
        raise InvalidResource(msg)
    if type(id_) is int:
        return str(id_) if id_ >= 1 else None
    return id_ if isinstance(id_, str) else None


def _parent(place: Place) -> Place:
    return Place(KINDS[place.kind.parent], place.parent)


def _object(kind: Kind, body: object) -> Document:
    if isinstance(body, dict):
        return body
    msg = f"invalid {kind.singular}: expected object"
    raise InvalidResource(msg)


async def _in_turns(entries: Iterable[Entry]) -> AsyncIterator[Entry]:
    """The entries; all else that the loop has to do gets its turn among them."""
    for count, entry in enumerate(entries, 1):
        if not count % _AT_ONCE:
            await asyncio.sleep(0)
        yield entry


def _decode(entry: Entry) -> Document:
    try:
        document: Any = msgspec.json.decode(entry.value, type=dict)
    except msgspec.DecodeError as error:
        msg = f"the store holds no JSON object at {entry.key}"
        raise StoreError(msg) from error
    return dict(document)


# --- what is shown


def _plain(entry: Entry, kind: Kind, access: Access) -> Document:
    """The document with its secrets in the clear; one that cannot be read stays as it is stored."""
    document = _decode(entry)
    return sealing.unseal_what_can_be(document, kind, access.plugins.plugins, access.keyring)


def _node(entry: Entry, kind: Kind, access: Access) -> Document:
    is_plain = sealing.MARK not in entry.value
    value = msgspec.Raw(entry.value) if is_plain else _plain(entry, kind, access)
    return {"key": PREFIX + entry.key, "value": value}


def _written(status: int, entry: Entry, kind: Kind, access: Access) -> Answer:
    return Answer(status, _node(entry, kind, access), entry.key, entry.mod_revision)


def _shown(entry: Entry, kind: Kind, access: Access) -> Document:
    return _node(entry, kind, access) | {
        "createdIndex": entry.create_revision,
        "modifiedIndex": entry.mod_revision,
    }
