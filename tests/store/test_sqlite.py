import asyncio
import errno
import os
import sqlite3
import stat
from asyncio import Runner
from pathlib import Path

import pytest

from batchway.errors import StoreError
from batchway.store.base import Conflict, Entry, Store, Unchanged
from batchway.store.file import SCHEMA_VERSION
from batchway.store.sqlite import SqliteStore


def test_it_is_a_store(store: SqliteStore) -> None:
    checked: Store = store
    assert checked is store


# --- get, put, delete


def test_a_key_that_is_not_there_is_none(runner: Runner, store: SqliteStore) -> None:
    assert runner.run(store.get("/routes/1")) is None


def test_what_was_put_is_got(runner: Runner, store: SqliteStore) -> None:
    entry = runner.run(store.put("/routes/1", b"{}"))

    assert entry == Entry("/routes/1", b"{}", create_revision=1, mod_revision=1)
    assert runner.run(store.get("/routes/1")) == entry


def test_every_write_raises_the_one_revision(runner: Runner, store: SqliteStore) -> None:
    assert runner.run(store.put("/a", b"1")).mod_revision == 1
    assert runner.run(store.put("/b", b"1")).mod_revision == 2
    assert runner.run(store.put("/a", b"2")) == Entry("/a", b"2", 1, 3)
    assert runner.run(store.delete("/b")) == 4
    assert runner.run(store.put("/b", b"2")) == Entry("/b", b"2", 5, 5)


def test_deleting_what_is_not_there_is_no_write(runner: Runner, store: SqliteStore) -> None:
    assert runner.run(store.delete("/a")) is None
    assert runner.run(store.list("")).revision == 0


def test_a_value_may_hold_any_bytes(runner: Runner, store: SqliteStore) -> None:
    runner.run(store.put("/ä'\"%", bytes(range(256))))

    entry = runner.run(store.get("/ä'\"%"))
    assert entry is not None
    assert entry.value == bytes(range(256))


# --- conditions


def test_expected_revision_lets_the_first_writer_win(runner: Runner, store: SqliteStore) -> None:
    seen = runner.run(store.put("/a", b"0")).mod_revision
    runner.run(store.put("/a", b"1", expected_revision=seen))

    with pytest.raises(Conflict):
        runner.run(store.put("/a", b"2", expected_revision=seen))
    entry = runner.run(store.get("/a"))
    assert entry == Entry("/a", b"1", 1, 2)


def test_expected_revision_refuses_a_key_that_is_gone(runner: Runner, store: SqliteStore) -> None:
    with pytest.raises(Conflict):
        runner.run(store.put("/a", b"", expected_revision=1))


def test_create_only_refuses_a_key_that_is_there(runner: Runner, store: SqliteStore) -> None:
    runner.run(store.put("/a", b"0", create_only=True))

    with pytest.raises(Conflict):
        runner.run(store.put("/a", b"1", create_only=True))


def test_delete_refuses_a_revision_that_is_past(runner: Runner, store: SqliteStore) -> None:
    runner.run(store.put("/a", b"0"))
    runner.run(store.put("/a", b"1"))

    with pytest.raises(Conflict):
        runner.run(store.delete("/a", expected_revision=1))
    assert runner.run(store.delete("/a", expected_revision=2)) == 3


def test_a_put_may_require_other_keys(runner: Runner, store: SqliteStore) -> None:
    runner.run(store.put("/a", b""))
    runner.run(store.put("/b", b"", requires=["/a"]))

    with pytest.raises(Conflict, match="/c has gone meanwhile"):
        runner.run(store.put("/d", b"", requires=["/a", "/c"]))
    assert [entry.key for entry in runner.run(store.list("")).entries] == ["/a", "/b"]


