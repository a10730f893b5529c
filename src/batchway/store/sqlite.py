"""The store in an SQLite file.

One thread of its own runs every statement, so the event loop never waits for a disk.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from batchway.errors import StoreError
from batchway.store.base import Compacted, Conflict, Entry, Event, Listing, Unchanged
from batchway.store.file import BUSY_TIMEOUT_S, check_schema, open_file, pragma, transaction

P = ParamSpec("P")
R = TypeVar("R")

KEPT_CHANGES = 1000
"""So many writes a watch may lag behind before it must list again."""
_WATCH_CHUNK = 50
_POLL_S = 0.5
"""How often a watch looks for what other processes have written, and for what has expired."""
_COLUMNS = "key, value, create_revision, mod_revision"
Clock = Callable[[], float]


class SqliteStore:
    """A Store in one file. Made by `open`."""

    def __init__(self, db: sqlite3.Connection, thread: ThreadPoolExecutor, now: Clock) -> None:
        self._db = db
        self._thread = thread
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._closed = False

    @classmethod
    async def open(cls, path: Path, now: Clock = time.time) -> "SqliteStore":
        """The store in the file `path`, which is made, with its directory, if it is not there.

        `now` tells the seconds since the epoch, by which keys expire. Raises StoreError naming the
        path and what is wrong.
        """
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        try:
            db = await asyncio.get_running_loop().run_in_executor(thread, open_file, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(db, thread, now)

    async def close(self) -> None:
        """End all watches, finish what was begun, close the file. A second time does nothing."""
        if self._closed:
            return
        closing = self._loop.run_in_executor(self._thread, self._db.close)
        self._closed = True
        self._wake()
        await closing
        self._thread.shutdown()

    def check_writable(self) -> None:
        """Raises nothing."""

    async def get(self, key: str) -> Entry | None:
        """What stands at `key`."""
        return await self._run(_get, self._db, key, self._now())

    async def list(self, prefix: str) -> Listing:
        """What stands at the keys that begin with `prefix`, in the order of the keys."""
        return await self._run(_list, self._db, prefix, self._now())

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected_revision: int | None = None,
        create_only: bool = False,
        requires: Sequence[str] = (),
        unchanged: Unchanged | None = None,
        ttl_s: float | None = None,
    ) -> Entry:
        """Write `value`; on disk once this returns. Raises Conflict as `Store.put` says."""
        expected = 0 if create_only else expected_revision
        expires = None if ttl_s is None else self._now() + ttl_s
        return await self._run(self._write, _put, key, value, expected, tuple(requires), unchanged, expires)

    async def delete(
        self,
        key: str,
        *,
        expected_revision: int | None = None,
        unchanged_since: int | None = None,
        with_below: bool = False,
    ) -> int | None:
        """Delete `key`: the revision that did, or None if there was none. As `Store.delete` says."""
        work = _delete_all if with_below else _delete
        return await self._run(self._write, work, key, expected_revision, unchanged_since)

    async def watch(self, from_revision: int) -> AsyncGenerator[Event, None]:
        """Every write after `from_revision`, in order, and then those to come."""
        seen = from_revision
        while not self._closed:
            changed = self._changed  # taken before the read: a write after it sets this very event
            events = await self._run(self._next, seen)
            for event in events:
                seen = event.revision
                yield event
            if not events:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await changed.wait()

    def wake(self) -> None:
        """Let watches look at once for what another process has written."""
        self._wake()

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._closed:
            msg = "the store is closed"
            raise StoreError(msg)

        def call() -> R:
            try:
                return work(*args, **kwargs)
            except sqlite3.Error as error:
                msg = f"the store does not answer: {error}"
                raise StoreError(msg) from error

        return await self._loop.run_in_executor(self._thread, call)

    def _write(self, work: Callable[..., R], *args: object) -> R:
        """Runs in the store's thread: a cancelled caller does not keep the watches from waking."""
        if _has_expired(self._db, now := self._now()):
            with transaction(self._db, "IMMEDIATE"):  # of its own: it holds even if `work` is refused
                _delete_expired(self._db, now)
        with transaction(self._db, "IMMEDIATE"):
            result = work(self._db, *args)
        with suppress(RuntimeError):  # the loop was closed, and with it every watch
            self._loop.call_soon_threadsafe(self._wake)
        return result

    def _next(self, seen: int) -> tuple[Event, ...]:
        """The next changes; what has expired becomes one. Takes no lock as long as nothing has."""
        if _has_expired(self._db, self._now()):
            self._write(lambda _db: None)
        return _changes(self._db, seen)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


