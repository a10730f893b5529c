"""The generic resource: what can be done with any kind. Documents in, answers out, no HTTP."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from batchway.admin.access import PluginSchemas
from batchway.admin.kinds import KINDS, Document, Kind, with_defaults
from batchway.admin.patch import check_depth, merge, replace_at
from batchway.errors import InvalidResource, StoreError
from batchway.store.base import Conflict, Entry, Store

PREFIX = "/apisix"
"""What stands before a key of the store in an answer: APISIX's etcd prefix."""
_ATTEMPTS = 10
_ID = re.compile(r"[a-zA-Z0-9_.-]{1,64}")

Answer = tuple[int, Document]
"""An HTTP status and the document that goes with it."""


class NotFound(Exception):
    """There is no such key."""


class Resources:
    """Reads and writes of resources. `applied` is awaited with the revision of every write."""

    def __init__(
        self,
        store: Store,
        applied: Callable[[int], Awaitable[None]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._applied = applied
        self._now = now
        # a route must not come to name an upstream that is being deleted
        self._writing = asyncio.Lock()

    async def get(self, kind: Kind, id_: str) -> Answer:
        """The resource."""
        entry = await self._store.get(_key(kind, id_))
        if entry is None:
            raise NotFound
        return 200, _shown(entry)

    async def list(self, kind: Kind, page: int = 1, page_size: int | None = None) -> Answer:
        """The resources, oldest first: all, or those of one page."""
        listing = await self._store.list(f"/{kind.name}/")
        entries = sorted(listing.entries, key=lambda entry: entry.create_revision)
        first = (page - 1) * page_size if page_size else 0
        shown = entries[first : first + page_size] if page_size else entries
        return 200, {"list": [_shown(entry) for entry in shown], "total": len(entries)}

    async def put(self, kind: Kind, id_: str | None, body: object, plugins: PluginSchemas) -> Answer:
        """Make the resource, or replace it. Without `id_`, the document has it."""
        document = _object(kind, body)
        if id_ is None and not kind.is_plain:
            id_ = _own_id(document)
        id_ = check_id(kind, id_)
        entry = await self._write(kind, id_, lambda _: document, plugins)
        return 201 if entry.create_revision == entry.mod_revision else 200, _written(entry)

    async def post(self, kind: Kind, body: object, plugins: PluginSchemas) -> Answer:
        """Make the resource under a new id. Ids sort by age."""
        document = _object(kind, body)
        if "id" in document:
            msg = f"wrong {kind.singular} id, do not need it"
            raise InvalidResource(msg)

        def make(old: Document | None) -> Document:
            if old is not None:  # two in one nanosecond, or the clock went back
                msg = "the new id is taken"
                raise Conflict(msg)
            return document

        entry = await self._write(kind, f"{time.time_ns():020}", make, plugins)
        return 201, _written(entry)

    async def patch(
        self, kind: Kind, id_: str, path: Sequence[str], body: object, plugins: PluginSchemas
    ) -> Answer:
        """Change the resource: merge `body`, or with a `path` put `body` there."""
        if not path:
            _object(kind, body)

        def make(old: Document | None) -> Document:
            if old is None:
                raise NotFound
            return _object(kind, replace_at(old, path, body) if path else merge(old, body))

        return 200, _written(await self._write(kind, id_, make, plugins))

    async def delete(self, kind: Kind, id_: str, *, force: bool) -> Answer:
        """Delete the resource; unless `force`, only if no other one names it."""
        key = _key(kind, id_)
        async with self._writing:
            if not force:
                await self._check_unused(kind, id_)
            revision = await self._store.delete(key)
        if revision is None:
            raise NotFound
        await self._applied(revision)
        return 200, {"key": PREFIX + key, "deleted": "1"}

    async def _write(
        self,
        kind: Kind,
        id_: str,
        make: Callable[[Document | None], Document],
        plugins: PluginSchemas,
    ) -> Entry:
        """Write what `make` makes of the document that is there, if nothing came between."""
        async with self._writing:
            entry = await self._try_write(kind, id_, make, plugins)
        await self._applied(entry.mod_revision)
        return entry

    async def _try_write(
        self,
        kind: Kind,
        id_: str,
        make: Callable[[Document | None], Document],
        plugins: PluginSchemas,
    ) -> Entry:
        key = _key(kind, id_)
        for _ in range(_ATTEMPTS):
            old = await self._store.get(key)
            old_document = _decode(old) if old else None
            document = self._complete(kind, id_, make(old_document), old_document)
            check_depth(document)
            kind.check(id_, document, plugins)
            await self._check_references(kind, document)
            value = msgspec.json.encode(document)
            try:
                if old is None:
                    return await self._store.put(key, value, create_only=True)
                return await self._store.put(key, value, expected_revision=old.mod_revision)
            except Conflict:  # another process was faster: once more, with what it wrote
                continue
        msg = f"{PREFIX}{key} is changed by others all the time"
        raise Conflict(msg)

    def _complete(self, kind: Kind, id_: str, document: Document, old: Document | None) -> Document:
        """The document as it is stored: with its id, its times and the defaults."""
        if "id" in document and _own_id(document) != id_:
            msg = f"wrong {kind.singular} id"
            raise InvalidResource(msg)
        if kind.is_plain:
            return {name: value for name, value in document.items() if name != "id"}
        now = int(self._now())
        created = (old or document).get("create_time", now)
        stamps = {"id": id_, "create_time": created, "update_time": now}
        return with_defaults(document, kind.defaults) | stamps

    async def _check_references(self, kind: Kind, document: Document) -> None:
        for name, target in kind.references.items():
            if name not in document:
                continue
            id_, singular = document[name], KINDS[target].singular
            if await self._store.get(f"/{target}/{id_}") is None:
                msg = f"failed to fetch {singular} info by {singular} id [{id_}], response code: 404"
                raise InvalidResource(msg)

    async def _check_unused(self, kind: Kind, id_: str) -> None:
        for other in KINDS.values():
            names = [name for name, target in other.references.items() if target == kind.name]
            if not names:
                continue
            for entry in (await self._store.list(f"/{other.name}/")).entries:
                if id_.encode() not in entry.value:  # an id is never escaped: no need to decode
                    continue
                document = _decode(entry)
                if any(str(document.get(name)) == id_ for name in names):
                    user = f"{other.singular} [{entry.key.rpartition('/')[2]}]"
                    msg = f"can not delete this {kind.singular}, {user} is still using it now"
                    raise InvalidResource(msg)


def check_id(kind: Kind, id_: str | None) -> str:
    """`id_`, if it is one. Raises InvalidResource."""
    if id_ is None:
        msg = "missing plugin name" if kind.is_plain else f"missing {kind.singular} id"
        raise InvalidResource(msg)
    if not _ID.fullmatch(id_):
        msg = f"invalid {kind.singular} id: expected 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.'"
        raise InvalidResource(msg)
    return id_


def _own_id(document: Document) -> str | None:
    """The id that the document says it has; APISIX's may be integers."""
    id_ = document.get("id")
    return str(id_) if type(id_) in (str, int) else None


def _key(kind: Kind, id_: str) -> str:
    return f"/{kind.name}/{id_}"


def _object(kind: Kind, body: object) -> Document:
    if isinstance(body, dict):
        return body
    msg = f"invalid {kind.singular}: expected object"
    raise InvalidResource(msg)


def _decode(entry: Entry) -> Document:
    try:
        document: Any = msgspec.json.decode(entry.value, type=dict)
    except msgspec.DecodeError as error:
        msg = f"the store holds no JSON object at {entry.key}"
        raise StoreError(msg) from error
    return dict(document)


def _written(entry: Entry) -> Document:
    return {"key": PREFIX + entry.key, "value": msgspec.Raw(entry.value)}


def _shown(entry: Entry) -> Document:
    return _written(entry) | {
        "createdIndex": entry.create_revision,
        "modifiedIndex": entry.mod_revision,
    }
