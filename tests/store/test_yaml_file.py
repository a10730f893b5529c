"""A store that is a file: read whole, or not at all."""
# ruff: noqa: ASYNC240 - nothing else runs on these loops that would wait for the disk

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from batchway.errors import StoreError
from batchway.store import yaml_file
from batchway.store.base import Compacted, Event, ReadOnly
from batchway.store.kept import Kept
from batchway.store.yaml_file import MAX_BYTES, FaultyFile, YamlFileStore, read_once
from tests.loops import until

PATIENCE_S = 10.0


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than the clock of a file system takes for a tick: two versions within one look the same.
    monkeypatch.setattr("batchway.store.yaml_file.SETTLE_S", 0.012)
    monkeypatch.setattr("batchway.store.yaml_file.POLL_S", 0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "resources"
    path.write_text("/a 1\n/b 1\n")
    return path


def parse(path: Path) -> Callable[[bytes], Mapping[str, bytes]]:
    """A key and a value on each line; a line without a value is a fault."""

    def values(content: bytes) -> dict[str, bytes]:
        lines = [line.split(b" ") for line in content.splitlines() if not line.startswith(b"#")]
        faults = [f"{path}:{number}: bad" for number, line in enumerate(lines, 1) if len(line) != 2]
        if faults:
            raise FaultyFile(path, faults)
        return {key.decode(): value for key, value in lines}

    return values


@asynccontextmanager
async def opened(path: Path, kept: Kept | None = None) -> AsyncIterator[YamlFileStore]:
    store = await YamlFileStore.open(path, parse(path), kept)
    try:
        yield store
    finally:
        await store.close()


async def take(store: YamlFileStore, path: Path, text: str) -> None:
    """Give the file this content, and read it."""
    path.write_text(text)
    await store.reread(parse(path))


async def pairs(store: YamlFileStore) -> dict[str, bytes]:
    return {entry.key: entry.value for entry in (await store.list("")).entries}


class Watcher:
    """Notes all events of a watch."""

    def __init__(self, store: YamlFileStore, since: int) -> None:
        self.events: list[Event] = []
        self.task = asyncio.create_task(self._watch(store, since))

    async def _watch(self, store: YamlFileStore, since: int) -> None:
        async for event in store.watch(since):
            self.events.append(event)

    def told(self) -> list[tuple[str, str, int, bool]]:
        return [(event.kind, event.key, event.revision, event.more) for event in self.events]


def test_reads(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        path.write_text("/b 1\n/a 2\n/c/d 3\n")
        async with opened(path) as store:
            listing = await store.list("")
            assert [(one.key, one.value) for one in listing.entries] == [
                ("/a", b"2"),
                ("/b", b"1"),
                ("/c/d", b"3"),
            ]
            assert (listing.revision, listing.at_once) == (1, True)
            assert [one.key for one in (await store.list("/c/")).entries] == ["/c/d"]
            found = await store.get("/a")
            assert found is not None
            assert (found.value, found.create_revision, found.mod_revision) == (b"2", 1, 1)
            assert await store.get("/none") is None

    runner.run(main())


def test_writes_are_refused_and_name_the_file(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            with pytest.raises(ReadOnly, match="resources are read from resources: change that file"):
                await store.put("/a", b"2", create_only=True, ttl_s=5)
            with pytest.raises(ReadOnly):
                await store.delete("/a", expected_revision=1)
            assert await pairs(store) == {"/a": b"1", "/b": b"1"}

    runner.run(main())


def test_a_version_is_one_revision_and_says_what_changed(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            watcher = Watcher(store, 1)
            await take(store, path, "/b 2\n/c 2\n/d 2\n")
            await until(lambda: len(watcher.events) == 4)
            assert watcher.told() == [
                ("put", "/c", 2, True),
                ("put", "/d", 2, True),
                ("put", "/b", 2, True),
                ("delete", "/a", 2, False),
            ]
            changed = await store.get("/b")
            assert changed is not None
            assert (changed.create_revision, changed.mod_revision) == (1, 2)
            assert watcher.events[2].entry == changed

    runner.run(main())


def test_a_watch_that_lags_behind_is_told_what_holds_now(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            await take(store, path, "/a 2\n/x 2\n")
            await take(store, path, "/a 3\n")
            watcher = Watcher(store, 1)
            await until(lambda: len(watcher.events) == 3)
            assert {told[:3] for told in watcher.told()} == {
                ("put", "/a", 3),
                ("delete", "/b", 3),
                ("delete", "/x", 3),
            }
            assert [told[3] for told in watcher.told()] == [True, True, False]

    runner.run(main())


@pytest.mark.parametrize("since", [0, -1, 2])
def test_a_watch_from_elsewhere_must_list_again(runner: asyncio.Runner, path: Path, since: int) -> None:
    async def main() -> None:
        async with opened(path) as store:
            store._history.clear()  # as after more versions than are kept
            with pytest.raises(Compacted):
                await anext(store.watch(since))

    runner.run(main())


def test_same_content_is_no_new_revision(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            await take(store, path, "# a comment\n/b 1\n/a 1\n")
            assert (await store.list("")).revision == 1

    runner.run(main())


def test_closed_store(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            watcher = Watcher(store, 1)
            await asyncio.sleep(0)
            await store.close()
            await asyncio.wait_for(watcher.task, 30)
            with pytest.raises(StoreError):
                await store.get("/a")
            with pytest.raises(StoreError):
                await store.list("")

    runner.run(main())


# --- a file that cannot be used


def test_faults_at_the_start_are_raised(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        path.write_text("/a 1\nx\ny\n")
        with pytest.raises(FaultyFile) as caught:
            await YamlFileStore.open(path, parse(path))
        assert caught.value.faults == (f"{path}:2: bad", f"{path}:3: bad")
        assert caught.value.message == f"{path}: 2 faults"

    runner.run(main())


def test_faults_later_are_logged_and_what_was_stays(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            with capture_logs() as logs:
                await take(store, path, "/a 2\nx\n/b\n")
            assert [line["event"] for line in logs] == [
                f"{path}:2: bad",
                f"{path}:3: bad",
                "resources not taken: the ones before stay",
            ]
            assert {line["log_level"] for line in logs} == {"error"}
            assert await pairs(store) == {"/a": b"1", "/b": b"1"}
            assert (await store.list("")).revision == 1

    runner.run(main())


def test_thousands_of_faults_do_not_flood_the_log(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            with capture_logs() as logs:
                await take(store, path, "x\n" * 5000)
            assert len(logs) == 102
            assert logs[100]["faults"] == 4900

    runner.run(main())


@pytest.mark.parametrize("what", ["gone", "a directory", "too large"])
def test_file_that_cannot_be_read(runner: asyncio.Runner, path: Path, what: str) -> None:
    async def main() -> None:
        async with opened(path) as store:
            path.unlink()
            if what == "a directory":
                path.mkdir()
            elif what == "too large":
                with path.open("wb") as file:
                    file.truncate(MAX_BYTES + 1)
            with capture_logs() as logs:
                await store.reread(parse(path))
            assert logs[0]["event"].startswith(f"{path}: ")
            assert await pairs(store) == {"/a": b"1", "/b": b"1"}

    runner.run(main())


def test_file_without_its_end_is_not_whole(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        path.write_text("/a 1\n/b 1\n#END\n")
        async with opened(path) as store:
            with capture_logs() as logs:
                await take(store, path, "/a 2\n")
            assert "no #END" in logs[0]["event"]
            assert await pairs(store) == {"/a": b"1", "/b": b"1"}
            await take(store, path, "/a 2\r\n#END  \r\n")
            assert await pairs(store) == {"/a": b"2"}

    runner.run(main())


def test_what_others_have_taken_holds_where_the_file_cannot_be_used(
    runner: asyncio.Runner, path: Path
) -> None:
    async def main() -> None:
        kept = Kept()
        async with opened(path, kept):
            path.write_text("broken\n")
            with capture_logs() as logs:
                async with opened(path, kept) as late:
                    assert await pairs(late) == {"/a": b"1", "/b": b"1"}
            assert f"{path}:1: bad" in [line["event"] for line in logs]

    runner.run(main())


def test_faults_are_told_by_one_of_several(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        kept = Kept()
        async with opened(path, kept) as one, opened(path, kept) as other:
            path.write_text("broken\n")
            with capture_logs() as logs:
                for store in (one, other):
                    await store._look()
            assert [line["event"] for line in logs].count(f"{path}:1: bad") == 1

    runner.run(main())


def test_a_fault_of_ours_is_logged_and_the_next_version_is_taken(
    runner: asyncio.Runner, path: Path
) -> None:
    async def main() -> None:
        def parse_badly(content: bytes) -> Mapping[str, bytes]:
            assert b"x" not in content
            return parse(path)(content)

        store = await YamlFileStore.open(path, parse_badly)
        try:
            with capture_logs() as logs:
                path.write_text("/x 1\n")
                await until(lambda: logs, patience_s=PATIENCE_S)
            assert (logs[0]["event"], logs[0]["exc_info"]) == ("resources not taken", True)
            path.write_text("/a 2\n")
            await until_value(store, b"2")
        finally:
            await store.close()

    runner.run(main())


# --- following


async def until_value(store: YamlFileStore, value: bytes) -> None:
    await until(lambda: store._entries["/a"].value == value, f"/a is {value!r}", PATIENCE_S)


def test_edits_are_seen(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            path.write_text("/a 2\n")
            await until_value(store, b"2")
            fresh = path.with_name("fresh")
            fresh.write_text("/a 3\n")
            os.replace(fresh, path)
            await until_value(store, b"3")

    runner.run(main())


def test_file_that_comes_back_is_seen(runner: asyncio.Runner, path: Path) -> None:
    async def main() -> None:
        async with opened(path) as store:
            with capture_logs() as logs:
                path.unlink()
                await until(lambda: logs, patience_s=PATIENCE_S)
                assert "cannot be read: No such file" in logs[0]["event"]
            path.write_text("/a 2\n")
            await until_value(store, b"2")

    runner.run(main())


def test_polling_does_where_nothing_tells(
    runner: asyncio.Runner, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        def no_more_watches(*_: object, **__: object) -> object:
            raise OSError(28, "inotify watch limit reached")

        monkeypatch.setattr("batchway.store.yaml_file.awatch", no_more_watches)
        async with opened(path) as store:
            path.write_text("/a 2\n")
            await until_value(store, b"2")

    runner.run(main())


def test_file_is_read_once_it_does_not_change_any_more(
    runner: asyncio.Runner, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of it might do as well, and would be taken."""

    async def main() -> None:
        async with opened(path) as store:
            pieces = ["/a 2\n", "/a 2\n/b 2\n", "/a 2\n/b 2\n/c 2\n"]
            real = yaml_file._mark

            def mark(path: Path) -> object:
                if pieces:
                    path.write_text(pieces.pop(0))
                return real(path)

            monkeypatch.setattr(yaml_file, "_mark", mark)
            with capture_logs() as logs:
                await until(lambda: logs, patience_s=PATIENCE_S)
            assert [(line["event"], line["resources"]) for line in logs] == [("resources taken", 3)]
            assert (await store.list("")).revision == 2

    runner.run(main())


def test_file_that_never_rests_is_read_all_the_same(
    runner: asyncio.Runner, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        marks = itertools.count()
        monkeypatch.setattr(yaml_file, "_mark", lambda _: (next(marks),))
        monkeypatch.setattr(yaml_file, "SETTLE_S", 0.001)
        async with opened(path) as store:
            assert await pairs(store) == {"/a": b"1", "/b": b"1"}

    runner.run(main())


def test_read_once(path: Path) -> None:
    assert read_once(path) == b"/a 1\n/b 1\n"
    path.unlink()
    with pytest.raises(FaultyFile, match="cannot be read: No such file or directory"):
        read_once(path)


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    """Whoever reads it would hang, and no later version would ever be seen."""
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FaultyFile, match="cannot be read: it is no regular file"):
        read_once(path)
