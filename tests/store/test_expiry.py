"""Keys with a time to live: gone on the dot for readers, deleted for watches, never back."""

import asyncio
import sqlite3
import time
from asyncio import Runner
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchway.errors import StoreError
from batchway.store import sqlite
from batchway.store.base import Conflict, Entry, Event
from batchway.store.file import APPLICATION_ID, SCHEMA, SCHEMA_VERSION
from batchway.store.sqlite import SqliteStore, snapshot

from .watching import take


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(runner: Runner, path: Path, clock: Clock) -> Iterator[SqliteStore]:
    store = runner.run(SqliteStore.open(path, clock))
    yield store
    runner.run(store.close())


def test_a_key_is_there_until_its_time_is_up(runner: Runner, store: SqliteStore, clock: Clock) -> None:
    entry = runner.run(store.put("/a", b"1", ttl_s=10))
    clock.time += 9.9
    assert runner.run(store.get("/a")) == entry == Entry("/a", b"1", 1, 1)
    assert runner.run(store.list("/")).entries == (entry,)

    clock.time += 0.1
    assert runner.run(store.get("/a")) is None
    assert runner.run(store.list("/")).entries == ()


def test_a_key_without_a_time_stays(runner: Runner, store: SqliteStore, clock: Clock) -> None:
    runner.run(store.put("/a", b"1"))
    clock.time += 1e9

    assert runner.run(store.get("/a")) is not None


def test_a_later_write_without_a_time_keeps_the_key(
    runner: Runner, store: SqliteStore, clock: Clock
) -> None:
    runner.run(store.put("/a", b"1", ttl_s=10))
    runner.run(store.put("/a", b"2"))
    clock.time += 11

    assert runner.run(store.get("/a")) == Entry("/a", b"2", 1, 2)


def test_a_later_write_with_a_time_begins_it_anew(runner: Runner, store: SqliteStore, clock: Clock) -> None:
    runner.run(store.put("/a", b"1", ttl_s=10))
    clock.time += 9
    runner.run(store.put("/a", b"2", ttl_s=10))
    clock.time += 9
    assert runner.run(store.get("/a")) is not None

    clock.time += 1
    assert runner.run(store.get("/a")) is None


def test_what_has_expired_is_not_there_for_a_write_either(
    runner: Runner, store: SqliteStore, clock: Clock
) -> None:
    seen = runner.run(store.put("/a", b"1", ttl_s=10)).mod_revision
    runner.run(store.put("/b", b"1", ttl_s=10))
    clock.time += 10

    with pytest.raises(Conflict):
        runner.run(store.put("/a", b"2", expected_revision=seen))
    assert runner.run(store.delete("/b")) is None
    entry = runner.run(store.put("/a", b"2", create_only=True))
    assert entry.create_revision == entry.mod_revision


def test_what_has_expired_fulfils_no_condition(runner: Runner, store: SqliteStore, clock: Clock) -> None:
    runner.run(store.put("/a", b"1", ttl_s=10))
    clock.time += 10

    with pytest.raises(Conflict):
        runner.run(store.put("/b", b"1", requires=["/a"]))
    assert runner.run(store.put("/b", b"1")).mod_revision == 3


def test_a_refused_write_does_not_put_off_what_has_expired(
    runner: Runner, store: SqliteStore, clock: Clock
) -> None:
    """Else who waits for a store without changes would wait for ever."""
    runner.run(store.put("/a", b"1", ttl_s=10))
    runner.run(store.put("/b", b"1"))
    clock.time += 10
    with pytest.raises(Conflict):
        runner.run(store.delete("/b", unchanged_since=2))

    assert runner.run(store.delete("/b", unchanged_since=3)) == 4


def test_a_watch_has_the_delete_of_what_expires(runner: Runner, store: SqliteStore, clock: Clock) -> None:
    async def scenario() -> list[Event]:
        await store.put("/b", b"1", ttl_s=20)
        await store.put("/a", b"1", ttl_s=10)
        await store.put("/c", b"1")
        clock.time += 30
        return await take(store, 3, 2)

    expected = [Event("delete", "/a", 4, None), Event("delete", "/b", 5, None)]
    assert runner.run(scenario()) == expected


def test_what_stands_below_goes_with_it(runner: Runner, store: SqliteStore, clock: Clock) -> None:
    async def scenario() -> tuple[list[Event], list[str]]:
        await store.put("/a", b"1", ttl_s=10)
        for key in ("/a/b/1", "/a/b/2", "/a-b", "/ab"):
            await store.put(key, b"1")
        clock.time += 10
        events = await take(store, 5, 3)
        return events, [entry.key for entry in (await store.list("")).entries]

    events, left = runner.run(scenario())
    assert events == [
        Event("delete", "/a/b/1", 6, None),
        Event("delete", "/a/b/2", 7, None),
        Event("delete", "/a", 8, None),
    ]
    assert left == ["/a-b", "/ab"]


