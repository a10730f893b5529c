import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchway.cli import stored
from batchway.config.data_encryption import Keyring
from batchway.plugins import Registry
from batchway.store.base import Entry
from batchway.store.sqlite import SqliteStore

from .conftest import Run, RunProcess

ROUTE = {"id": "1", "uri": "/a", "upstream_id": "u", "status": 1, "create_time": 1, "update_time": 1}
UPSTREAM = {"id": "u", "nodes": {"127.0.0.1:1980": 1}, "type": "roundrobin"}
KEY = "deployment: {admin: {admin_key: [{name: admin, key: abc, role: admin}]}}\n"

Fill = Callable[[dict[str, object]], None]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def fill(runner: asyncio.Runner, tmp_path: Path) -> Fill:
    """Writes documents, or raw bytes, to the store at the default path, and closes it."""

    async def write(documents: dict[str, object]) -> None:
        store = await SqliteStore.open(tmp_path / "data" / "batchway.db")
        for key, document in documents.items():
            await store.put(key, document if isinstance(document, bytes) else json.dumps(document).encode())
        await store.close()

    return lambda documents: runner.run(write(documents))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config file with an admin key, where `check` looks for it."""
    path = tmp_path / "conf" / "config.yaml"
    path.parent.mkdir()
    path.write_text(KEY)
    return path


def files(directory: Path) -> dict[str, bytes]:
    """All that is in the directory."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# --- the config file


def test_all_is_well(run: Run, config: Path, fill: Fill) -> None:
    fill({"/routes/1": ROUTE, "/upstreams/u": UPSTREAM})
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "no problems in 2 stored resources (data/batchway.db)\n"


def test_nothing_is_there_yet(run: Run, tmp_path: Path) -> None:
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "note: conf/config.yaml: no such file: the defaults hold",
        "note: no admin key yet: `batchway serve` will write one to conf/config.yaml",
        "note: data/batchway.db: no store yet: `batchway serve` will make it",
        "no problems",
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--config", "-c"])
def test_config_file_can_be_named(run: Run, tmp_path: Path, option: str) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(KEY + "batchway: {store: {path: elsewhere.db}}\n")
    result = run("check", option, path)
    assert result.exit_code == 0
    assert "note: elsewhere.db: no store yet" in result.stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense: 1\n", "nonsense"),
        ("batchway: {workers: many}\n", "batchway.workers: expected"),
        ("a: [\n", "YAML"),
        ("plugin_attr: {batch-requests: {uri: batch}}\n", 'plugin_attr.batch-requests: property "uri"'),
        ("plugins: []\nbatchway: {expose_batch: true}\n", "batchway.expose_batch: expects batch-requests"),
    ],
)
def test_wrong_config_is_one_line_and_exit_2(run: Run, config: Path, text: str, says: str) -> None:
    config.write_text(text)
    result = run("check")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("batchway: conf/config.yaml:")
    assert says in line


def test_directory_as_config_is_exit_2(run: Run, tmp_path: Path) -> None:
    assert run("check", "--config", tmp_path).exit_code == 2


def test_warnings_do_no_harm(run: Run, config: Path) -> None:
    config.write_text(KEY + "apisix: {proxy_mode: http}\nplugins: [batch-requests, no-such-plugin]\n")
    result = run("check")
    assert result.exit_code == 0
    warnings = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert "apisix.proxy_mode" in warnings[0]
    assert "no-such-plugin" in warnings[1]


def test_attributes_that_a_plugin_does_not_take_are_named(run: Run, config: Path) -> None:
    config.write_text(
        KEY + "plugin_attr: {key-auth: {x: 1}, batch-requests: {uri: /b},\n"
        "  prometheus: {export_adr: {}, export_uri: /m, export_addr: {ip: 127.0.0.1, prot: 1}}}\n"
    )
    result = run("check")
    assert result.exit_code == 0
    (warning,) = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    names = warning.removeprefix("warning: conf/config.yaml: batchway has no use for: ").split(", ")
    assert set(names) == {
        "plugin_attr.key-auth.x",
        "plugin_attr.prometheus.export_adr",
        "plugin_attr.prometheus.export_addr.prot",
    }


def test_plugins_of_packages_are_known(run: Run, config: Path) -> None:
    text = "plugins: [json-rpc]\nplugin_attr: {json-rpc: {apps: [x]}}\n"
    config.write_text(KEY + text)
    assert "warning" not in run("check").stdout
    config.write_text(KEY + text.replace("[x]", "7"))
    assert "plugin_attr.json-rpc" in run("check").stderr


