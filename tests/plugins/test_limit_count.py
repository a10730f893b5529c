"""`limit-count`: so many requests in a window of time."""

import asyncio
from typing import Any

import pytest

from batchway.errors import InvalidResource
from batchway.gateway import Gateway
from batchway.plugins.counters import LocalCounters
from tests.plugins.gateways import document, get, header, new_batch, put, running


class Clock(LocalCounters):
    """Counters whose time the test tells."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def take(self, key: str, cost: int, limit: int, window_s: float, now: float) -> tuple[int, float]:
        return super().take(key, cost, limit, window_s, self.now)


def put_route(gateway: Gateway, id_: str = "1", uri: str = "/*", **config: Any) -> None:
    limit = {"count": 2, "time_window": 60, **config}
    # a public API that is not there: 404 is what a request gets that is let through
    put(gateway, f"/routes/{id_}", {"uri": uri, "plugins": {"limit-count": limit, "public-api": {}}})


def with_clock(gateway: Gateway) -> Clock:
    gateway.counters = clock = Clock()
    return clock


async def statuses(gateway: Gateway, count: int, path: str = "/", **more: Any) -> list[int]:
    return [(await get(gateway, path, **more)).status for _ in range(count)]


def test_what_is_above_the_limit_is_refused_until_the_window_ends() -> None:
    async def main() -> None:
        async with running() as gateway:
            clock = with_clock(gateway)
            put_route(gateway)
            assert await statuses(gateway, 3) == [404, 404, 503]
            clock.now += 59
            assert await statuses(gateway, 1) == [503]
            clock.now += 1
            assert await statuses(gateway, 3) == [404, 404, 503]

    asyncio.run(main())


def test_client_is_told_what_is_left() -> None:
    async def main() -> None:
        async with running() as gateway:
            clock = with_clock(gateway)
            put_route(gateway, rejected_code=429, rejected_msg="slow down")
            told = []
            for _ in range(3):
                response = await get(gateway)
                names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After")
                told.append([header(response, name) for name in names])
                clock.now += 10
            assert told == [["2", "1", "60", None], ["2", "0", "50", None], ["2", "0", "40", "40"]]
            assert (response.status, document(response)) == (429, {"error_msg": "slow down"})

    asyncio.run(main())


def test_header_names_are_metadata_and_may_be_left_out() -> None:
    async def main() -> None:
        async with running(plugin_metadata={"limit-count": {"limit_header": "X-Most"}}) as gateway:
            put_route(gateway)
            assert header(await get(gateway), "X-Most") == "2"
            put_route(gateway, show_limit_quota_header=False)
            assert header(await get(gateway), "X-Most") is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("config", "first", "second", "together"),
    [
        ({}, {"client": "10.0.0.1"}, {"client": "10.0.0.2"}, False),
        ({"key": "arg_user"}, {"query": "user=a"}, {"query": "user=b"}, False),
        ({"key": "arg_user"}, {"client": "10.0.0.1"}, {"client": "10.0.0.2"}, False),
        ({"key": "arg_user"}, {"query": "user=a"}, {"query": "user=a", "client": "10.0.0.2"}, True),
        ({"key_type": "constant", "key": "all"}, {"client": "10.0.0.1"}, {"client": "10.0.0.2"}, True),
        (
            {"key_type": "var_combination", "key": "$remote_addr $arg_user"},
            {"query": "user=a"},
            {"query": "user=b"},
            False,
        ),
    ],
)
def test_key(config: dict[str, Any], first: Any, second: Any, *, together: bool) -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, **config)
            assert await statuses(gateway, 2, **first) == [404, 404]
            assert await statuses(gateway, 1, **second) == [503 if together else 404]

    asyncio.run(main())


def test_counts_stay_as_long_as_the_config_does() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway)
            await statuses(gateway, 2)
            put_route(gateway, uri="/new/*")
            assert await statuses(gateway, 1, "/new/") == [503]
            put_route(gateway, uri="/new/*", count=3)
            assert await statuses(gateway, 1, "/new/") == [404]

    asyncio.run(main())


def test_routes_count_apart_but_for_a_group_and_a_service() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, "1", "/1")
            put_route(gateway, "2", "/2")
            assert await statuses(gateway, 3, "/1") == [404, 404, 503]
            assert await statuses(gateway, 1, "/2") == [404]
            put_route(gateway, "1", "/1", group="g")
            put_route(gateway, "2", "/2", group="g")
            assert await statuses(gateway, 2, "/1") == [404, 404]
            assert await statuses(gateway, 1, "/2") == [503]
            put(gateway, "/services/s", {"plugins": {"limit-count": {"count": 2, "time_window": 60}}})
            for id_ in "12":
                shared = {"uri": f"/{id_}", "service_id": "s", "plugins": {"public-api": {}}}
                put(gateway, f"/routes/{id_}", shared)
            assert await statuses(gateway, 2, "/1") == [404, 404]
            assert await statuses(gateway, 1, "/2") == [503]

    asyncio.run(main())


def test_count_of_the_consumer_holds_on_all_routes() -> None:
    async def main() -> None:
        async with running() as gateway:
            limit = {"count": 1, "time_window": 60}
            put(
                gateway,
                "/consumers/jack",
                {"username": "jack", "plugins": {"key-auth": {"key": "j"}, "limit-count": limit}},
            )
            for id_ in "12":
                route = {"uri": f"/{id_}", "plugins": {"key-auth": {}, "public-api": {}}}
                put(gateway, f"/routes/{id_}", route)
            jack = [("apikey", "j")]
            assert await statuses(gateway, 1, "/1", headers=jack) == [404]
            assert await statuses(gateway, 1, "/2", headers=jack) == [503]

    asyncio.run(main())


def test_items_above_the_limit_are_429() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway)
            batch = new_batch()
            answers = [await get(gateway, batch=batch) for _ in range(3)]
            assert [answer.status for answer in answers] == [404, 404, 429]
            assert header(answers[2], "Retry-After") == "60"
            put_route(gateway, rejected_code=503, count=1)
            assert await statuses(gateway, 2, batch=batch) == [404, 503]

    asyncio.run(main())


def test_rules_and_numbers_from_variables() -> None:
    async def main() -> None:
        async with running() as gateway:
            rules = [
                {"count": 1, "time_window": 60, "key": "${http_user}"},
                {"count": "${http_most}", "time_window": 60, "key": "$remote_addr"},
            ]
            put(gateway, "/routes/1", {"uri": "/*", "plugins": {"limit-count": {"rules": rules}}})
            user, most = ("user", "a"), ("most", "2")
            # without an upstream 503 is what is let through: the message tells
            headers: tuple[list[tuple[str, str]], ...] = ([user, most], [user, most], [most], [most], [])
            answers = [document(await get(gateway, headers=one)) for one in headers]
            messages = [answer["error_msg"] for answer in answers]
            through, refused = "the route has no upstream", "Service Unavailable"
            assert messages == [through, refused, through, refused, "failed to limit count"]

    asyncio.run(main())


def test_number_that_holds_where_a_request_names_none() -> None:
    async def main() -> None:
        async with running() as gateway:
            with_clock(gateway)
            put_route(gateway, count="${http_most ?? 2}", time_window="${http_seconds ?? 60}")
            assert await statuses(gateway, 3) == [404, 404, 503]
            assert await statuses(gateway, 2, headers=[("most", "3")]) == [404, 503]

    asyncio.run(main())


def test_each_rule_has_headers_and_a_count_of_its_own() -> None:
    async def main() -> None:
        async with running() as gateway:
            with_clock(gateway)
            rules = [
                {"count": 5, "time_window": 60, "key": "$http_user", "header_prefix": "User"},
                {"count": 2, "time_window": 9, "key": "$http_team"},
            ]
            put(gateway, "/routes/1", {"uri": "/*", "plugins": {"limit-count": {"rules": rules}}})
            told = []
            for _ in range(3):
                response = await get(gateway, headers=[("user", "same"), ("team", "same")])
                told.append([int(value) for name, value in response.headers if b"RateLimit" in name])
            assert told == [[5, 4, 60, 2, 1, 9], [5, 3, 60, 2, 0, 9], [5, 2, 60, 2, 0, 9]]
            names = [name.decode() for name, _ in response.headers if b"RateLimit" in name]
            parts = ("Limit", "Remaining", "Reset")
            assert names == [f"X-{prefix}-RateLimit-{part}" for prefix in ("User", "2") for part in parts]
            assert header(response, "retry-after") == "9"

    asyncio.run(main())


@pytest.mark.parametrize("most", ["0", "-1", "1e300", "nan", "inf", "", "2 ", "two"])
def test_number_of_a_request_that_is_none(most: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, count="$http_most")
            expected = 404 if most == "2 " else 500
            assert await statuses(gateway, 1, headers=[("most", most)]) == [expected]

    asyncio.run(main())


def test_key_as_long_as_a_client_likes_is_kept_short() -> None:
    async def main() -> None:
        async with running() as gateway:
            clock = with_clock(gateway)
            put_route(gateway, key="http_user")
            long = "u" * 50_000
            assert await statuses(gateway, 3, headers=[("user", long)]) == [404, 404, 503]
            assert await statuses(gateway, 1, headers=[("user", long + "v")]) == [404]
            assert max(map(len, clock._windows)) < 200

    asyncio.run(main())


def test_of_two_limits_the_nearer_one_is_told() -> None:
    async def main() -> None:
        async with running() as gateway:
            limit = {"limit-count": {"count": 9, "time_window": 60}}
            put(gateway, "/global_rules/1", {"plugins": limit})
            put_route(gateway)
            told = [value for name, value in (await get(gateway)).headers if name == b"X-RateLimit-Limit"]
            assert told == [b"2"]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["", "X Limit", "X-Limit\r\nX-Evil: 1"])
def test_header_name_that_is_none(name: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="limit_header"):
                put(gateway, "/plugin_metadata/limit-count", {"limit_header": name})

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {"count": 0},
        {"count": -1},
        {"time_window": 0},
        {"rules": [{"count": 1, "time_window": 1, "key": "a"}]},
        {
            "count": None,
            "time_window": None,
            "rules": [{"count": 1, "time_window": 1, "key": "a", "header_prefix": "X\r\nY"}],
        },
        {"key_type": "other"},
        {"rejected_code": 199},
        {"rejected_msg": ""},
        {"policy": "redis"},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="limit-count"):
                put_route(gateway, **config)

    asyncio.run(main())
