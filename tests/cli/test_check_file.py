"""`batchway check` where resources are in a file."""

from pathlib import Path

import pytest

from .conftest import Run

CONFIG = "deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}\n"


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "config.yaml").write_text(CONFIG)
    return conf / "apisix.yaml"


def test_all_is_well(run: Run, resources: Path, tmp_path: Path) -> None:
    resources.write_text("routes: [{uri: /a, plugins: {}}]\n")
    before = set(tmp_path.rglob("*"))
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "no problems in 1 resource (conf/apisix.yaml)\n"
    assert set(tmp_path.rglob("*")) == before


def test_each_fault_is_one_line_and_exit_2(run: Run, resources: Path) -> None:
    resources.write_text('routes:\n- uri: /a\n- {uri: "/\\e[2J", plugins: {no-such: {}}}\n')
    result = run("check")
    assert (result.exit_code, result.stderr) == (2, "")
    lines = result.stdout.splitlines()
    assert [line.split(": ")[:2] for line in lines[:2]] == [
        ["conf/apisix.yaml:2", "routes[0]"],
        ["conf/apisix.yaml:3", "routes[1]"],
    ]
    assert lines[2] == "2 problems (conf/apisix.yaml)"
    assert "\x1b" not in result.stdout


def test_no_file(run: Run, resources: Path) -> None:
    result = run("check")
    assert result.exit_code == 2
    assert "conf/apisix.yaml: cannot be read: No such file or directory\n" in result.stdout


def test_plugins_of_the_config_hold(run: Run, resources: Path) -> None:
    resources.write_text("routes: [{uri: /a, plugins: {cors: {}}}]\n")
    resources.with_name("config.yaml").write_text(CONFIG + "plugins: [batch-requests]\n")
    result = run("check")
    assert result.exit_code == 2
    assert "unknown plugin [cors]: it is not enabled" in result.stdout