def test_variables_are_replaced(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text(KEY + "batchway: {store: {path: '${{STORE}}.db'}}\n")
    monkeypatch.setenv("STORE", "mine")
    assert "mine.db: no store yet" in run("check").stdout


# --- the store


def test_each_problem_is_one_line_and_exit_1(run: Run, config: Path, fill: Fill) -> None:
    fill(
        {
            "/plugin_metadata/batch-requests": {"max_body_size": 0},
            "/routes/1": ROUTE,
            "/routes/5": ROUTE | {"id": "5", "script": ""},
            "/upstreams/u": UPSTREAM,
            "/upstreams/v": UPSTREAM | {"nodes": "x\x1b[2J"},
        }
    )
    result = run("check")
    assert (result.exit_code, result.stderr) == (1, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith('plugin_metadata/batch-requests: property "max_body_size": expected')
    assert lines[1] == 'routes/5: property "script" is not supported by batchway'
    assert lines[2].startswith('upstreams/v: property "nodes": expected')
    assert lines[3] == "3 problems in 5 stored resources (data/batchway.db)"
    assert "\x1b" not in result.stdout


def test_process_writes_nothing_and_leaves_nothing(
    run_process: RunProcess, config: Path, fill: Fill, tmp_path: Path
) -> None:
    config.write_text("plugins: [batch-requests]\n")
    fill({"/upstreams/u": UPSTREAM | {"type": "chash"}})
    before = files(tmp_path)
    ended = run_process("check")
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert b"1 problem in 1 stored resource (data/batchway.db)" in ended.stdout
    assert files(tmp_path) == before


def test_store_in_use_is_read_as_it_stands(
    run: Run, config: Path, runner: asyncio.Runner, tmp_path: Path
) -> None:
    store = runner.run(SqliteStore.open(tmp_path / "data" / "batchway.db"))
    try:
        runner.run(store.put("/routes/new", b"{}"))
        assert "routes/new: " in run("check").stdout
        runner.run(store.delete("/routes/new"))
        assert run("check").stdout.startswith("no problems in 0 stored resources")
    finally:
        runner.run(store.close())


def test_empty_file_is_an_empty_store(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "batchway.db").touch()
    result = run("check")
    assert result.exit_code == 0
    assert result.stdout.startswith("no problems in 0 stored resources")
    assert (tmp_path / "data" / "batchway.db").stat().st_size == 0


@pytest.mark.parametrize("name", ["a?mode=rwc", "a#b", "a%20b", "a b"])
def test_odd_store_path_is_read(run: Run, config: Path, fill: Fill, tmp_path: Path, name: str) -> None:
    fill({"/upstreams/u": UPSTREAM})
    (tmp_path / "data" / "batchway.db").rename(tmp_path / name)
    config.write_text(KEY + f"batchway: {{store: {{path: '{name}'}}}}\n")
    assert run("check").stdout == f"no problems in 1 stored resource ({name})\n"


def no_database(path: Path) -> None:
    path.write_text("hello, I am a text file that is longer than a header" * 10)


def another_programs(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (a)")
    db.close()


def from_the_future(path: Path) -> None:
    asyncio.run(_make(path))
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


async def _make(path: Path) -> None:
    await (await SqliteStore.open(path)).close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (no_database, "data/batchway.db cannot be read: file is not a database"),
        (another_programs, "data/batchway.db is another program's database"),
        (from_the_future, "data/batchway.db has schema version 99"),
        (Path.mkdir, "data/batchway.db cannot be read: "),
    ],
)
def test_store_that_is_none_is_one_line_and_exit_1(
    run: Run, config: Path, tmp_path: Path, make: Callable[[Path], None], says: str
) -> None:
    (tmp_path / "data").mkdir()
    make(tmp_path / "data" / "batchway.db")
    result = run("check")
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("batchway: the store ")
    assert says in line


# --- what can be wrong with an entry


def findings(documents: dict[str, Any], enabled: list[str] | None = None) -> list[tuple[str, str, bool]]:
    entries = [
        Entry(key, document if isinstance(document, bytes) else json.dumps(document).encode(), 1, 1)
        for key, document in documents.items()
    ]
    found = stored.examine(entries, Registry(enabled, {}))
    return [(finding.key, finding.text, finding.is_warning) for finding in found]


@pytest.mark.parametrize(
    ("key", "document", "says"),
    [
        ("/routes/1", b"{", "not JSON"),
        ("/routes/1", b"\xff", "not JSON"),
        ("/routes/1", b'{"uri":' * 50_000, "not JSON"),
        ("/routes/1", [], "expected a JSON object"),
        ("/routes/1", {}, 'exactly one of "uri" and "uris" is expected'),
        ("/routes/1", {"uri": "a", "plugins": {}}, 'uri "a" must begin with "/"'),
        ("/routes/1", {"uri": "/a", "plugins": {}, "nonsense": 1}, 'unknown property "nonsense"'),
        ("/routes/1", {"uri": "/a", "plugins": {"no-such-plugin": {}}}, "unknown plugin [no-such-plugin]"),
        ("/routes/1", {"uri": "/a", "plugins": {"public-api": {"x": 1}}}, 'unknown property "x"'),
        (
            "/routes/1",
            {"uri": "/a", "upstream_id": "u"},
            'property "upstream_id": there is no upstream "u"',
        ),
        ("/routes/1", {"uri": "/a", "upstream_id": 7}, 'property "upstream_id": there is no upstream "7"'),
        ("/routes/a b", {"uri": "/a", "plugins": {}}, "invalid route id"),
        ("/routes/a/b", {"uri": "/a", "plugins": {}}, "invalid route id"),
        ("/routes/", {"uri": "/a", "plugins": {}}, "invalid route id"),
        ("/upstreams/u", {"nodes": {}, "scheme": "grpc"}, '"grpc" is not supported by batchway'),
        ("/consumers/jack", {"username": "jack", "x": 1}, 'unknown property "x"'),
        (
            "/consumers/jack/credentials/1",
            {"plugins": {"key-auth": {"key": "k"}}},
            'there is no consumer "jack"',
        ),
        ("/consumers/jack/secrets/1", {}, "invalid consumer id"),
        ("/plugin_metadata/no-such-plugin", {}, "unknown plugin [no-such-plugin]"),
        ("/plugin_metadata/batch-requests", {"max": 1}, 'unknown property "max"'),
        ("/ssls/1", {}, "no kind of resource that batchway has: expected upstreams, services, "),
    ],
)
def test_wrong_entry_is_told(key: str, document: object, says: str) -> None:
    ((name, text, is_warning),) = findings({key: document})
    assert (name, is_warning) == (key.removeprefix("/"), False)
    assert says in text


def test_problems_of_the_document_and_of_its_references_are_both_told() -> None:
    texts = [
        text for _, text, _ in findings({"/routes/1": {"uri": "/a", "upstream_id": "u", "script": ""}})
    ]
    assert texts == [
        'property "script" is not supported by batchway',
        'property "upstream_id": there is no upstream "u"',
    ]


def test_reference_by_number_finds_its_upstream() -> None:
    documents = {"/routes/1": {"uri": "/a", "upstream_id": 7}, "/upstreams/7": {"nodes": {"a:1": 1}}}
    assert findings(documents) == []


def test_encrypted_secret_is_read_with_its_key() -> None:
    keyring, other = Keyring(["0123456789abcdef"]), Keyring(["fedcba9876543210"])
    key = keyring.seal("open sesame", "plugins.key-auth.key")
    document = {"username": "jack", "plugins": {"key-auth": {"key": key}}}
    entries = [Entry("/consumers/jack", json.dumps(document).encode(), 1, 1)]

    assert list(stored.examine(entries, Registry(), keyring)) == []
    (finding,) = stored.examine(entries, Registry(), other)
    assert finding.text.startswith(
        'property "plugins.key-auth.key": it is encrypted, but not with a key of'
    )


def test_plugin_that_is_switched_off_is_a_problem_for_its_routes() -> None:
    ((_, text, is_warning),) = findings(
        {"/routes/1": {"uri": "/a", "plugins": {"public-api": {}}}}, enabled=[]
    )
    assert not is_warning
    assert "it is not enabled" in text


def test_metadata_of_a_plugin_that_is_switched_off_is_a_warning() -> None:
    documents = {"/plugin_metadata/batch-requests": {"max_body_size": 5}}
    assert findings(documents, enabled=[]) == [
        ("plugin_metadata/batch-requests", "plugin batch-requests is not enabled: this has no effect", True)
    ]