# --- statements; all of this runs in the store's thread


def _get(db: sqlite3.Connection, key: str, now: float) -> Entry | None:
    query = f"SELECT {_COLUMNS} FROM entries WHERE key = ? AND (expires IS NULL OR expires > ?)"  # noqa: S608 - constants
    row = db.execute(query, (key, now)).fetchone()
    return Entry(*row) if row else None


def _list(db: sqlite3.Connection, prefix: str, now: float) -> Listing:
    query = (
        f"SELECT {_COLUMNS} FROM entries WHERE key >= ? AND key < ?"  # noqa: S608 - constants
        " AND (expires IS NULL OR expires > ?) ORDER BY key"
    )
    with transaction(db, "DEFERRED"):  # entries and revision of the same moment
        rows = db.execute(query, (prefix, prefix + "\U0010ffff", now)).fetchall()
        return Listing(tuple(Entry(*row) for row in rows), _revision(db))


def _has_expired(db: sqlite3.Connection, now: float) -> bool:
    return db.execute("SELECT 1 FROM entries WHERE expires <= ? LIMIT 1", (now,)).fetchone() is not None


def _delete_expired(db: sqlite3.Connection, now: float) -> None:
    """Delete what has expired, with what stands below it."""
    query = "SELECT key FROM entries WHERE expires <= ? ORDER BY expires, key"
    for (key,) in db.execute(query, (now,)).fetchall():
        _delete_all(db, key, None, None)


def _put(
    db: sqlite3.Connection,
    key: str,
    value: bytes,
    expected: int | None,
    requires: Sequence[str],
    unchanged: Unchanged | None,
    expires: float | None,
) -> Entry:
    old = _check(db, key, expected)
    for required in requires:
        if _find(db, required) is None:
            msg = f"{required} has gone meanwhile"
            raise Conflict(msg)
    if unchanged is not None:
        _check_below(db, unchanged)
    revision = _revision(db) + 1
    entry = Entry(key, value, old.create_revision if old else revision, revision)
    row = (key, value, entry.create_revision, revision, expires)
    db.execute(f"INSERT OR REPLACE INTO entries ({_COLUMNS}, expires) VALUES (?, ?, ?, ?, ?)", row)  # noqa: S608 - constants
    _record(db, revision, key, value, entry.create_revision)
    return entry


def _delete_all(
    db: sqlite3.Connection, key: str, expected: int | None, unchanged_since: int | None
) -> int | None:
    """Delete `key` with what stands below it."""
    _check_unchanged(db, unchanged_since)
    if _check(db, key, expected) is None:
        return None
    query = "SELECT key FROM entries WHERE key >= ? AND key < ? ORDER BY key"
    for (below,) in db.execute(query, (f"{key}/", f"{key}/\U0010ffff")).fetchall():
        _delete(db, below)
    return _delete(db, key)


def _delete(
    db: sqlite3.Connection, key: str, expected: int | None = None, unchanged_since: int | None = None
) -> int | None:
    _check_unchanged(db, unchanged_since)
    if _check(db, key, expected) is None:
        return None
    revision = _revision(db) + 1
    db.execute("DELETE FROM entries WHERE key = ?", (key,))
    _record(db, revision, key, None, None)
    return revision


def _check(db: sqlite3.Connection, key: str, expected: int | None) -> Entry | None:
    """What stands at `key`. Raises Conflict if its revision (0: absent) is not `expected`."""
    old = _find(db, key)
    found = old.mod_revision if old else 0
    if expected is not None and found != expected:
        msg = f"{key} has been changed meanwhile: revision {found}, expected {expected}"
        raise Conflict(msg)
    return old


