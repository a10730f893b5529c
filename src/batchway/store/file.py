"""The file of the SQLite store: made, recognised, brought up to date. All of this blocks."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from batchway.errors import StoreError

APPLICATION_ID = 0x62774159
"""Tells our files from those of other programs."""
SCHEMA_VERSION = 2
SCHEMA = (
    "CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB NOT NULL,"
    " create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL) WITHOUT ROWID",
    # what a watch reads; value and create_revision are null for a delete
    "CREATE TABLE changes (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB,"
    " create_revision INTEGER)",
)
MIGRATIONS = {
    # seconds since the epoch; a write reads the index only, so keys that stay cost it nothing
    1: (
        "ALTER TABLE entries ADD COLUMN expires REAL",
        "CREATE INDEX entries_expires ON entries (expires) WHERE expires IS NOT NULL",
    ),
}
"""What leads from that version to the next. A new file takes the same way."""
BUSY_TIMEOUT_S = 5.0
"""How long another process's write is waited for."""


def open_file(path: Path) -> sqlite3.Connection:
    """A connection to the store in that file, which is made if it is not there. Raises StoreError."""
    _make_file(path)
    try:
        db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            _prepare(db, path)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        msg = f"the store {path} cannot be opened: {error}"
        raise StoreError(msg) from error
    return db


def _make_file(path: Path) -> None:
    """For its owner's eyes only: plugins keep credentials in their configuration."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the directory {path.parent} cannot be made: {error.strerror}"
        raise StoreError(msg) from error
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        msg = f"the store {path} cannot be written: {error.strerror}"
        raise StoreError(msg) from error


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    _set_wal(db)
    db.execute("PRAGMA synchronous = FULL")  # a commit is on disk, not only in the WAL's cache
    with transaction(db, "IMMEDIATE"):  # two processes that start at once make one schema
        if not pragma(db, "schema_version"):  # an empty file
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute("PRAGMA user_version = 1")
        for version in range(check_schema(db, path), SCHEMA_VERSION):
            for statement in MIGRATIONS[version]:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {version + 1}")


def _set_wal(db: sqlite3.Connection) -> None:
    """Where another process is about to do the same, SQLite says so at once, without its busy timeout."""
    give_up = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def check_schema(db: sqlite3.Connection, path: Path) -> int:
    """The version of the file's schema. Raises StoreError for a file that is none of ours."""
    if pragma(db, "application_id") != APPLICATION_ID:
        msg = f"the store {path} is another program's database"
        raise StoreError(msg)
    version: int = pragma(db, "user_version")
    if not 1 <= version <= SCHEMA_VERSION:
        msg = f"the store {path} has schema version {version}, this batchway knows {SCHEMA_VERSION}"
        raise StoreError(msg)
    return version


def pragma(db: sqlite3.Connection, name: str) -> Any:
    """The value of a pragma."""
    return db.execute(f"PRAGMA {name}").fetchone()[0]


@contextmanager
def transaction(db: sqlite3.Connection, mode: str) -> Iterator[None]:
    """All that is done within it, or nothing of it. `mode` is DEFERRED or IMMEDIATE."""
    db.execute(f"BEGIN {mode}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
