"""A plugin of another package: the one in docs/plugins/writing-one.md, as it stands there."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import Gateway
from .scripted import each, echo

PAGE = Path(__file__).parents[2] / "docs" / "plugins" / "writing-one.md"


def block(language: str) -> str:
    """The first block of that language on the page."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A directory with the package installed, and others that cannot be used."""
    directory = tmp_path / "site"
    project = tomllib.loads(block("toml"))["project"]
    entry_points = dict(project["entry-points"]["batchway.plugins"])
    (module, _), *_ = (value.split(":") for value in entry_points.values())
    entry_points |= {"lost": "not_there:Plugin", "no-plugin": f"{module}:Config", "taken": "taken:Cors"}
    information = directory / f"{module}-{project['version']}.dist-info"
    information.mkdir(parents=True)
    (directory / f"{module}.py").write_text(block("python"))
    (directory / "taken.py").write_text(
        "from batchway.plugins import Plugin\nclass Cors(Plugin):\n    name, priority = 'cors', 1\n"
    )
    (information / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = [f"{name} = {value}" for name, value in entry_points.items()]
    (information / "entry_points.txt").write_text("\n".join(["[batchway.plugins]", *lines, ""]))
    return directory


@pytest.fixture
def extended(package: Path, start_gateway: StartGateway) -> Gateway:
    """A gateway that finds it."""
    gateway = start_gateway(run=False)
    gateway.environment["PYTHONPATH"] = str(package)
    return gateway.start()


def test_plugin_works_in_all_its_phases(extended: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    nodes = {"{}:{}".format(*upstream.address): 1}
    config = {"per_minute": 2}
    plugins = {"tenant-quota": config, "response-rewrite": {"headers": {"X-Seen": "$tenant"}}}
    extended.put("routes", "1", {"uri": "/*", "plugins": plugins, "upstream": {"nodes": nodes}})

    assert extended.fetch("/").json() == {"message": "X-Tenant is missing"}
    answers = [extended.fetch("/", headers={"X-Tenant": "small"}) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.header("x-tenant-left") for answer in answers] == ["1", "0", "0"]
    assert answers[0].header("x-seen") == "small"
    replies = extended.replies(["/"] * 3, {"X-Tenant": "large"})
    assert sorted(reply["status"] for reply in replies) == [200, 200, 429]
    extended.wait_log('"tenant"', 7)
    logged = [json.loads(line) for line in extended.log_lines('"event": "tenant"')]
    assert {(one["tenant"], one["status"]) for one in logged} == {
        (None, 400), ("small", 200), ("small", 429), ("large", 200), ("large", 429)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "per_minute"),
        ({"per_minute": 0}, "per_minute"),
        ({"per_minute": 1, "tenant": {}}, "tenant"),
    ],
)
def test_config_is_checked(extended: Gateway, config: dict[str, object], says: str) -> None:
    answer = extended.admin("PUT", "/routes/1", {"uri": "/*", "plugins": {"tenant-quota": config}})
    assert answer.status == 400
    assert "tenant-quota" in answer.json()["error_msg"]
    assert says in answer.json()["error_msg"]
    schema = extended.admin("GET", "/schema/plugins/tenant-quota").json()
    assert schema["required"] == ["per_minute"]


def test_others_that_cannot_be_used_are_named_and_left_out(extended: Gateway) -> None:
    assert len(extended.log_lines("plugin not loaded")) == 1
    assert len(extended.log_lines("no subclass of Plugin")) == 1
    assert len(extended.log_lines("its name is taken")) == 1
    cors = {"uri": "/cors", "plugins": {"cors": {}}}
    extended.put("routes", "2", cors)
    assert extended.fetch("/cors", "OPTIONS").header("access-control-allow-origin") == "*", "ours"


def test_it_is_listed(package: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("plugins: [cors]\n")
    command = [sys.executable, "-m", "batchway", "plugins", "--json", "--config", str(config)]
    result = subprocess.run(command, capture_output=True, check=True, env={"PYTHONPATH": str(package)})
    (found,) = [one for one in json.loads(result.stdout) if one["name"] == "tenant-quota"]
    assert found == {
        "name": "tenant-quota",
        "priority": 1001,
        "phases": ["access", "filter_response", "log"],
        "enabled": False,
        "package": "tenant-quota 1.0",
    }
    assert b"not_there" in result.stderr