def _find(db: sqlite3.Connection, key: str) -> Entry | None:
    """What stands at `key` within a write: what has expired was deleted before it."""
    row = db.execute(f"SELECT {_COLUMNS} FROM entries WHERE key = ?", (key,)).fetchone()  # noqa: S608 - constants
    return Entry(*row) if row else None


def _check_unchanged(db: sqlite3.Connection, since: int | None) -> None:
    if since is not None and (newest := _revision(db)) > since:
        msg = f"the store has been changed meanwhile: revision {newest}, expected {since}"
        raise Conflict(msg)


def _check_below(db: sqlite3.Connection, unchanged: Unchanged) -> None:
    query = "SELECT key FROM entries WHERE key >= ? AND key < ? AND mod_revision > ? LIMIT 1"
    prefix, since = unchanged.prefix, unchanged.since
    row = db.execute(query, (prefix, prefix + "\U0010ffff", since)).fetchone()
    if row is not None:
        msg = f"{row[0]} has been changed meanwhile, after revision {since}"
        raise Conflict(msg)


def _record(
    db: sqlite3.Connection, revision: int, key: str, value: bytes | None, created: int | None
) -> None:
    db.execute("INSERT INTO changes VALUES (?, ?, ?, ?)", (revision, key, value, created))
    db.execute("DELETE FROM changes WHERE revision <= ?", (revision - KEPT_CHANGES,))


def _revision(db: sqlite3.Connection) -> int:
    """Revision of the last write: the newest change is always kept."""
    revision: int = db.execute("SELECT ifnull(max(revision), 0) FROM changes").fetchone()[0]
    return revision


def _changes(db: sqlite3.Connection, after: int) -> tuple[Event, ...]:
    """The next changes. Raises Compacted if not all of them are kept, or `after` is yet to come."""
    query = (
        "SELECT revision, key, value, create_revision FROM changes WHERE revision > ?"
        " ORDER BY revision LIMIT ?"
    )
    with transaction(db, "DEFERRED"):
        newest = _revision(db)
        rows = db.execute(query, (after, _WATCH_CHUNK)).fetchall()
    if after > newest or (after < newest and rows[0][0] != after + 1):
        msg = f"revision {after} cannot be watched from"
        raise Compacted(msg)
    return tuple(_event(*row) for row in rows)


def _event(revision: int, key: str, value: bytes | None, created: int | None) -> Event:
    if value is None or created is None:
        return Event("delete", key, revision, None)
    return Event("put", key, revision, Entry(key, value, created, revision))


# --- reading without opening


def snapshot(path: Path) -> Listing | None:
    """All that the store in the file `path` holds now, or None if there is no such file.

    Writes and makes nothing, whether a gateway is at work on the file or not. Blocks: not for the
    event loop. Raises StoreError like `SqliteStore.open`.
    """
    try:
        os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        msg = f"the store {path} cannot be read: {error.strerror}"
        raise StoreError(msg) from error
    # Even a read-only connection makes the WAL's two files and leaves them there, unless told that
    # nobody writes; where there is a WAL, somebody does, or did until they were killed.
    wal = f"{os.path.realpath(path)}-wal"
    is_live = os.path.exists(wal)
    try:
        listing = _read_all(path, immutable=not is_live)
    except StoreError:
        if is_live or not os.path.exists(wal):
            raise
    else:
        if is_live or not os.path.exists(wal):
            return listing
    return _read_all(path, immutable=False)  # a gateway has started meanwhile


def _read_all(path: Path, *, immutable: bool) -> Listing:
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable={immutable:d}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
            if not pragma(db, "schema_version"):  # an empty file
                return Listing((), 0)
            if check_schema(db, path) == 1:  # `serve` will add the column; nothing is written here
                rows = db.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY key").fetchall()  # noqa: S608 - constants
                return Listing(tuple(Entry(*row) for row in rows), _revision(db))
            return _list(db, "", time.time())
    except sqlite3.Error as error:
        msg = f"the store {path} cannot be read: {error}"
        raise StoreError(msg) from error
