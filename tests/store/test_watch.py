import asyncio
import sqlite3
import threading
from asyncio import Runner
from pathlib import Path
from typing import Any

import pytest

from batchway.store import sqlite
from batchway.store.base import Compacted, Entry, Event
from batchway.store.sqlite import SqliteStore
from tests.loops import until

from .watching import take


def test_a_watch_has_what_was_written_before_it(runner: Runner, store: SqliteStore) -> None:
    async def scenario() -> list[Event]:
        await store.put("/a", b"1")
        await store.put("/a", b"2")
        await store.delete("/a")
        return await take(store, 0, 3)

    assert runner.run(scenario()) == [
        Event("put", "/a", 1, Entry("/a", b"1", 1, 1)),
        Event("put", "/a", 2, Entry("/a", b"2", 1, 2)),
        Event("delete", "/a", 3, None),
    ]


def test_a_watch_has_what_is_written_after_it(runner: Runner, store: SqliteStore) -> None:
    async def scenario() -> list[Event]:
        await store.put("/a", b"1")
        watching = asyncio.create_task(take(store, 1, 2))
        await asyncio.sleep(0.02)
        await store.put("/b", b"1")
        await asyncio.sleep(0.02)
        await store.put("/c", b"1")
        return await watching

    assert [event.key for event in runner.run(scenario())] == ["/b", "/c"]


def test_an_empty_value_is_put_not_deleted(runner: Runner, store: SqliteStore) -> None:
    async def scenario() -> list[Event]:
        await store.put("/a", b"")
        return await take(store, 0, 1)

    assert runner.run(scenario()) == [Event("put", "/a", 1, Entry("/a", b"", 1, 1))]


def test_nothing_is_lost_between_a_list_and_its_watch(runner: Runner, store: SqliteStore) -> None:
    """A reader lists while another writes: list and watch together have every write once."""
    count = 120  # more than one read of the watch takes

    async def write() -> None:
        for number in range(count):
            await store.put(f"/{number:03}", b"")

    async def scenario() -> list[str]:
        writing = asyncio.create_task(write())
        await asyncio.sleep(0.01)
        listing = await store.list("")
        events = await take(store, listing.revision, count - len(listing.entries))
        await writing
        return [e.key for e in listing.entries] + [e.key for e in events]

    assert runner.run(scenario()) == [f"/{number:03}" for number in range(count)]


def test_every_watcher_has_every_write(runner: Runner, store: SqliteStore) -> None:
    async def scenario() -> list[list[Event]]:
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(take(store, 0, 10)) for _ in range(5)]
            for number in range(10):
                await store.put(f"/{number}", b"")
        return [task.result() for task in watching]

    for events in runner.run(scenario()):
        assert [event.revision for event in events] == list(range(1, 11))


def test_a_write_that_was_cancelled_too_late_wakes_the_watch(
    runner: Runner, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, put = threading.Event(), threading.Event(), sqlite._put

    def slow_put(db: sqlite3.Connection, key: str, value: bytes, *conditions: Any) -> Entry:
        begun.set()
        assert go_on.wait(30)
        return put(db, key, value, *conditions)

    monkeypatch.setattr(sqlite, "_put", slow_put)

    async def scenario() -> list[Event]:
        watching = asyncio.create_task(take(store, 0, 1))
        await asyncio.sleep(0.02)
        write = asyncio.create_task(store.put("/a", b"1"))
        assert await asyncio.to_thread(begun.wait, 30)
        write.cancel()
        with pytest.raises(asyncio.CancelledError):
            await write
        go_on.set()
        return await watching

    assert [event.key for event in runner.run(scenario())] == ["/a"]


def test_closing_the_store_ends_the_watch(runner: Runner, path: Path) -> None:
    async def scenario() -> list[Event]:
        store = await SqliteStore.open(path)
        events: list[Event] = []

        async def watch() -> None:
            async for event in store.watch(0):
                events.append(event)  # noqa: PERF401 - as they come

        watching = asyncio.create_task(watch())
        await store.put("/a", b"1")
        await until(lambda: events)
        await store.close()
        await asyncio.wait_for(watching, 30)
        return events

    assert len(runner.run(scenario())) == 1


def test_a_watch_on_a_closed_store_ends_at_once(runner: Runner, path: Path) -> None:
    async def scenario() -> list[Event]:
        store = await SqliteStore.open(path)
        await store.close()
        return await take(store, 0, 1)

    assert runner.run(scenario()) == []


def test_a_cancelled_watch_leaves_the_store_working(runner: Runner, store: SqliteStore) -> None:
    async def scenario() -> Entry:
        watching = asyncio.create_task(take(store, 0, 1))
        await asyncio.sleep(0.02)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        return await store.put("/a", b"1")

    assert runner.run(scenario()).mod_revision == 1


def test_a_watch_that_lags_too_far_must_list_again(
    runner: Runner, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "KEPT_CHANGES", 5)

    async def scenario() -> list[Event]:
        for number in range(10):
            await store.put(f"/{number}", b"")
        with pytest.raises(Compacted):
            await take(store, 4, 1)
        return await take(store, 5, 5)

    assert [event.revision for event in runner.run(scenario())] == [6, 7, 8, 9, 10]


def test_a_revision_that_is_yet_to_come_must_be_listed_again(runner: Runner, store: SqliteStore) -> None:
    """The file was replaced by an older one: what the watcher knows never happened here."""
    with pytest.raises(Compacted):
        runner.run(take(store, 1, 1))


def test_a_watch_goes_on_over_a_restart(runner: Runner, path: Path) -> None:
    async def scenario() -> list[Event]:
        store = await SqliteStore.open(path)
        await store.put("/a", b"1")
        await store.put("/b", b"1")
        await store.close()
        store = await SqliteStore.open(path)
        events = await take(store, 1, 1)
        await store.close()
        return events

    assert [event.key for event in runner.run(scenario())] == ["/b"]
