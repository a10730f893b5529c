"""`request-id`: each request has an id, its own or one made here."""

import asyncio
import json
import re
import string
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import msgspec
import pytest

from batchway.errors import InvalidResource
from tests.plugins.gateways import get, header, put, running, to
from tests.plugins.upstreams import answering, headers_of, put_route, sent
from tests.upstream.servers import Server

BATCH = "/apisix/batch-requests"


def ids(config: dict[str, Any], count: int = 1) -> list[str]:
    """Ids as made with that config; the upstream and the client get to know the same."""

    async def main() -> list[str]:
        made = []
        async with Server() as server, running() as gateway:
            put_route(gateway, server, request_id=config)
            name = config.get("header_name", "X-Request-Id")
            for _ in range(count):
                (found,) = headers_of(await get(gateway), name)
                assert sent(server, name) == [found]
                made.append(found)
        return made

    return asyncio.run(main())


def test_uuid() -> None:
    made = ids({}, 200)
    assert len(set(made)) == 200
    assert all(UUID(one).version == 4 and str(UUID(one)) == one for one in made)


def test_uuidv7_sorts_by_when_it_was_made() -> None:
    made = ids({"algorithm": "uuidv7"}, 50)
    assert made == sorted(set(made))
    assert all(UUID(one).version == 7 and str(UUID(one)) == one for one in made)


def test_nanoid() -> None:
    made = ids({"algorithm": "nanoid"}, 50)
    assert len(set(made)) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{21}", one) for one in made)


def test_range_id() -> None:
    (one,) = ids({"algorithm": "range_id"})
    assert re.fullmatch(r"[A-Za-z0-9]{16}", one)
    made = ids({"algorithm": "range_id", "range_id": {"length": 6, "char_set": "abcdef"}}, 20)
    assert all(re.fullmatch(r"[a-f]{6}", one) for one in made)


def test_ksuid_sorts_by_the_second_it_was_made_in(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase
    times = [1_400_000_000, 1_400_000_001, 1_500_000_000, 1_800_000_000, 1_400_000_000 + (1 << 32) - 1]
    clock = iter(times)
    monkeypatch.setattr("batchway.plugins.request_id.time", SimpleNamespace(time=lambda: next(clock)))
    made = ids({"algorithm": "ksuid"}, len(times))
    assert made == sorted(made)
    for one, second in zip(made, times, strict=True):
        assert re.fullmatch(r"[0-9A-Za-z]{27}", one)
        number = 0
        for digit in one:
            number = number * 62 + digits.index(digit)
        assert (number >> 128) + 1_400_000_000 == second


@pytest.mark.parametrize("name", ["X-Request-Id", "Custom-Header-Name"])
def test_id_that_came_is_passed_on(name: str) -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, request_id={"header_name": name})
            response = await get(gateway, headers=[(name, "mine")])
            assert (header(response, name), sent(server, name)) == ("mine", ["mine"])
            made = header(await get(gateway, headers=[(name, "")]), name)
            assert made
            assert sent(server, name) == [made]

    asyncio.run(main())


def test_answer_names_the_header_as_nginx_does() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, request_id={"header_name": "x_id"})
            response = await get(gateway)
            assert [header(response, "x-id")] == sent(server, "x_id")
            assert header(response, "x_id") is None

    asyncio.run(main())


def test_response_may_go_without() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, request_id={"include_in_response": False})
            assert header(await get(gateway), "X-Request-Id") is None
            assert len(sent(server, "X-Request-Id")) == 1

    asyncio.run(main())


def test_id_of_the_upstreams_stays() -> None:
    async def main() -> None:
        script = answering(b"", "x-request-id: theirs")
        async with Server(script) as server, running() as gateway:
            put_route(gateway, server, request_id={})
            assert headers_of(await get(gateway), "X-Request-Id") == ["theirs"]

    asyncio.run(main())


@pytest.mark.parametrize("variable", ["$request_id", "$apisix_request_id"])
def test_refusals_have_one_and_later_plugins_know_it(variable: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(
                gateway,
                None,
                request_id={},
                fault_injection={"abort": {"http_status": 503, "body": variable}},
            )
            response = await get(gateway)
            assert isinstance(response.body, bytes)
            assert header(response, "X-Request-Id") == response.body.decode()

    asyncio.run(main())


def test_global_rule_and_route_under_two_names() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put(gateway, "/global_rules/1", {"plugins": {"request-id": {"header_name": "X-Global"}}})
            put_route(gateway, server, request_id={"header_name": "X-Route"})
            response = await get(gateway)
            told = [headers_of(response, name) for name in ("X-Global", "X-Route")]
            assert told == [sent(server, "X-Global"), sent(server, "X-Route")]
            assert told[0] != told[1]

    asyncio.run(main())


@pytest.mark.parametrize("came", [None, "batch"])
@pytest.mark.parametrize("where", ["global_rules", "routes"])
def test_ids_in_a_batch(where: str, came: str | None) -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            plugins: dict[str, Any] = {"request-id": {}}
            if where == "global_rules":
                put(gateway, "/global_rules/1", {"plugins": plugins})
                plugins = {}
            put(gateway, "/routes/1", {"uri": "/echo", "upstream": to(server), "plugins": plugins})
            put(gateway, "/routes/2", {"uri": BATCH, "plugins": {"public-api": {}, **plugins}})
            own = {"path": "/echo", "headers": {"X-Request-Id": "own"}}
            body = json.dumps({"pipeline": [{"path": "/echo"}, {"path": "/echo"}, own]}).encode()
            headers = [] if came is None else [("X-Request-Id", came)]
            answer = await get(gateway, BATCH, "POST", body=body, headers=headers)
            assert isinstance(answer.body, bytes)
            found = [one["headers"]["X-Request-Id"] for one in msgspec.json.decode(answer.body)]
            of_batch = header(answer, "X-Request-Id")
            assert of_batch
            assert found[2] == "own"
            assert came in (None, of_batch)
            assert found[:2] == [of_batch] * 2, "passed on, also where it was made here"
            lines = [
                line for one in server.requests for line in one.lines if line.startswith(b"x-request-id")
            ]
            assert sorted(lines) == sorted(f"x-request-id: {one}".encode() for one in found)

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {"include_in_response": "bad_type"},
        {"algorithm": "bad_algorithm"},
        {"algorithm": "uuidv5"},
        {"header_name": ""},
        {"header_name": "X Y"},
        {"header_name": "X\r\nY"},
        {"header_name": "Content-Length"},
        {"algorithm": "range_id", "range_id": {"length": 5}},
        {"algorithm": "range_id", "range_id": {"length": 257}},
        {"algorithm": "range_id", "range_id": {"char_set": "abcde"}},
        {"algorithm": "range_id", "range_id": {"char_set": "abcdef\n"}},
        {"unknown": 1},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="request-id"):
                put_route(gateway, None, request_id=config)

    asyncio.run(main())


def test_items_get_ids_of_their_own_where_the_batch_has_none() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put(gateway, "/routes/1", {"uri": "/e", "upstream": to(server), "plugins": {"request-id": {}}})
            put(gateway, "/routes/2", {"uri": BATCH, "plugins": {"public-api": {}}})
            body = json.dumps({"pipeline": [{"path": "/e"}] * 3}).encode()
            answer = await get(gateway, BATCH, "POST", body=body)
            assert isinstance(answer.body, bytes)
            found = [one["headers"]["X-Request-Id"] for one in msgspec.json.decode(answer.body)]
            assert len(set(found)) == 3

    asyncio.run(main())
