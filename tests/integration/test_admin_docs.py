"""The examples of docs/admin-api.md work as they stand."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from batchway.admin.kinds import KINDS

from .conftest import StartGateway
from .gateway import KEY, Gateway

PAGE = Path(__file__).parents[2] / "docs" / "admin-api.md"


@pytest.fixture
def fresh(start_gateway: StartGateway) -> Gateway:
    """A gateway that has nothing yet."""
    return start_gateway()


def examples() -> Iterator[str]:
    """The shell examples, in their order."""
    yield from re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_examples_work_one_after_another(fresh: Gateway) -> None:
    commands = "".join(examples()).replace("http://127.0.0.1:9180", fresh.admin_url)
    script = f"set -e\nadmin_key={KEY}\n" + commands.replace("curl ", "curl -sSf ")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert commands.count("curl ") >= 12
    for kind, id_ in [
        ("routes", "2"),
        ("services", "orders"),
        ("plugin_configs", "slow"),
        ("consumers", "jack"),
    ]:
        assert fresh.admin("GET", f"/{kind}/{id_}").status == 200
    assert fresh.fetch("/orders/1").status == 401


def test_every_kind_has_its_row() -> None:
    text = PAGE.read_text()
    for kind in KINDS.values():
        assert f"{kind.name}`](#" in text or f"{kind.name}/{{" in text, kind.name
        methods = [name for name in ("GET", "PUT", "POST", "PATCH", "DELETE") if name not in kind.refused]
        row = next(line for line in text.splitlines() if line.startswith("| [") and kind.name in line)
        assert row.endswith(f"| {' '.join(methods)} |")


def test_the_configuration_example_is_one(start_gateway: StartGateway) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    gateway = start_gateway(run=False)
    gateway.environment["DATA_KEY"] = "0123456789abcdef"
    gateway.write_config(yaml.safe_load(text))
    gateway.spawn()
    gateway.wait_healthy()

    gateway.put("consumers", "jack", {"username": "jack", "plugins": {"key-auth": {"key": "open sesame"}}})
    assert not (gateway.directory / "batchway.key").exists()
