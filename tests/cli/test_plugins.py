"""`batchway plugins`: what plugins there are."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchway import __version__
from batchway.plugins import PLUGINS, all_plugins

from .conftest import Run, RunProcess


def listed(run: Run, *more: str | Path) -> dict[str, dict[str, Any]]:
    result = run("plugins", "--json", *more)
    assert result.exit_code == 0
    return {one["name"]: one for one in json.loads(result.stdout)}


def test_all_of_them_in_their_order(run: Run) -> None:
    found = listed(run)
    assert set(found) == set(all_plugins())
    priorities = [one["priority"] for one in found.values()]
    assert priorities == sorted(priorities, reverse=True)
    assert all(found[name]["package"] == f"batchway {__version__}" for name in PLUGINS)
    assert all(one["enabled"] for one in found.values()), "without a config file"


@pytest.mark.parametrize(
    ("name", "phases"),
    [
        ("limit-count", ["access", "filter_response"]),
        ("key-auth", ["rewrite"]),
        ("cors", ["rewrite", "filter_response"]),
        ("prometheus", ["log"]),
        ("batch-requests", []),
    ],
)
def test_phases(run: Run, name: str, phases: list[str]) -> None:
    assert listed(run)[name]["phases"] == phases


def test_enabled_by_the_config(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("plugins: [cors, key-auth]\n")
    found = listed(run, "--config", path)
    assert {name for name, one in found.items() if one["enabled"]} == {"cors", "key-auth"}


def test_table(run: Run) -> None:
    result = run("plugins")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["priority", "plugin", "enabled", "phases", "package"]
    assert len(lines) == 1 + len(all_plugins())
    row = next(line.split() for line in lines if " cors " in line)
    assert row == ["4000", "cors", "yes", "rewrite", "filter_response", "batchway", __version__]


@pytest.mark.parametrize("text", ["plugins: 1\n", "plugin_attr: {redirect: {https_port: 0}}\n"])
def test_wrong_config(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    result = run("plugins", "-c", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert str(path) in result.stderr


def test_as_a_process(run_process: RunProcess) -> None:
    result = run_process("plugins", "--json")
    assert (result.returncode, result.stderr) == (0, b"")
    assert len(json.loads(result.stdout)) == len(all_plugins())
