"""What APISIX's own tests expect of resources in a file, retold in apisix/declarative/*.yaml."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .apisix.fleet import Fleet
from .apisix.runner import HERE, Step, by_wire, filled
from .gateway import Document, Gateway

DECLARATIVE: Document = {
    "deployment": {"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}},
    "batchway": {"store": None},
    "plugin_attr": {"prometheus": {"enable_export_server": False}},
}
TAKEN, LOOKED_AT = '"resources taken"', '"event": "resources '
NOTHING = "routes: []\n#END\n"


def cases() -> Iterator[Any]:
    for path in sorted((HERE / "declarative").glob("*.yaml")):
        for case in yaml.safe_load(path.read_text()):
            yield pytest.param(case["steps"], id=f"{path.stem}: {case['case']}")


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet() as fleet:
        yield fleet


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of these cases alone, with a file for its resources."""
    gateway = Gateway(tmp_path_factory.mktemp("declarative-cases"), DECLARATIVE)
    put(gateway, NOTHING)
    gateway.start()
    gateway.wait_log(TAKEN)
    yield gateway
    assert gateway.stop() == 0, gateway.log()


@pytest.mark.parametrize("steps", list(cases()))
def test_apisix_declarative_case(gateway: Gateway, fleet: Fleet, steps: list[Document]) -> None:
    for step in steps:
        if "file" in step:
            change(gateway, filled(step["file"], fleet), step.get("faults", []))
        else:
            Step(filled(step, fleet), gateway, fleet, {}, by_wire).take()


def change(gateway: Gateway, text: str, wanted: list[str]) -> None:
    """Put the file there and wait until it holds, or until it was refused for these faults."""
    taken, looked_at = len(gateway.log_lines(TAKEN)), len(gateway.log_lines(LOOKED_AT))
    known = len(faults(gateway))
    # a file that says what the one before said is not looked at
    put(gateway, f"# {looked_at}\n{text}#END\n")
    gateway.wait_log(LOOKED_AT, looked_at + 1)
    told = faults(gateway)[known:]
    assert len(told) == len(wanted), told
    assert all(part in fault for part, fault in zip(wanted, told, strict=True)), told
    assert len(gateway.log_lines(TAKEN)) - taken == (not wanted)


def put(gateway: Gateway, text: str) -> None:
    path = gateway.config_path.with_name("apisix.yaml")
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(".apisix.yaml.swp")
    fresh.write_text(text)
    fresh.replace(path)


def faults(gateway: Gateway) -> list[str]:
    """What the log has said of them, one by one."""
    return [json.loads(line)["event"] for line in gateway.log_lines("apisix.yaml:")]