def test_a_put_may_want_what_begins_alike_unchanged(runner: Runner, store: SqliteStore) -> None:
    runner.run(store.put("/a/1", b"0"))
    seen = runner.run(store.list("/a/")).revision
    runner.run(store.put("/b/1", b""))
    runner.run(store.put("/a/2", b"", unchanged=Unchanged("/a/", seen)))

    with pytest.raises(Conflict, match="/a/2 has been changed meanwhile, after revision 1"):
        runner.run(store.put("/a/3", b"", unchanged=Unchanged("/a/", seen)))
    runner.run(store.delete("/a/2"))
    assert runner.run(store.put("/a/3", b"", unchanged=Unchanged("/a/", seen))).mod_revision == 5


def test_delete_refuses_when_anything_was_written_since(runner: Runner, store: SqliteStore) -> None:
    seen = runner.run(store.put("/a", b"")).mod_revision
    runner.run(store.put("/b", b""))

    with pytest.raises(Conflict, match="revision 2, expected 1"):
        runner.run(store.delete("/a", unchanged_since=seen))
    assert runner.run(store.delete("/a", unchanged_since=2)) == 3


def test_delete_takes_what_is_below_along(runner: Runner, store: SqliteStore) -> None:
    for key in ("/c/jack", "/c/jack/x/1", "/c/jack/x/2", "/c/jackson", "/c/jackson/x/1"):
        runner.run(store.put(key, b""))

    assert runner.run(store.delete("/c/jack", with_below=True)) == 8
    assert [entry.key for entry in runner.run(store.list("")).entries] == ["/c/jackson", "/c/jackson/x/1"]
    assert runner.run(store.delete("/c/nobody", with_below=True)) is None


def test_delete_with_what_is_below_is_all_or_nothing(runner: Runner, store: SqliteStore) -> None:
    seen = runner.run(store.put("/a", b"")).mod_revision
    runner.run(store.put("/a/1", b""))

    for condition in ({"unchanged_since": seen}, {"expected_revision": 7}):
        with pytest.raises(Conflict):
            runner.run(store.delete("/a", with_below=True, **condition))
    assert len(runner.run(store.list("")).entries) == 2


def test_a_refused_write_takes_no_revision(runner: Runner, store: SqliteStore) -> None:
    runner.run(store.put("/a", b"0"))
    with pytest.raises(Conflict):
        runner.run(store.put("/a", b"1", create_only=True))

    assert runner.run(store.put("/a", b"2")).mod_revision == 2


