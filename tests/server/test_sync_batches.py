"""Writes that belong together: no request sees some of them without the others."""

import asyncio
from typing import Any

import msgspec
import pytest

from batchway.store.base import Entry, Event, Listing
from tests.loops import settle

from .test_sync import NODES, Setup, route, set_up


def put(key: str, document: object, revision: int, *, more: bool = True) -> Event:
    entry = Entry(key, msgspec.json.encode(document), revision, revision)
    return Event("put", key, revision, entry, more)


def delete(key: str, revision: int, *, more: bool = True) -> Event:
    return Event("delete", key, revision, None, more)


class Turns:
    """Counts the turns that others get."""

    def __init__(self) -> None:
        self.count = 0
        self.task = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def send(it: Setup, *events: Event) -> None:
    for event in events:
        it.store.news.put_nowait(event)
    await settle()


def test_nothing_is_applied_before_the_last_has_come(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            await send(it, put("/routes/1", route("/1"), 1), put("/routes/2", route("/2"), 1))
            assert [await it.status(path) for path in ("/1", "/2")] == [404, 404]
            await send(it, put("/routes/3", route("/3"), 1, more=False))
            assert [await it.status(path) for path in ("/1", "/2", "/3")] == [503] * 3
            await asyncio.wait_for(it.sync.applied(1), 20)

    runner.run(main())


def test_what_is_named_is_put_first_and_goes_last(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has("/upstreams/old", {"nodes": NODES})
            it.store.has("/routes/old", {"uri": "/old", "upstream_id": "old"})
            await it.follow()
            it.gateway.done.clear()
            await send(
                it,
                delete("/upstreams/old", 3),
                put("/routes/new", {"uri": "/new", "upstream_id": "new"}, 3),
                delete("/routes/old", 3),
                put("/upstreams/new", {"nodes": NODES}, 3, more=False),
            )
            assert it.gateway.done == ["+upstream new", "+route new", "-route old", "-upstream old"]

    runner.run(main())


def test_nobody_gets_a_turn_between_them(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            turns = Turns()
            seen: list[int] = []
            put_route = it.gateway.catalog.put_route

            def noting(id_: str, found: Any) -> None:
                seen.append(turns.count)
                put_route(id_, found)

            monkeypatch.setattr(it.gateway.catalog, "put_route", noting)
            events = [put(f"/routes/{number}", route(f"/{number}"), 1) for number in range(500)]
            await send(it, *events, put("/routes/last", route("/last"), 1, more=False))
            await settle(1000)
            await turns.stop()
            assert len(seen) == 501
            assert len(set(seen)) == 1

    runner.run(main())


def test_a_reload_applies_what_has_changed_in_one_go(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGHUP comes between the store's new version and the watch that tells of it."""

    async def main() -> None:
        async with set_up() as it:
            for number in range(500):
                it.store.has(f"/routes/{number:03}", route(f"/{number}"))
            await it.follow()
            for number in range(100, 500):
                it.store.has(f"/routes/{number:03}", route(f"/new{number}"))
            del it.store.entries["/routes/001"]
            entries = tuple(it.store.entries[key] for key in sorted(it.store.entries))
            listing = Listing(entries, it.store.revision, at_once=True)
            turns = Turns()
            seen: dict[str, int] = {}
            put_route, remove_route = it.gateway.catalog.put_route, it.gateway.catalog.remove_route

            async def at_once(_prefix: str) -> Listing:
                return listing

            def put_noting(id_: str, found: Any) -> None:
                seen[id_] = turns.count
                put_route(id_, found)

            def remove_noting(id_: str) -> None:
                seen[id_] = turns.count
                remove_route(id_)

            monkeypatch.setattr(it.store, "list", at_once)
            monkeypatch.setattr(it.gateway.catalog, "put_route", put_noting)
            monkeypatch.setattr(it.gateway.catalog, "remove_route", remove_noting)
            await settle()
            await it.sync.load()
            await turns.stop()
            changed = {seen[f"{number:03}"] for number in (1, *range(100, 500))}
            assert len(changed) == 1
            assert len(seen) == 500, "the others are put again, for their plugins may have changed"
            assert [await it.status(path) for path in ("/0", "/1", "/100", "/new100")] == [
                503,
                404,
                404,
                503,
            ]

    runner.run(main())


def test_events_of_a_load_are_not_applied_again(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/1", route("/1"))
            it.store.has("/routes/2", route("/2"))
            await it.follow()
            it.gateway.done.clear()
            await send(it, put("/routes/1", route("/x"), 2), delete("/routes/2", 2, more=False))
            assert it.gateway.done == []

    runner.run(main())
