"""`fault-injection`: failures and delays on purpose."""

import asyncio
import random
from types import SimpleNamespace
from typing import Any

import pytest

from batchway.errors import InvalidResource
from batchway.model import Response
from tests.plugins.gateways import get, header, new_batch, running
from tests.plugins.upstreams import headers_of, is_framed, put_route
from tests.upstream.servers import Server


def answers(config: dict[str, Any], count: int = 1, method: str = "GET", **more: Any) -> list[Response]:
    async def main() -> list[Response]:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, fault_injection=config)
            found = [await get(gateway, "/hello", method, **more) for _ in range(count)]
            assert all(map(is_framed, found))
            return found

    return asyncio.run(main())


def is_hit(config: dict[str, Any], query: str) -> bool:
    (response,) = answers({"abort": {"http_status": 403, **config}}, query=query)
    return response.status == 403


@pytest.mark.parametrize("status", [200, 405, 599])
def test_abort(status: int) -> None:
    (response,) = answers({"abort": {"http_status": status, "body": "Fault Injection! $remote_addr $none"}})
    assert (response.status, response.body) == (status, b"Fault Injection! 10.0.0.1 ")
    assert header(response, "Content-Type") == "text/plain; charset=utf-8"


def test_abort_without_body() -> None:
    (response,) = answers({"abort": {"http_status": 503}})
    assert (response.status, response.reason, response.body) == (503, "Service Unavailable", b"")


def test_headers() -> None:
    made = {"h1": "v1", "h2": 2, "h3": "$uri", "h4": "$arg_a", "Content-Type": "text/x"}
    (response,) = answers({"abort": {"http_status": 200, "headers": made}}, query="a=1%0D%0AX-Evil:2")
    assert [headers_of(response, name) for name in made] == [
        ["v1"],
        ["2"],
        ["/hello"],
        ["1X-Evil:2"],
        ["text/x"],
    ]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 503), ("GET", 204), ("GET", 304)])
def test_bodiless(method: str, status: int) -> None:
    (response,) = answers({"abort": {"http_status": status, "body": "no"}}, 1, method)
    assert (response.status, response.body) == (status, None)


@pytest.mark.parametrize(
    ("percentage", "least", "most"), [(0, 0, 0), (100, 400, 400), (50, 160, 240), (10, 15, 70)]
)
def test_percentage(monkeypatch: pytest.MonkeyPatch, percentage: int, least: int, most: int) -> None:
    monkeypatch.setattr("batchway.plugins.fault_injection.random", random.Random(1))  # noqa: S311 - no secret
    found = answers({"abort": {"http_status": 503, "percentage": percentage}}, 400)
    assert least <= sum(one.status == 503 for one in found) <= most


@pytest.mark.parametrize(
    ("variables", "query", "hit"),
    [
        ([[["arg_name", "==", "jack"], ["arg_age", "!", "<", 18]]], "name=jack&age=19", True),
        ([[["arg_name", "==", "jack"], ["arg_age", "!", "<", 18]]], "name=jack&age=16", False),
        ([[["arg_name", "==", "jack"]], [["arg_age", "==", "1"]]], "age=1", True),
        ([[["arg_name", "==", "jack"]], [["arg_age", "==", "1"]]], "age=2", False),
        ([["!AND", ["arg_name", "==", "jack"], ["arg_age", "!", "<", 18]]], "name=jack&age=17", True),
        ([["!AND", ["arg_name", "==", "jack"], ["arg_age", "!", "<", 18]]], "name=jack&age=18", False),
    ],
)
def test_conditions(variables: list[Any], query: str, *, hit: bool) -> None:
    assert is_hit({"vars": variables}, query) == hit
    assert not is_hit({"vars": variables, "percentage": 0}, query)


def test_delay_comes_before_the_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("batchway.plugins.fault_injection.asyncio", SimpleNamespace(sleep=sleep))
    only_one = [[["arg_a", "==", "1"]]]
    config = {"delay": {"duration": 0.5, "vars": only_one}, "abort": {"http_status": 500}}
    assert answers(config, query="a=1")[0].status == 500
    assert answers(config, query="a=2")[0].status == 500
    assert answers({"delay": {"duration": 2}})[0].status == 200
    assert answers({"delay": {"duration": 3, "percentage": 0}})[0].status == 200
    assert slept == [0.5, 2]


def test_whoever_leaves_during_the_delay_is_not_waited_for() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, fault_injection={"delay": {"duration": 3600}})
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(get(gateway), 0.01)
            assert server.requests == []

    asyncio.run(main())


def test_it_comes_before_authentication() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, None, fault_injection={"abort": {"http_status": 500}}, key_auth={})
            assert (await get(gateway)).status == 500

    asyncio.run(main())


def test_items_are_hit_each_for_itself() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            config = {"abort": {"http_status": 500, "vars": [[["arg_i", "==", "1"]]]}}
            put_route(gateway, server, fault_injection=config)
            batch = new_batch()
            found = [(await get(gateway, query=f"i={number}", batch=batch)).status for number in range(3)]
            assert found == [200, 500, 200]

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"abort": {}},
        {"delay": {}},
        {"abort": {"http_status": 100}},
        {"abort": {"http_status": 600}},
        {"abort": {"http_status": 200, "percentage": 101}},
        {"abort": {"http_status": 200, "percentage": -1}},
        {"abort": {"http_status": 200, "percentage": 1.5}},
        {"abort": {"http_status": 200, "headers": {}}},
        {"abort": {"http_status": 200, "headers": {"a b": "c"}}},
        {"abort": {"http_status": 200, "headers": {"Transfer-Encoding": "chunked"}}},
        {"abort": {"http_status": 200, "vars": [["arg_name", "==", "jack"]]}},
        {"abort": {"http_status": 200, "vars": [[["arg_name", "???", "jack"]]]}},
        {"abort": {"http_status": 200, "vars": [[["a", "==", 1]]] * 21}},
        {"delay": {"duration": "test"}},
        {"delay": {"duration": -1}},
        {"delay": {"duration": 1, "vars": [[["a", "b", "c", "d"]]]}},
        {"abort": {"http_status": 200}, "unknown": 1},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="fault-injection"):
                put_route(gateway, None, fault_injection=config)

    asyncio.run(main())