def test_of_writers_at_once_with_one_expectation_one_wins(runner: Runner, store: SqliteStore) -> None:
    async def scenario() -> list[Entry | BaseException]:
        writes = (store.put("/a", b"%d" % n, create_only=True) for n in range(20))
        return await asyncio.gather(*writes, return_exceptions=True)

    results = runner.run(scenario())
    assert sum(isinstance(result, Entry) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 19


# --- list


def test_list_has_the_prefix_only_and_its_revision(runner: Runner, store: SqliteStore) -> None:
    for key in ("/routes/2", "/routes/1", "/routes", "/upstreams/1", "/routesx"):
        runner.run(store.put(key, b""))

    listing = runner.run(store.list("/routes/"))
    assert [entry.key for entry in listing.entries] == ["/routes/1", "/routes/2"]
    assert listing.revision == 5


@pytest.mark.parametrize("prefix", ["", "/"])
def test_list_of_the_root_has_all(runner: Runner, store: SqliteStore, prefix: str) -> None:
    for key in ("/routes/1", "/ü/1"):
        runner.run(store.put(key, b""))

    assert len(runner.run(store.list(prefix)).entries) == 2


# --- the file


def test_the_directory_is_made(runner: Runner, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "batchway.db"
    store = runner.run(SqliteStore.open(path))
    runner.run(store.close())

    assert path.exists()


def test_the_file_is_for_its_owner_only(store: SqliteStore, path: Path) -> None:
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_entries_and_revision_outlive_a_restart(runner: Runner, path: Path) -> None:
    store = runner.run(SqliteStore.open(path))
    runner.run(store.put("/a", b"1"))
    runner.run(store.put("/b", b"1"))
    runner.run(store.delete("/b"))
    runner.run(store.close())

    store = runner.run(SqliteStore.open(path))
    assert runner.run(store.list("")).entries == (Entry("/a", b"1", 1, 1),)
    assert runner.run(store.put("/c", b"")).mod_revision == 4
    runner.run(store.close())


def test_two_processes_may_have_it_open(runner: Runner, store: SqliteStore, path: Path) -> None:
    other = runner.run(SqliteStore.open(path))
    runner.run(other.put("/a", b"1"))

    assert runner.run(store.get("/a")) == Entry("/a", b"1", 1, 1)
    runner.run(other.close())


def test_closing_twice_is_closing_once(runner: Runner, path: Path) -> None:
    store = runner.run(SqliteStore.open(path))
    runner.run(store.close())
    runner.run(store.close())


def test_a_closed_store_does_not_answer(runner: Runner, path: Path) -> None:
    store = runner.run(SqliteStore.open(path))
    runner.run(store.close())

    with pytest.raises(StoreError, match="closed"):
        runner.run(store.get("/a"))


def test_close_finishes_what_was_begun(runner: Runner, path: Path) -> None:
    async def scenario() -> Entry:
        store = await SqliteStore.open(path)
        write = asyncio.create_task(store.put("/a", b"1"))
        await asyncio.sleep(0)
        await store.close()
        return await write

    assert runner.run(scenario()).mod_revision == 1


def refusal(runner: Runner, path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        runner.run(SqliteStore.open(path))
    message = caught.value.message
    assert len(message.splitlines()) == 1
    assert str(path.parent) in message
    return message


def test_a_directory_that_cannot_be_made_is_named(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    message = refusal(runner, tmp_path / "file" / "sub" / "batchway.db")
    assert message.endswith("cannot be made: Not a directory")


def test_a_directory_in_the_files_place_is_named(runner: Runner, path: Path) -> None:
    path.mkdir()

    assert refusal(runner, path) == f"the store {path} cannot be written: Is a directory"


def test_a_file_that_cannot_be_written_is_named(
    runner: Runner, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:  # what the system says to all but root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    assert refusal(runner, path) == f"the store {path} cannot be written: Permission denied"


def test_a_file_that_is_no_database_is_left_alone(runner: Runner, path: Path) -> None:
    path.write_bytes(b"routes: []\n" * 100)

    assert "not a database" in refusal(runner, path)
    assert path.read_bytes() == b"routes: []\n" * 100


def test_a_file_cut_off_is_named(runner: Runner, path: Path) -> None:
    store = runner.run(SqliteStore.open(path))
    runner.run(store.close())
    path.write_bytes(path.read_bytes()[:5000])

    assert "malformed" in refusal(runner, path)


def alter(path: Path, statement: str) -> None:
    db = sqlite3.connect(path)
    db.execute(statement)
    db.commit()
    db.close()


def test_another_programs_database_is_left_alone(runner: Runner, path: Path) -> None:
    alter(path, "CREATE TABLE theirs (x)")

    assert refusal(runner, path).endswith("is another program's database")


def test_a_newer_schema_is_refused(runner: Runner, path: Path) -> None:
    store = runner.run(SqliteStore.open(path))
    runner.run(store.close())
    alter(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    assert f"schema version {SCHEMA_VERSION + 1}" in refusal(runner, path)


def test_an_error_while_running_names_no_path(runner: Runner, store: SqliteStore, path: Path) -> None:
    alter(path, "DROP TABLE entries")

    with pytest.raises(StoreError) as caught:
        runner.run(store.get("/a"))
    assert caught.value.message == "the store does not answer: no such table: entries"


def test_a_write_that_fails_leaves_the_store_working(
    runner: Runner, store: SqliteStore, path: Path
) -> None:
    trigger = "CREATE TRIGGER full BEFORE INSERT ON changes BEGIN SELECT RAISE(ABORT, 'full'); END"
    alter(path, trigger)
    with pytest.raises(StoreError, match="full"):
        runner.run(store.put("/a", b"1"))
    alter(path, "DROP TRIGGER full")

    assert runner.run(store.get("/a")) is None
    assert runner.run(store.put("/a", b"2")).mod_revision == 1
