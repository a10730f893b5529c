"""One line of the log for each write, and no secrets in it."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from .client import Client

ROUTE = {"uri": "/a", "plugins": {"known": {"token": "open sesame"}}}
Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    with structlog.testing.capture_logs() as lines:
        yield lines


COMMON = {"who": "admin", "client": "127.0.0.1"}


def test_a_write_is_one_line(call: Client, lines: Lines) -> None:
    call("PUT", "/routes/1", ROUTE)
    call("PATCH", "/routes/1/desc", "x")
    call("DELETE", "/routes/1")
    key = call("POST", "/routes", ROUTE).json()["key"].removeprefix("/apisix")

    done = COMMON | {"event": "admin write", "log_level": "info"}
    assert lines == [
        done | {"method": "PUT", "path": "routes/1", "status": 201, "key": "/routes/1", "revision": 1},
        done
        | {"method": "PATCH", "path": "routes/1/desc", "status": 200, "key": "/routes/1", "revision": 2},
        done | {"method": "DELETE", "path": "routes/1", "status": 200, "key": "/routes/1", "revision": 3},
        done | {"method": "POST", "path": "routes", "status": 201, "key": key, "revision": 4},
    ]


def test_reads_and_checks_are_not_told(call: Client, lines: Lines) -> None:
    call("GET", "/routes")
    call("HEAD", "/routes/1")
    call("GET", "/plugins/list")
    call("POST", "/schema/validate/routes", ROUTE)
    call("POST", "/configs/validate", {"routes": [{}]})
    call.key = None
    call("GET", "/routes")

    assert lines == []


def test_a_refused_write_is_one_line(call: Client, lines: Lines) -> None:
    call("PUT", "/routes/1", {"uri": "open sesame"})
    call("DELETE", "/routes/1")
    call("PUT", "/nothing/1", {})
    call("PUT", "/consumers/jack/credentials/1", {"plugins": {"key": {"key": "open sesame"}}})
    call.key = "viewer-key"
    call("PUT", "/routes/1", ROUTE)
    call.key = "guessed"
    call("DELETE", "/routes/1")

    told = [(line["who"], line["method"], line["path"], line["status"], line["code"]) for line in lines]
    assert told == [
        ("admin", "PUT", "routes/1", 400, "invalid_resource"),
        ("admin", "DELETE", "routes/1", 404, "not_found"),
        ("admin", "PUT", "nothing/1", 404, "unknown_path"),
        ("admin", "PUT", "consumers/jack/credentials/1", 404, "not_found"),
        ("viewer", "PUT", "routes/1", 401, "key_refused"),
        (None, "DELETE", "routes/1", 401, "key_refused"),
    ]
    assert {(line["event"], line["log_level"]) for line in lines} == {("admin write refused", "warning")}
    assert "open sesame" not in str(lines)
    assert "guessed" not in str(lines)


def test_no_secret_gets_into_a_line(call: Client, lines: Lines) -> None:
    call("PUT", "/routes/1", ROUTE)
    call("PUT", "/consumers", {"username": "jack", "plugins": {"key": {"key": 0}}})
    call("PUT", "/routes/1?api_key=admin-key", ROUTE | {"plugins": {"key": {"bad": "open sesame"}}})

    assert len(lines) == 3
    assert "open sesame" not in str(lines)
    assert "admin-key" not in str(lines)


def test_a_long_path_is_cut_short(call: Client, lines: Lines) -> None:
    call("PUT", "/routes/" + "x" * 1000, ROUTE)
    assert len(lines[0]["path"]) == 200
