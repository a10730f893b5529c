import asyncio
from ipaddress import ip_network

import pytest
from msgspec.structs import replace

from batchway.admin.app import AdminApp
from batchway.config import AdminKey

from .client import Client

ROUTE = {"uri": "/a", "plugins": {}}


# --- keys


@pytest.mark.parametrize("key", ["admin-key", "viewer-key"])
def test_every_key_may_read(call: Client, key: str) -> None:
    call.key = key
    assert call("GET", "/routes").status == 200
    assert call("HEAD", "/routes").status == 200


@pytest.mark.parametrize(
    ("key", "description"),
    [
        (None, "missing apikey"),
        ("", "wrong apikey"),
        ("admin-key ", "wrong apikey"),
        ("ADMIN-KEY", "wrong apikey"),
        ("admin-ke", "wrong apikey"),
        ("ключ", "wrong apikey"),
    ],
)
@pytest.mark.parametrize("path", ["/routes", "/routes/1", "/nothing", ""])
def test_no_or_a_wrong_key_is_refused_whatever_is_asked(
    call: Client, key: str | None, description: str, path: str
) -> None:
    call.key = key
    answer = call("GET", path)

    assert answer.status == 401
    assert answer.json()["error_msg"] == "failed to check token"
    assert answer.json()["description"].startswith(description)


def test_a_refusal_says_where_keys_are_set(call: Client) -> None:
    call.key = None
    assert "deployment.admin.admin_key" in call("GET", "/routes").json()["description"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/routes/1"),
        ("POST", "/routes"),
        ("PATCH", "/routes/1"),
        ("PATCH", "/routes/1/uri"),
        ("DELETE", "/routes/1"),
        ("OPTIONS", "/routes"),
    ],
)
def test_a_viewer_may_only_read(call: Client, method: str, path: str) -> None:
    call("PUT", "/routes/1", ROUTE)
    call.key = "viewer-key"
    answer = call(method, path, ROUTE)

    assert answer.status == 401
    assert answer.json()["description"] == "invalid method for role viewer"
    assert call("GET", "/routes/1").json()["modifiedIndex"] == 1


def test_the_key_may_be_a_query_argument(call: Client) -> None:
    call.key = None
    assert call("GET", "/routes?api_key=admin-key").status == 200
    assert call("GET", "/routes?api_key=nobody").status == 401
    assert call("GET", "/routes?api_key=").status == 401


def test_without_keys_nobody_has_access(app: AdminApp, call: Client) -> None:
    app.access = replace(app.access, keys=())
    assert call("GET", "/routes").status == 401


def test_replaced_keys_hold_from_the_next_request_on(app: AdminApp, call: Client) -> None:
    app.access = replace(app.access, keys=(AdminKey("new", "new-key", "admin"),))
    assert call("GET", "/routes").status == 401

    call.key = "new-key"
    assert call("GET", "/routes").status == 200


# --- addresses


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.255", "fd00::1", "::ffff:127.0.0.1"])
def test_an_address_in_a_network_may_ask(call: Client, address: str) -> None:
    call.address = (address, 1)
    assert call("GET", "/routes").status == 200


@pytest.mark.parametrize("address", ["127.0.1.1", "10.0.0.1", "::1", "::ffff:10.0.0.1", "testclient", ""])
@pytest.mark.parametrize("key", ["admin-key", None])
def test_any_other_address_is_refused(call: Client, address: str, key: str | None) -> None:
    call.address, call.key = (address, 1), key
    answer = call("GET", "/routes")

    assert answer.status == 403
    assert "allow_admin" in answer.json()["error_msg"]


def test_a_client_without_an_address_is_refused(call: Client) -> None:
    call.address = None
    assert call("GET", "/routes").status == 403


def test_no_header_forges_an_address(call: Client) -> None:
    call.address = ("10.0.0.1", 1)
    headers = [("x-forwarded-for", "127.0.0.1"), ("x-real-ip", "127.0.0.1")]
    assert call("GET", "/routes", headers=headers).status == 403


def test_without_networks_nobody_may_ask(app: AdminApp, call: Client) -> None:
    app.access = replace(app.access, allow=())
    assert call("GET", "/routes").status == 403


def test_all_networks_may_be_allowed(app: AdminApp, call: Client) -> None:
    app.access = replace(app.access, allow=(ip_network("0.0.0.0/0"),))
    call.address = ("203.0.113.9", 1)
    assert call("GET", "/routes").status == 200


# --- health


@pytest.mark.parametrize("target", ["/healthz", "/healthz/", "/healthz?x=1"])
def test_health_asks_for_no_key_and_no_address(call: Client, target: str) -> None:
    call.key, call.address = None, ("203.0.113.9", 1)
    answer = call.raw("GET", target)

    assert (answer.status, answer.json()) == (200, {"status": "ok"})


def test_a_reload_while_a_request_runs_does_not_mix(
    app: AdminApp, call: Client, runner: asyncio.Runner
) -> None:
    """The request that began with the old access ends with it."""

    async def scenario() -> int:
        request = asyncio.create_task(call.send("GET", "/apisix/admin/routes"))
        await asyncio.sleep(0)
        app.access = replace(app.access, keys=(), allow=())
        answer = await request
        assert answer is not None
        return answer.status

    assert runner.run(scenario()) == 200
