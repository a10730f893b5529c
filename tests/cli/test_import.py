"""`batchway import`."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchway.admin.kinds import locate
from batchway.cli import holder

from . import terminal
from .conftest import Run, RunProcess
from .stores import KEY, ROUTES, admin_api, stored

ALL = [
    "+ upstreams/u",
    "+ consumers/jack",
    "+ consumers/jack/credentials/c",
    "+ routes/a",
    "+ routes/b",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "apisix.yaml"
    path.write_text(ROUTES)
    return path


def edited(file: Path, *changes: tuple[str, str]) -> Path:
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text)
    return file


def keys(directory: Path) -> list[str]:
    return sorted(stored(directory))


def test_everything_is_new(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("import", "--yes", file)
    assert (result.exit_code, result.stderr) == (0, "")
    summary = "5 added, 0 changed, 0 removed, 0 as they are"
    assert result.stdout.splitlines() == [*ALL, f"to do: {summary}", f"data/batchway.db: {summary}"]
    found = stored(tmp_path)
    assert found["/routes/a"]["upstream_id"] == "u"
    assert found["/routes/a"]["status"] == 1
    assert {"create_time", "update_time"} <= found["/routes/a"].keys()
    assert found["/consumers/jack"]["plugins"]["key-auth"]["key"].startswith("encrypted:")
    assert run("check").exit_code == 0


def test_again_there_is_nothing_to_do(run: Run, file: Path, tmp_path: Path) -> None:
    run("import", "--yes", file)
    before = stored(tmp_path)
    result = run("import", file)
    assert (result.exit_code, result.stdout) == (
        0,
        "nothing to do: 0 added, 0 changed, 0 removed, 5 as they are\n",
    )
    assert stored(tmp_path) == before


def test_what_changes_is_shown_and_no_secret(run: Run, file: Path, tmp_path: Path) -> None:
    run("import", "--yes", file)
    edited(
        file,
        ("uri: /a,", "uri: /new, priority: 5,"),
        ("{key: jacks-secret}", "{key: new-secret}"),
        ("plugins: {key-auth: {}}", "plugins: {cors: {allow_origins: '*'}}"),
        ('"127.0.0.1:1": 1', '"127.0.0.1:2": 1'),
    )
    result = run("import", "--dry-run", file)
    assert result.stdout.splitlines() == [
        "~ upstreams/u",
        "    nodes.127.0.0.1:1: 1 -> (none)",
        "    nodes.127.0.0.1:2: (none) -> 1",
        "~ consumers/jack",
        "    plugins.key-auth.key: a secret, changed",
        "~ routes/a",
        '    uri: "/a" -> "/new"',
        "    priority: 0 -> 5",
        "~ routes/b",
        "    plugins.key-auth: {} -> (none)",
        '    plugins.cors: (none) -> {"allow_origins":"*"}',
        "to do: 0 added, 4 changed, 0 removed, 1 as they are",
    ]
    assert stored(tmp_path)["/routes/a"]["uri"] == "/a"
    assert run("import", "-y", file).exit_code == 0
    assert stored(tmp_path)["/routes/a"]["uri"] == "/new"


def test_what_is_not_in_the_file_stays_unless_pruned(run: Run, file: Path, tmp_path: Path) -> None:
    run("import", "--yes", file)
    file.write_text("routes:\n- {id: a, uri: /a, plugins: {}}\n")
    run("import", "--yes", file)
    assert len(keys(tmp_path)) == 5
    result = run("import", "--yes", "--prune", file)
    assert [line for line in result.stdout.splitlines() if line[0] == "-"] == [
        "- consumers/jack",
        "- consumers/jack/credentials/c",
        "- routes/b",
        "- upstreams/u",
    ]
    assert result.exit_code == 0
    assert keys(tmp_path) == ["/routes/a"]


def test_what_is_there_may_be_named(run: Run, file: Path, tmp_path: Path) -> None:
    run("import", "--yes", file)
    more = "routes:\n- {id: c, uri: /c, upstream_id: u}\n"
    pruned = run("import", "--yes", "--prune", "-", stdin=more)
    assert pruned.exit_code == 2
    assert 'standard input:2: routes[0]: property "upstream_id": there is no upstream "u"' in pruned.stderr
    assert run("import", "--yes", "-", stdin=more).exit_code == 0
    assert "/routes/c" in keys(tmp_path)


def test_key_of_another_consumer_who_is_there(run: Run, file: Path) -> None:
    run("import", "--yes", file)
    other = "consumers:\n- {username: jill, plugins: {key-auth: {key: jacks-secret}}}\n"
    result = run("import", "--yes", "-", stdin=other)
    assert result.exit_code == 2
    assert "standard input:2: consumers[0]: duplicate key found with consumer: jack" in result.stderr
    assert run("import", "--yes", "--prune", "-", stdin=other).exit_code == 0


def test_all_faults_are_told_and_nothing_is_written(run: Run, file: Path, tmp_path: Path) -> None:
    edited(file, ("uri: /a", "uri: a"), ("upstream_id: u, plugins", "upstream_id: v, plugins"))
    result = run("import", "--yes", file)
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert [line.removeprefix(str(file)).partition(" ")[0] for line in lines[:2]] == [":10:", ":11:"]
    assert lines[2] == f"batchway: {file}: nothing is imported: 2 faults"
    assert keys(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("routes: [", "YAML"),
        ("", "nothing in it"),
        ("routes: [{uri: '${{NO_SUCH}}'}]", "environment variable NO_SUCH is not set"),
        ("rutes: []", "did you mean routes?"),
    ],
)
def test_files_that_are_none(run: Run, tmp_path: Path, text: str, says: str) -> None:
    result = run("import", "--yes", "-", stdin=text)
    assert result.exit_code == 2
    assert says in result.stderr


def test_no_file(run: Run) -> None:
    result = run("import", "--yes", "none.yaml")
    assert result.exit_code == 2
    assert result.stderr == "batchway: none.yaml: cannot be read: No such file or directory\n"


# --- asking


@pytest.mark.parametrize("argument", ["apisix.yaml", "-"])
def test_nobody_to_ask(run: Run, file: Path, tmp_path: Path, argument: str) -> None:
    result = run("import", argument, stdin=ROUTES)
    assert result.exit_code == 1
    assert result.stderr == "batchway: nothing is written: nobody is there to ask, and there is no --yes\n"
    assert keys(tmp_path) == []


@pytest.mark.parametrize(("answer", "code", "count"), [("y\n", 0, 5), ("n\n", 1, 0), ("\n", 1, 0)])
def test_somebody_is_asked(file: Path, tmp_path: Path, answer: str, code: int, count: int) -> None:
    ended = terminal.run("import", file, terminal_stdin=True, typed=answer)
    assert "write this to data/batchway.db? [y/N]: " in ended.screen
    assert (ended.code, len(keys(tmp_path))) == (code, count)


# --- formats


def test_json(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(yaml.safe_load(ROUTES)))
    assert run("import", "--yes", path).exit_code == 0
    assert len(keys(tmp_path)) == 5


def test_list_of_the_admin_api(run: Run, tmp_path: Path) -> None:
    node = {"key": "/apisix/routes/5", "value": {"id": "5", "uri": "/a", "plugins": {}, "create_time": 7}}
    answer = json.dumps({"list": [node], "total": 1})
    assert run("import", "--yes", "-", stdin=answer).exit_code == 0
    assert stored(tmp_path)["/routes/5"]["create_time"] == 7


# --- round trips


def test_export_import_export_is_the_same(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("import", "--yes", file)
    first = run("export", "--with-secrets").stdout
    for name, kind in (("one", "yaml"), ("two", "json")):
        (tmp_path / name).mkdir()
        text = run("export", "--with-secrets", "--format", kind).stdout
        monkeypatch.chdir(tmp_path / name)
        Path(f"in.{kind}").write_text(text)
        assert run("import", "--yes", f"in.{kind}").exit_code == 0
        assert run("export", "--with-secrets").stdout == first
        assert "jacks-secret" not in str(stored(tmp_path / name))
        assert (
            stored(tmp_path / name)["/consumers/jack"]["plugins"]
            != stored(tmp_path)["/consumers/jack"]["plugins"]
        )


# --- into a gateway


def into(url: str, *more: str | Path) -> list[str | Path]:
    return ["import", "--admin", url, "--key", KEY, *more]


def test_into_a_gateway(run: Run, file: Path, tmp_path: Path) -> None:
    with admin_api(tmp_path / "other") as url:
        assert run(*into(url, "--dry-run", file)).stdout.splitlines()[:-1] == ALL
        assert keys(tmp_path / "other") == []
        assert run(*into(url, "--yes", file)).exit_code == 0
        assert len(keys(tmp_path / "other")) == 5
        assert run(*into(url, file)).stdout.startswith("nothing to do")
        file.write_text("routes:\n- {id: 'a.b', uri: /x, plugins: {}}\n")
        assert run(*into(url, "--prune", "--yes", file)).exit_code == 0
        assert keys(tmp_path / "other") == ["/routes/a.b"]
    assert not (tmp_path / "data").exists()


MOVED = [
    ("global_rules:\n- {id: a, plugins: {cors: {}}}\n", "global_rules:\n- {id: b, plugins: {cors: {}}}\n"),
    (
        "consumers:\n- {username: a, plugins: {key-auth: {key: x}}}\n",
        "consumers:\n- {username: b, plugins: {key-auth: {key: x}}}\n",
    ),
    (
        "global_rules:\n- {id: a, plugins: {cors: {}, request-id: {}}}\n",
        "global_rules:\n- {id: a, plugins: {cors: {}}}\n- {id: b, plugins: {request-id: {}}}\n",
    ),
    (
        "global_rules:\n- {id: a, plugins: {cors: {}}}\n- {id: b, plugins: {request-id: {}}}\n",
        "global_rules:\n- {id: a, plugins: {request-id: {}}}\n- {id: b, plugins: {cors: {}}}\n",
    ),
]


@pytest.mark.parametrize(("before", "after"), MOVED)
def test_what_only_one_may_have_is_moved(run: Run, tmp_path: Path, before: str, after: str) -> None:
    with admin_api(tmp_path / "other") as url:
        assert run(*into(url, "--yes", "-"), stdin=before).exit_code == 0
        result = run(*into(url, "--yes", "--prune", "-"), stdin=after)
        assert (result.exit_code, result.stderr) == (0, "")
        assert run(*into(url, "--prune", "-"), stdin=after).stdout.startswith("nothing to do")


def test_global_rules_exchange_plugins(run: Run, tmp_path: Path) -> None:
    rules = "global_rules:\n- {id: a, plugins: {cors: {}}}\n- {id: b, plugins: {request-id: {}}}\n"
    assert run("import", "--yes", "-", stdin=rules).exit_code == 0
    exchanged = rules.replace("id: a", "id: x").replace("id: b", "id: a").replace("id: x", "id: b")
    assert run("import", "--yes", "-", stdin=exchanged).exit_code == 0
    assert stored(tmp_path)["/global_rules/a"]["plugins"] == {"request-id": {}}


def test_gateway_with_other_plugins(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with admin_api(tmp_path / "other") as url:
        result = run(*into(url, "--yes", "-"), stdin="routes: [{id: 1, uri: /, plugins: {strange: {}}}]")
        assert result.exit_code == 2
        assert "unknown plugin [strange]: that gateway does not have it" in result.stderr


def test_viewer_cannot_write(run: Run, file: Path, tmp_path: Path) -> None:
    with admin_api(tmp_path / "other") as url:
        result = run("import", "--yes", "--admin", url, "--key", "viewers", file)
    assert result.exit_code == 1
    assert result.stderr == (
        "batchway: upstreams/u: 401: failed to check token: invalid method for role viewer:"
        " 0 of 5 changes are made, this one and those after it not\n"
    )


def test_a_refusal_on_the_way_says_how_far_it_came(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = holder._make

    async def refusing(resources: Any, change: holder.Change, access: Any) -> None:
        if change.place == locate("/routes/a"):
            raise holder.NotWritten(change.place, "no")
        await make(resources, change, access)

    monkeypatch.setattr(holder, "_make", refusing)
    result = run("import", "--yes", file)
    assert result.exit_code == 1
    assert result.stderr == (
        "batchway: routes/a: no: 3 of 5 changes are made, this one and those after it not\n"
    )
    assert len(keys(tmp_path)) == 3


def test_store_that_is_a_file_is_not_written(run: Run, file: Path, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text("deployment: {config_provider: yaml}\n")
    (tmp_path / "conf" / "apisix.yaml").write_text("routes: []\n")
    result = run("import", "--yes", file)
    assert result.exit_code == 2
    assert "resources are read from conf/apisix.yaml: change that file instead" in result.stderr


def test_progress_is_shown_on_a_terminal(file: Path) -> None:
    ended = terminal.run("import", "--yes", file)
    assert ended.code == 0
    assert "importing" in ended.screen
    assert "data/batchway.db: 5 added" in ended.screen


def test_as_a_process(run_process: RunProcess, file: Path) -> None:
    ended = run_process("import", "--yes", file)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.endswith(b"data/batchway.db: 5 added, 0 changed, 0 removed, 0 as they are\n")
