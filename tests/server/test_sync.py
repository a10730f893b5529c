"""The gateway is kept as the store says."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from batchway.errors import StoreError
from batchway.gateway import Forwarding, Gateway
from batchway.model import Headers, Limits, Origin, Request
from batchway.plugins import Registry
from batchway.server.sync import Sync
from batchway.store.base import Compacted, Entry, Event, Listing
from batchway.upstream import Pools, Resolver, Terms
from tests.loops import pass_time, settle, until

NODES = {"127.0.0.1:1": 0}
PUBLIC = {"uri": "/", "plugins": {"public-api": {"uri": "/nowhere"}}}


class FakeStore:
    """A store in memory whose watchers hear what the test says."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.revision = 0
        self.news: asyncio.Queue[Event | Exception | None] = asyncio.Queue()
        self.watched_from: list[int] = []
        self.listed = 0
        self.list_error: Exception | None = None
        self.list_may_return = asyncio.Event()
        self.list_may_return.set()

    def has(self, key: str, document: object) -> Entry:
        """Write without a word to the watchers."""
        self.revision += 1
        value = document if isinstance(document, bytes) else msgspec.json.encode(document)
        entry = Entry(key, value, self.revision, self.revision)
        self.entries[key] = entry
        return entry

    def write(self, key: str, document: object) -> int:
        """Write, and tell."""
        entry = self.has(key, document)
        self.news.put_nowait(Event("put", key, self.revision, entry))
        return self.revision

    def erase(self, key: str) -> int:
        """Delete, and tell."""
        self.entries.pop(key, None)
        self.revision += 1
        self.news.put_nowait(Event("delete", key, self.revision, None))
        return self.revision

    def check_writable(self) -> None:
        raise AssertionError

    async def list(self, prefix: str) -> Listing:
        self.listed += 1
        if self.list_error is not None:
            raise self.list_error
        found = Listing(tuple(self.entries[key] for key in sorted(self.entries)), self.revision)
        await self.list_may_return.wait()
        return found

    async def watch(self, from_revision: int) -> AsyncGenerator[Event, None]:
        self.watched_from.append(from_revision)
        while (news := await self.news.get()) is not None:
            if isinstance(news, Exception):
                raise news
            yield news

    async def get(self, key: str) -> Entry | None:
        raise AssertionError

    async def put(self, key: str, value: bytes, **_: Any) -> Entry:
        raise AssertionError

    async def delete(self, key: str, **_: Any) -> int | None:
        raise AssertionError

    async def close(self) -> None:
        self.news.put_nowait(None)


class Recording(Gateway):
    """Notes what is put and removed, in order."""

    done: list[str]

    def __init__(self, pools: Pools) -> None:
        self.done = []
        super().__init__(Registry(), pools, Terms(), Forwarding())
        for method, note in (
            ("put_route", "+route"),
            ("put_upstream", "+upstream"),
            ("remove_route", "-route"),
            ("remove_upstream", "-upstream"),
        ):
            setattr(self.catalog, method, self._noting(getattr(self.catalog, method), note))

    def _noting(self, method: Callable[..., None], note: str) -> Callable[..., None]:
        def do(id_: str, *args: object) -> None:
            method(id_, *args)
            self.done.append(f"{note} {id_}")

        return do


