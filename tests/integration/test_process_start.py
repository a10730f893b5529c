"""A start that fails: one line that says why, and an exit code."""

import socket
import sqlite3
from pathlib import Path

import pytest

from .conftest import StartGateway
from .gateway import START_S, STOP_S, TRACEBACK, Document, Gateway
from .waiting import wait


def failed_start(gateway: Gateway) -> tuple[int, str]:
    """Exit code and output of a gateway that cannot start."""
    code = gateway.spawn().wait(START_S)
    return code, gateway.log()


def check_one_line(output: str, *parts: str) -> None:
    """One line for people, with all of `parts` in it."""
    assert output.count("\n") == 1, output
    assert TRACEBACK not in output
    for part in parts:
        assert part in output


@pytest.mark.parametrize("which", ["data", "admin"])
def test_a_port_that_is_taken(start_gateway: StartGateway, which: str) -> None:
    gateway = start_gateway(run=False)
    address = gateway.data if which == "data" else gateway.admin_address
    gateway.write_config()

    with socket.create_server(address):
        code, output = failed_start(gateway)

    assert code == 1
    check_one_line(output, f"{address[0]}:{address[1]}", "in use")


def test_a_second_gateway_on_the_same_ports(start_gateway: StartGateway) -> None:
    first = start_gateway()
    second = start_gateway(run=False)
    second.config["apisix"] = first.config["apisix"]
    second.write_config()

    code, output = failed_start(second)

    assert code == 1
    check_one_line(output, "in use")
    assert first.healthy()


def no_database(path: Path) -> Path:
    path.write_bytes(b"this is no database" * 100)
    return path


def other_database(path: Path) -> Path:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (x)")
    db.commit()
    db.close()
    return path


@pytest.mark.parametrize(
    "make",
    [lambda path: path.mkdir() or path, no_database, other_database, lambda path: Path("/proc/x/store.db")],
)
def test_a_store_that_cannot_be_written(start_gateway: StartGateway, tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = make(tmp_path / "store")
    gateway = start_gateway({"batchway": {"store": {"path": str(path)}}}, run=False)
    gateway.write_config()

    code, output = failed_start(gateway)

    assert code == 1
    check_one_line(output, str(path.parent))


def test_two_gateways_on_one_store(start_gateway: StartGateway) -> None:
    """Writes through one are seen by the other, or the second says that it cannot run: never silence."""
    first = start_gateway()
    second = start_gateway({"batchway": {"store": first.config["batchway"]["store"]}}, run=False)
    second.write_config()
    process = second.spawn()
    try:
        second.wait_healthy()
    except AssertionError:
        assert process.wait(STOP_S) == 1
        check_one_line(second.log(), "store")
        return
    first.put("routes", "shared", {"uri": "/shared", "upstream": {"nodes": {}}})
    wait(lambda: second.fetch("/shared").status != 404, "seen by the one what the other has written")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"apisix": {"node_lisen": 9080}}, ["apisix.node_lisen", "node_listen"]),
        ({"batchway": {"expose_batch": "maybe"}}, ["batchway.expose_batch", "true or false"]),
        ({"plugins": ["public-api"]}, ["batchway.expose_batch", "batch-requests"]),
        ({"plugin_attr": {"batch-requests": {"uri": "no slash"}}}, ["plugin_attr.batch-requests", "uri"]),
        ({"apisix": {"node_listen": "${{NOT_SET_ANYWHERE}}"}}, ["apisix.node_listen", "NOT_SET_ANYWHERE"]),
    ],
)
def test_a_wrong_config(start_gateway: StartGateway, changes: Document, parts: list[str]) -> None:
    gateway = start_gateway(changes, run=False)
    gateway.write_config()

    code, output = failed_start(gateway)

    assert code == 2
    check_one_line(output, "config.yaml", *parts)


@pytest.mark.parametrize("text", ["a: [", "- list", "!!python/object:x {}"])
def test_a_config_that_is_no_yaml_mapping(start_gateway: StartGateway, text: str) -> None:
    gateway = start_gateway(run=False)
    gateway.write_config()
    gateway.config_path.write_text(text)

    code, output = failed_start(gateway)

    assert code == 2
    check_one_line(output, "config.yaml")


def test_a_failed_start_leaves_no_key_behind(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"unknown": 1, "deployment": {"admin": {"admin_key": None}}}, run=False)
    gateway.write_config()
    before = gateway.config_path.read_text()

    assert failed_start(gateway)[0] == 2
    assert gateway.config_path.read_text() == before