def test_what_stands_below_may_have_its_own_time(runner: Runner, store: SqliteStore, clock: Clock) -> None:
    async def scenario() -> list[Event]:
        await store.put("/a/b", b"1", ttl_s=10)
        await store.put("/a", b"1", ttl_s=5)
        clock.time += 10
        await store.put("/c", b"1")
        return await take(store, 2, 3)

    assert [event.key for event in runner.run(scenario())] == ["/a/b", "/a", "/c"]


def test_a_waiting_watch_sees_to_it_that_time_passes(
    runner: Runner, store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody writes any more: the watch alone notices."""
    monkeypatch.setattr(sqlite, "_POLL_S", 0.01)

    async def scenario() -> list[Event]:
        await store.put("/a", b"1", ttl_s=10)
        watching = asyncio.create_task(take(store, 1, 1))
        await asyncio.sleep(0.03)
        assert not watching.done()
        clock.time += 10
        return await watching

    assert runner.run(scenario()) == [Event("delete", "/a", 2, None)]


def test_every_process_on_the_file_has_one_delete(
    runner: Runner, store: SqliteStore, path: Path, clock: Clock
) -> None:
    async def scenario() -> list[list[Event]]:
        other = await SqliteStore.open(path, clock)
        await store.put("/a", b"1", ttl_s=10)
        clock.time += 10
        events = list(await asyncio.gather(take(store, 0, 2), take(other, 0, 2)))
        await store.put("/b", b"1")
        assert [event.key for event in await take(other, 2, 1)] == ["/b"]
        await other.close()
        return events

    one, other = runner.run(scenario())
    assert one == other
    assert one[1] == Event("delete", "/a", 2, None)


def test_a_restart_does_not_bring_it_back(runner: Runner, path: Path, clock: Clock) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(path, clock)
        await store.put("/a", b"1", ttl_s=10)
        await store.put("/b", b"1", ttl_s=100)
        await store.close()
        clock.time += 50
        store = await SqliteStore.open(path, clock)
        assert [entry.key for entry in (await store.list("")).entries] == ["/b"]
        assert [event.key for event in await take(store, 2, 1)] == ["/a"]
        await store.close()

    runner.run(scenario())


def test_a_snapshot_is_without_what_has_expired(
    runner: Runner, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(path)
        await store.put("/a", b"1", ttl_s=1000)
        await store.put("/b", b"1")
        await store.close()

    runner.run(scenario())
    listing = snapshot(path)
    assert listing is not None
    assert [entry.key for entry in listing.entries] == ["/a", "/b"]

    later = time.time() + 1001
    monkeypatch.setattr(time, "time", lambda: later)
    listing = snapshot(path)
    assert listing is not None
    assert [entry.key for entry in listing.entries] == ["/b"]


# --- files of the first version, which knew no times


@pytest.fixture
def old_file(path: Path) -> Path:
    with closing(sqlite3.connect(path)) as db, db:
        for statement in SCHEMA:
            db.execute(statement)
        db.execute("INSERT INTO entries VALUES ('/a', x'31', 1, 1)")
        db.execute("INSERT INTO changes VALUES (1, '/a', x'31', 1)")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
    return path


def test_a_file_of_the_first_version_is_brought_up_to_date(
    runner: Runner, old_file: Path, clock: Clock
) -> None:
    async def scenario() -> None:
        store = await SqliteStore.open(old_file, clock)
        assert await store.get("/a") == Entry("/a", b"1", 1, 1)
        await store.put("/b", b"1", ttl_s=10)
        clock.time += 10
        assert [entry.key for entry in (await store.list("")).entries] == ["/a"]
        await store.close()

    runner.run(scenario())
    with closing(sqlite3.connect(old_file)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_snapshot_of_such_a_file_leaves_it_as_it_is(old_file: Path) -> None:
    before = old_file.read_bytes()
    listing = snapshot(old_file)

    assert listing is not None
    assert listing.entries == (Entry("/a", b"1", 1, 1),)
    assert old_file.read_bytes() == before


def test_a_file_of_no_version_is_refused(runner: Runner, old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as db, db:
        db.execute("PRAGMA user_version = 0")
    with pytest.raises(StoreError, match="schema version 0"):
        runner.run(SqliteStore.open(old_file))
