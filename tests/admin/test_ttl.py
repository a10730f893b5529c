"""`ttl`: resources that go away by themselves."""

import asyncio
from asyncio import Runner
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchway.store.sqlite import SqliteStore

from .client import Client
from .conftest import Clock

ROUTE = {"uri": "/a", "plugins": {}}


@pytest.fixture
def store(runner: asyncio.Runner, tmp_path: Path, clock: Clock) -> Iterator[SqliteStore]:
    store = runner.run(SqliteStore.open(tmp_path / "batchway.db", clock))
    yield store
    runner.run(store.close())


@pytest.mark.parametrize(("method", "path"), [("PUT", "/routes/1"), ("POST", "/routes")])
def test_what_is_made_with_a_ttl_goes(call: Client, clock: Clock, method: str, path: str) -> None:
    key = call(method, f"{path}?ttl=5", ROUTE).json()["key"].removeprefix("/apisix")
    clock.time += 4.9
    assert call("GET", key).status == 200

    clock.time += 0.1
    assert call("GET", key).json() == {"message": "Key not found"}
    assert call("GET", "/routes").json() == {"list": [], "total": 0}
    assert call("DELETE", key).status == 404


def test_a_put_without_a_ttl_keeps_it(call: Client, clock: Clock) -> None:
    call("PUT", "/routes/1?ttl=5", ROUTE)
    call("PUT", "/routes/1", ROUTE)
    clock.time += 6

    assert call("GET", "/routes/1").status == 200


@pytest.mark.parametrize(("query", "status"), [("", 200), ("?ttl=5", 404)])
def test_a_patch_says_so_anew(call: Client, clock: Clock, query: str, status: int) -> None:
    call("PUT", "/routes/1?ttl=5", ROUTE)
    call("PATCH", f"/routes/1{query}", {"desc": "x"})
    clock.time += 6

    assert call("GET", "/routes/1").status == status


def test_what_is_gone_is_made_anew(call: Client, clock: Clock) -> None:
    call("PUT", "/routes/1?ttl=5", ROUTE)
    clock.time += 6

    answer = call("PUT", "/routes/1", ROUTE)
    assert answer.status == 201
    assert answer.json()["value"]["create_time"] == 1_700_000_006


def test_what_names_it_does_not_keep_it(call: Client, clock: Clock) -> None:
    """As in etcd: nobody asks when the time has come."""
    call("PUT", "/upstreams/1?ttl=5", {"nodes": {}})
    assert call("PUT", "/routes/1", {"uri": "/a", "upstream_id": "1"}).status == 201
    clock.time += 6

    assert call("PUT", "/routes/2", {"uri": "/a", "upstream_id": "1"}).status == 400


def test_credentials_go_with_their_consumer(
    call: Client, runner: Runner, store: SqliteStore, clock: Clock
) -> None:
    """Else who is named so next would be known by them."""
    call("PUT", "/consumers/jack?ttl=5", {"username": "jack"})
    credential = {"plugins": {"key": {"key": "open"}}}
    assert call("PUT", "/consumers/jack/credentials/1", credential).status == 201
    clock.time += 5
    assert call("GET", "/consumers/jack/credentials/1").status == 404
    assert call("GET", "/consumers/jack/credentials").status == 404

    assert call("PUT", "/consumers/jack", {"username": "jack"}).status == 201
    assert call("GET", "/consumers/jack/credentials").json() == {"list": [], "total": 0}
    assert [entry.key for entry in runner.run(store.list("/")).entries] == ["/consumers/jack"]


@pytest.mark.parametrize("ttl", ["xxx", "", "nan", "inf", "1s", "1_0", "%205", "%D9%A3"])
def test_a_ttl_is_a_number(call: Client, runner: Runner, store: SqliteStore, ttl: str) -> None:
    answer = call("PUT", f"/routes/1?ttl={ttl}", ROUTE)

    assert answer.json() == {"error_msg": "invalid argument ttl: should be a number"}
    assert answer.status == 400
    assert runner.run(store.list("")).revision == 0


@pytest.mark.parametrize("ttl", ["0", "-1", "0.0", "1e999"])
def test_a_ttl_is_above_zero(call: Client, ttl: str) -> None:
    answer = call("PUT", f"/routes/1?ttl={ttl}", ROUTE)
    expected = "invalid argument ttl: should be a number of seconds above 0"
    assert (answer.status, answer.json()) == (400, {"error_msg": expected})


def test_a_read_takes_a_ttl_and_does_nothing_with_it(call: Client, clock: Clock) -> None:
    call("PUT", "/routes/1", ROUTE)
    assert call("GET", "/routes/1?ttl=1").status == 200
    clock.time += 2
    assert call("GET", "/routes/1?ttl=1").status == 200