class Setup:
    """A store, a gateway, and what keeps the one like the other."""

    def __init__(self, pools: Pools) -> None:
        self.store = FakeStore()
        self.gateway = Recording(pools)
        self.sync = Sync(self.store, self.gateway)
        self.following: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Load, and follow in the background."""
        await self.sync.load()
        self.following = asyncio.create_task(self.sync.follow())
        await settle()

    async def status(self, path: str) -> int:
        """404 without a route, 503 with one: no upstream here has a node."""
        request = Request("GET", path, "", Headers(), b"", Origin(""))
        return (await self.gateway.handle(request)).status


@asynccontextmanager
async def set_up() -> AsyncIterator[Setup]:
    pools = Pools(Resolver())
    setup = Setup(pools)
    with capture_logs():
        try:
            yield setup
        finally:
            if setup.following is not None:
                setup.following.cancel()
                with suppress(Exception, asyncio.CancelledError):
                    await setup.following
            await pools.close()


def route(path: str, **more: Any) -> dict[str, Any]:
    return {"uri": path, "upstream": {"nodes": NODES}, **more}


# --- load


def test_all_that_is_there_is_loaded(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/1", {"uri": "/1", "upstream_id": "u"})
            it.store.has("/routes/2", route("/2"))
            it.store.has("/upstreams/u", {"nodes": NODES})
            it.store.has("/plugin_metadata/batch-requests", {"max_pipeline_items": 7})
            await it.sync.load()
            assert [await it.status(path) for path in ("/1", "/2", "/3")] == [503, 503, 404]
            assert it.gateway.metadata("batch-requests") == Limits(max_pipeline_items=7)
            assert it.gateway.done.index("+upstream u") < it.gateway.done.index("+route 1")

    runner.run(main())


def test_what_is_served_is_told_as_it_is_stored(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            first = it.store.has("/routes/1", route("/1"))
            it.store.has("/routes/2", {"uri": 5})
            await it.follow()
            assert list(it.sync.served()) == [first], "what cannot be used is not served"
            await it.sync.applied(it.store.write("/routes/1", route("/new")))
            assert list(it.sync.served()) == [it.store.entries["/routes/1"]]
            await it.sync.applied(it.store.erase("/routes/1"))
            assert list(it.sync.served()) == []

    runner.run(main())


def test_load_again_forgets_what_is_gone(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/1", route("/1"))
            it.store.has("/upstreams/u", {"nodes": NODES})
            it.store.has("/plugin_metadata/batch-requests", {"max_pipeline_items": 7})
            await it.sync.load()
            it.store.entries.clear()
            it.store.has("/routes/2", route("/2"))
            await it.sync.load()
            assert [await it.status(path) for path in ("/1", "/2")] == [404, 503]
            assert "-upstream u" in it.gateway.done
            assert it.gateway.metadata("batch-requests") == Limits()

    runner.run(main())


def test_many_are_loaded_and_requests_get_their_turns(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            for number in range(1000):
                it.store.has(f"/routes/{number}", route(f"/{number}"))
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.create_task(count())
            await it.sync.load()
            assert turns >= 9
            counting.cancel()
            await asyncio.wait([counting])
            assert await it.status("/0") == await it.status("/999") == 503

    runner.run(main())


def test_store_that_does_not_answer(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.list_error = StoreError("the store does not answer")
            with pytest.raises(StoreError):
                await it.sync.load()

    runner.run(main())


# --- what is not valid

NOT_VALID = {
    "not JSON": b"{",
    "empty": b"",
    "no object": b"[]",
    "no route": b"{}",
    "unknown property": b'{"uri": "/bad", "upstream": {"nodes": {}}, "script": "x"}',
    "unknown plugin": b'{"uri": "/bad", "plugins": {"no-such": {}}}',
    "wrong config": b'{"uri": "/bad", "plugins": {"public-api": {"uri": 1}}}',
}


@pytest.mark.parametrize(
    "value",
    [
        *(pytest.param(value, id=name) for name, value in NOT_VALID.items()),
        pytest.param(b'{"uri": "/bad\xff"}', id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="too deep"),
    ],
)
@pytest.mark.parametrize("when", ["at the start", "later"])
def test_resource_that_is_not_valid_is_not_served_and_the_rest_is(
    runner: asyncio.Runner, value: bytes, when: str
) -> None:
    async def main() -> None:
        async with set_up() as it:
            if when == "at the start":
                it.store.has("/routes/2", value)
                it.store.has("/routes/3", route("/3"))
            await it.follow()
            if when == "later":
                it.store.write("/routes/2", value)
                it.store.write("/routes/3", route("/3"))
                await settle()
            assert [await it.status(path) for path in ("/bad", "/3")] == [404, 503]
            await asyncio.wait_for(it.sync.applied(it.store.revision), 20)

    runner.run(main())


def test_resource_that_is_no_longer_valid_is_not_served_as_it_was(runner: asyncio.Runner) -> None:
    """Half of what it says, say without its authentication, would be worse."""

    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/1", route("/1"))
            await it.follow()
            assert await it.status("/1") == 503
            it.store.write("/routes/1", route("/1", plugins={"no-such": {}}))
            await settle()
            assert await it.status("/1") == 404
            it.store.write("/routes/1", route("/1"))
            await settle()
            assert await it.status("/1") == 503

    runner.run(main())


def test_log_names_what_is_not_served(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/7", b'{"uri": 1}')
            with capture_logs() as logs:
                await it.sync.load()
            (entry,) = logs
            assert (entry["log_level"], entry["key"]) == ("error", "/routes/7")
            assert "uri" in entry["error"]

    runner.run(main())


@pytest.mark.parametrize("key", ["/consumers/1", "/x", "x", "", "/", "//", "/routes"])
def test_key_that_nobody_knows_is_passed_over(runner: asyncio.Runner, key: str) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has(key, {"a": "b"})
            it.store.has("/routes/1", route("/1"))
            await it.follow()
            it.store.erase(key)
            it.store.write("/routes/2", route("/2"))
            await settle()
            assert [await it.status(path) for path in ("/1", "/2")] == [503, 503]

    runner.run(main())


# --- follow


def test_writes_are_applied_in_order(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/0", route("/0"))
            await it.follow()
            assert it.store.watched_from == [1]
            it.gateway.done.clear()
            it.store.write("/upstreams/u", {"nodes": NODES})
            it.store.write("/routes/1", {"uri": "/1", "upstream_id": "u"})
            it.store.write("/routes/1", {"uri": "/one", "upstream_id": "u"})
            it.store.erase("/routes/0")
            it.store.erase("/upstreams/u")
            await settle()
            wanted = ["+upstream u", "+route 1", "+route 1", "-route 0", "-upstream u"]
            assert it.gateway.done == wanted
            assert [await it.status(path) for path in ("/0", "/1", "/one")] == [404, 404, 503]

    runner.run(main())


def test_metadata_comes_and_goes(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            it.store.write("/plugin_metadata/batch-requests", {"max_body_size": 5})
            await settle()
            assert it.gateway.metadata("batch-requests") == Limits(max_body_size=5)
            it.store.erase("/plugin_metadata/batch-requests")
            await settle()
            assert it.gateway.metadata("batch-requests") == Limits()

    runner.run(main())


def test_follow_ends_with_the_store(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            assert it.following is not None
            await it.store.close()
            await asyncio.wait_for(it.following, 20)

    runner.run(main())


def test_store_that_fails_is_asked_again_from_where_it_was(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            it.store.write("/routes/1", route("/1"))
            it.store.news.put_nowait(StoreError("gone for a moment"))
            await settle()
            assert it.store.watched_from == [0], "not again at once"
            await pass_time(1)
            assert it.store.watched_from == [0, 1]
            it.store.write("/routes/2", route("/2"))
            await settle()
            assert [await it.status(path) for path in ("/1", "/2")] == [503, 503]
            assert it.store.listed == 1

    runner.run(main())


def test_store_that_has_forgotten_is_read_anew(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/1", route("/1"))
            it.store.has("/routes/2", route("/2"))
            await it.follow()
            del it.store.entries["/routes/1"]
            it.store.revision = 50
            it.store.has("/routes/3", route("/3"))
            it.store.news.put_nowait(Compacted("compacted"))
            await settle()
            assert it.store.watched_from == [2, 51]
            assert [await it.status(path) for path in ("/1", "/2", "/3")] == [404, 503, 503]

    runner.run(main())


def test_store_that_has_forgotten_and_fails_is_not_asked_without_a_pause(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            it.store.list_error = StoreError("does not answer")
            for _ in range(1000):
                it.store.news.put_nowait(Compacted("compacted"))
            await settle(300)
            assert len(it.store.watched_from) < 10

    runner.run(main())


@pytest.mark.parametrize("what", ["changed", "deleted", "added"])
def test_write_during_a_reload_is_not_undone(runner: asyncio.Runner, what: str) -> None:
    """SIGHUP loads all while the watch goes on."""

    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/1", route("/old"))
            await it.follow()
            it.store.list_may_return.clear()
            reloading = asyncio.create_task(it.sync.load())
            await until(lambda: it.store.listed == 2)
            match what:
                case "changed":
                    revision = it.store.write("/routes/1", route("/new"))
                case "deleted":
                    revision = it.store.erase("/routes/1")
                case _:
                    revision = it.store.write("/routes/2", route("/new"))
            await settle()
            it.store.list_may_return.set()
            await reloading
            await asyncio.wait_for(it.sync.applied(revision), 20)
            found = [await it.status(path) for path in ("/old", "/new")]
            assert found == {"changed": [404, 503], "deleted": [404, 404], "added": [503, 503]}[what]

    runner.run(main())


def test_news_older_than_what_was_loaded_undoes_nothing(runner: asyncio.Runner) -> None:
    """A watch that began before a reload may still have it to tell."""

    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            old = it.store.has("/routes/1", route("/old"))
            it.store.has("/routes/1", route("/new"))
            await it.sync.load()
            it.store.news.put_nowait(Event("put", "/routes/1", old.mod_revision, old))
            await settle()
            assert [await it.status(path) for path in ("/old", "/new")] == [404, 503]

    runner.run(main())


# --- applied


def test_applied_returns_once_it_is(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            it.store.has("/routes/1", route("/1"))
            await it.follow()
            await asyncio.wait_for(it.sync.applied(0), 20)
            await asyncio.wait_for(it.sync.applied(1), 20)
            waiting = {n: asyncio.create_task(it.sync.applied(n)) for n in (3, 2, 4)}
            await settle()
            assert not any(task.done() for task in waiting.values())
            it.store.write("/routes/2", route("/2"))
            await settle()
            assert [waiting[n].done() for n in (2, 3, 4)] == [True, False, False]
            it.store.erase("/routes/1")
            it.store.write("/routes/3", route("/3"))
            await asyncio.wait_for(asyncio.gather(*waiting.values()), 20)
            assert await it.status("/3") == 503

    runner.run(main())


def test_applied_means_the_next_request_sees_it(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            for number in range(20):
                revision = it.store.write("/routes/1", route(f"/{number}"))
                await asyncio.wait_for(it.sync.applied(revision), 20)
                assert await it.status(f"/{number}") == 503
                assert await it.status(f"/{number - 1}") == 404

    runner.run(main())


def test_applied_that_is_cancelled_disturbs_nobody(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            await it.follow()
            first, second = (asyncio.create_task(it.sync.applied(1)) for _ in range(2))
            await settle()
            first.cancel()
            await asyncio.wait([first])
            it.store.write("/routes/1", route("/1"))
            await asyncio.wait_for(second, 20)

    runner.run(main())


def test_load_counts_as_applied(runner: asyncio.Runner) -> None:
    async def main() -> None:
        async with set_up() as it:
            waiting = asyncio.create_task(it.sync.applied(1))
            await settle()
            it.store.has("/routes/1", route("/1"))
            await it.sync.load()
            await asyncio.wait_for(waiting, 20)

    runner.run(main())
