"""`consumer-restriction`: which consumers are served."""

from typing import Any

import pytest

from batchway.errors import InvalidResource
from batchway.gateway import Gateway
from tests.plugins.gateways import document, get, put
from tests.plugins.guards import consumer, guarded, run, whose

PEOPLE = {
    "jack": {**consumer("jack", key_auth={"key": "jack"}), "group_id": "sailors"},
    "jill": {**consumer("jill", key_auth={"key": "jill"}), "group_id": "smiths"},
    "joe": consumer("joe", key_auth={"key": "joe"}),
}
GROUPS: dict[str, Any] = {"sailors": {"plugins": {}}, "smiths": {"plugins": {}}}
RESOURCES: dict[str, Any] = {"consumer_groups": GROUPS, "consumers": PEOPLE}


def restricted(**config: Any) -> dict[str, Any]:
    return guarded(key_auth={}, consumer_restriction=config)


async def statuses(gateway: Gateway, *names: str, method: str = "GET") -> list[int]:
    return [(await whose(gateway, headers=[("apikey", name)], method=method))[0] for name in names]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"whitelist": ["jack"]}, [200, 403, 403]),
        ({"whitelist": ["jack", "joe"]}, [200, 403, 200]),
        ({"blacklist": ["jack"]}, [403, 200, 200]),
        ({"blacklist": ["jack"], "whitelist": ["jack", "jill"]}, [403, 200, 403]),
        ({"whitelist": ["JACK", "jac", "jack "]}, [403, 403, 403]),
        ({"type": "consumer_group_id", "whitelist": ["sailors"]}, [200, 403, 401]),
        ({"type": "consumer_group_id", "blacklist": ["sailors"]}, [403, 200, 401]),
        ({"type": "route_id", "whitelist": ["1"]}, [200, 200, 200]),
        ({"type": "route_id", "blacklist": ["1"]}, [403, 403, 403]),
        ({"type": "service_id", "blacklist": ["1"]}, [401, 401, 401]),
        ({"allowed_by_methods": [{"user": "jack", "methods": ["POST"]}]}, [403, 200, 200]),
        ({"allowed_by_methods": [{"user": "jack", "methods": ["POST", "GET"]}]}, [200, 200, 200]),
        ({"allowed_by_methods": []}, [200, 200, 200]),
        (
            {"blacklist": ["jack"], "allowed_by_methods": [{"user": "jack", "methods": ["GET"]}]},
            [403, 200, 200],
        ),
        (
            {"whitelist": ["jack"], "allowed_by_methods": [{"user": "jack", "methods": ["POST"]}]},
            [200, 403, 403],
        ),
        (
            {"whitelist": ["jack"], "allowed_by_methods": [{"user": "jill", "methods": ["GET"]}]},
            [200, 403, 403],
        ),
    ],
)
def test_who_is_served(config: dict[str, Any], expected: list[int]) -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", restricted(**config))
        assert await statuses(gateway, "jack", "jill", "joe") == expected

    run(test, **RESOURCES)


def test_methods() -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", restricted(allowed_by_methods=[{"user": "jack", "methods": ["POST"]}]))
        assert await statuses(gateway, "jack", method="POST") == [200]
        assert await statuses(gateway, "jack", method="PUT") == [403]
        assert await statuses(gateway, "jill", method="PUT") == [200]

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    ("config", "status", "message"),
    [
        ({}, 403, "The consumer_name is forbidden."),
        ({"rejected_code": 401}, 401, "The consumer_name is forbidden."),
        ({"rejected_msg": "go away"}, 403, "go away"),
        ({"rejected_code": 599, "rejected_msg": "☂"}, 599, "☂"),
    ],
)
def test_refusal(config: dict[str, Any], status: int, message: str) -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", restricted(blacklist=["jack"], **config))
        response = await get(gateway, headers=[("apikey", "jack")])
        assert (response.status, document(response)) == (status, {"message": message})

    run(test, **RESOURCES)


@pytest.mark.parametrize("kind", ["consumer_name", "consumer_group_id", "service_id"])
def test_request_of_nobody_is_refused(kind: str) -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", guarded(consumer_restriction={"type": kind, "blacklist": ["jack"]}))
        message = f"The request is rejected, please check the {kind} for this request"
        assert await whose(gateway) == (401, message)
        assert await whose(gateway, headers=[("apikey", "jack"), ("X-Consumer-Username", "jill")]) == (
            401,
            message,
        )

    run(test, **RESOURCES)


def test_what_a_consumer_may_use() -> None:
    async def test(gateway: Gateway) -> None:
        only = {"type": "service_id", "whitelist": ["1"], "rejected_code": 401}
        put(
            gateway,
            "/consumers/jack",
            consumer("jack", key_auth={"key": "jack"}, consumer_restriction=only),
        )
        for id_ in "12":
            put(gateway, f"/services/{id_}", {"name": f"service {id_}"})
            put(gateway, f"/routes/{id_}", guarded(key_auth={}) | {"uri": f"/{id_}", "service_id": id_})
        jack = [("apikey", "jack")]
        assert await whose(gateway, path="/1", headers=jack) == (200, "jack")
        assert await whose(gateway, path="/2", headers=jack) == (401, "The service_id is forbidden.")
        assert await whose(gateway, path="/2", headers=[("apikey", "jill")]) == (200, "jill")

    run(test, **RESOURCES)


def test_anonymous_consumer_has_a_name_too() -> None:
    async def test(gateway: Gateway) -> None:
        anyone = {"anonymous_consumer": "joe"}
        put(gateway, "/routes/1", guarded(key_auth=anyone, consumer_restriction={"blacklist": ["joe"]}))
        assert await whose(gateway) == (403, "The consumer_name is forbidden.")
        assert await whose(gateway, headers=[("apikey", "jack")]) == (200, "jack")

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"type": "consumer_name"},
        {"type": "client", "whitelist": ["a"]},
        {"whitelist": []},
        {"blacklist": []},
        {"whitelist": [5]},
        {"whitelist": "jack"},
        {"whitelist": ["a"], "rejected_code": 199},
        {"whitelist": ["a"], "rejected_code": 600},
        {"whitelist": ["a"], "rejected_code": "403"},
        {"whitelist": ["a"], "rejected_msg": 5},
        {"whitelist": ["a"], "title": "whitelist"},
        {"allowed_by_methods": [{"user": "a", "methods": ["get"]}]},
        {"allowed_by_methods": [{"user": "a", "methods": []}]},
        {"allowed_by_methods": [{"methods": ["GET"]}]},
        {"allowed_by_methods": [{"user": "a", "methods": ["GET"], "more": 1}]},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match="consumer-restriction"):
            put(gateway, "/routes/1", restricted(**config))

    run(test, **RESOURCES)
