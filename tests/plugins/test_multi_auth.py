"""`multi-auth`: one of several ways is enough."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.errors import InvalidResource
from batchway.gateway import Gateway
from tests.plugins.gateways import get, put, running, to
from tests.plugins.guards import (
    Headers,
    authorization,
    basic,
    bearer,
    challenges,
    consumer,
    digest,
    guarded,
    run,
    signed_request,
    token,
    whose,
)
from tests.upstream.servers import Server

ALL = ["basic-auth", "key-auth", "jwt-auth", "hmac-auth"]
PEOPLE = {
    "basil": consumer("basil", basic_auth={"username": "foo", "password": "bar"}),
    "kay": consumer("kay", key_auth={"key": "kay-key"}),
    "jo": consumer("jo", jwt_auth={"key": "user-key", "secret": "my-secret"}),
    "hugh": consumer("hugh", hmac_auth={"key_id": "access", "secret_key": "secret"}),
}


def any_of(*plugins: Any) -> dict[str, Any]:
    """Configs by name; a name alone is one without settings."""
    ways = [{one: {}} if isinstance(one, str) else one for one in plugins]
    return guarded(multi_auth={"auth_plugins": ways})


RESOURCES: dict[str, Any] = {"routes": {"1": any_of(*ALL)}, "consumers": PEOPLE}


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (basic("foo", "bar"), (200, "basil")),
        ([("apikey", "kay-key")], (200, "kay")),
        (bearer(token("my-secret")), (200, "jo")),
        ([("apikey", "kay-key"), *basic("foo", "bar")], (200, "basil")),
        ([("apikey", "wrong"), *basic("foo", "bar")], (200, "basil")),
        ([("apikey", "kay-key"), *basic("foo", "wrong")], (200, "kay")),
        ([("apikey", "kay-key"), *authorization("\xff garbage")], (200, "kay")),
        ([], (401, "Authorization Failed")),
        (basic("foo", "wrong"), (401, "Authorization Failed")),
        ([("apikey", "wrong")], (401, "Authorization Failed")),
        (bearer(token("wrong")), (401, "Authorization Failed")),
    ],
)
def test_any_way_is_enough(headers: Headers, told: tuple[int, str]) -> None:
    async def test(gateway: Gateway) -> None:
        assert await whose(gateway, headers=headers) == told

    run(test, **RESOURCES)


def test_signature_is_one_of_the_ways() -> None:
    async def test(gateway: Gateway) -> None:
        assert await whose(gateway, headers=signed_request()) == (200, "hugh")
        assert await whose(gateway, headers=signed_request(secret="wrong")) == (401, "Authorization Failed")

    run(test, **RESOURCES)


def test_refusal_tells_of_all_ways() -> None:
    async def test(gateway: Gateway) -> None:
        shown = ['Basic realm="basic"', 'apikey realm="key"', 'Bearer realm="jwt"', 'hmac realm="hmac"']
        assert challenges(await get(gateway)) == shown

    run(test, **RESOURCES)


def test_credential_that_a_global_rule_has_found_already() -> None:
    async def test(gateway: Gateway) -> None:
        headers = [("apikey", "kay-key")]
        assert await whose(gateway, headers=headers) == (200, "kay")
        put(gateway, "/routes/1", any_of("basic-auth", "jwt-auth"))
        assert await whose(gateway, headers=headers) == (401, "Authorization Failed")

    run(test, global_rules={"1": {"plugins": {"key-auth": {}}}}, **RESOURCES)


def test_one_plugin_with_several_configs() -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", any_of({"key-auth": {"header": "a"}}, {"key-auth": {"header": "b"}}))
        assert await whose(gateway, headers=[("b", "kay-key")]) == (200, "kay")
        put(gateway, "/routes/1", any_of({"key-auth": {"header": "a"}, "basic-auth": {}}, "jwt-auth"))
        assert await whose(gateway, headers=basic("foo", "bar")) == (200, "basil")

    run(test, **RESOURCES)


def test_what_one_plugin_hides_another_still_sees() -> None:
    async def main() -> None:
        hidden = {"header": "authorization", "hide_credentials": True}
        async with Server() as server:
            ways = [{"jwt-auth": hidden}, {"key-auth": hidden}, {"basic-auth": {}}]
            route = {"uri": "/*", "plugins": {"multi-auth": {"auth_plugins": ways}}, "upstream": to(server)}
            async with running(routes={"1": route}, consumers=PEOPLE) as gateway:
                assert (await get(gateway, headers=authorization("kay-key"))).status == 200
                assert not any(line.startswith(b"authorization") for line in server.requests[-1].lines)
                assert (await get(gateway, headers=basic("foo", "bar"))).status == 200
                assert any(line.startswith(b"authorization") for line in server.requests[-1].lines)

    asyncio.run(main())


def test_plugin_whose_filter_does_not_hold_lets_nobody_in() -> None:
    async def test(gateway: Gateway) -> None:
        passed_over = {"key-auth": {"_meta": {"filter": [["arg_a", "==", "b"]]}}}
        put(gateway, "/routes/1", any_of(passed_over, "basic-auth"))
        assert await whose(gateway) == (401, "Authorization Failed")
        assert await whose(gateway, headers=[("apikey", "kay-key")]) == (401, "Authorization Failed")
        assert await whose(gateway, headers=[("apikey", "kay-key")], query="a=b") == (200, "kay")
        put(gateway, "/routes/1", any_of({"key-auth": {"_meta": {"disable": True}}}, "basic-auth"))
        assert await whose(gateway, headers=[("apikey", "kay-key")]) == (401, "Authorization Failed")
        assert await whose(gateway, headers=basic("foo", "bar")) == (200, "basil")

    run(test, **RESOURCES)


def test_anonymous_consumer_of_the_last_one() -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", any_of("basic-auth", {"key-auth": {"anonymous_consumer": "anyone"}}))
        assert await whose(gateway) == (401, "Authorization Failed"), "it is not there yet"
        put(gateway, "/consumers/anyone", {"username": "anyone"})
        assert await whose(gateway) == (200, "anyone")
        assert await whose(gateway, headers=basic("foo", "bar")) == (200, "basil")
        assert await whose(gateway, headers=[("apikey", "kay-key")]) == (200, "kay")

    run(test, **RESOURCES)


class Pieces:
    """A body that comes in pieces."""

    length = None

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def __aiter__(self) -> Any:
        while self.pieces:
            yield self.pieces.pop(0)


def test_body_that_was_read_in_part_is_not_sent_on() -> None:
    async def main() -> None:
        async with Server() as server:
            signature = {"hmac-auth": {"validate_request_body": True, "max_req_body_size": 10}}
            multi = {"multi-auth": {"auth_plugins": [signature, {"key-auth": {}}]}}
            route = {"uri": "/*", "plugins": multi, "upstream": to(server)}
            async with running(routes={"1": route}, consumers=PEOPLE) as gateway:
                headers = signed_request("POST", headers=[digest(b"x" * 20), ("apikey", "kay-key")])
                body: Any = Pieces(b"x" * 8, b"x" * 8, b"x" * 4)
                assert (await get(gateway, "/", "POST", headers=headers, body=body)).status == 413
                assert server.requests == []

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"auth_plugins": []},
        {"auth_plugins": [{"key-auth": {}}]},
        {"auth_plugins": [{"key-auth": {}}, {}]},
        {"auth_plugins": [{"key-auth": {}}, {"limit-count": {"count": 1, "time_window": 1}}]},
        {"auth_plugins": [{"key-auth": {}}, {"multi-auth": {"auth_plugins": [{"key-auth": {}}] * 2}}]},
        {"auth_plugins": [{"key-auth": {}}, {"no-such-auth": {}}]},
        {"auth_plugins": [{"key-auth": {}}, {"basic-auth": {"realm": ["sesame"]}}]},
        {"auth_plugins": [{"key-auth": {}}, {"basic-auth": "sesame"}]},
        {"auth_plugins": [{"key-auth": {}}, {"basic-auth": {}}], "hide_credentials": True},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match="plugin") as caught:
            put(gateway, "/routes/1", guarded(multi_auth=config))
        assert "sesame" not in caught.value.message

    run(test, **RESOURCES)


@pytest.mark.parametrize("inner", ["sesame", 5, [], None])
def test_what_is_no_config_is_refused_by_name(inner: object) -> None:
    async def test(gateway: Gateway) -> None:
        config = {"auth_plugins": [{"key-auth": {}}, {"basic-auth": inner}]}
        with pytest.raises(InvalidResource, match="config of plugin basic-auth: expected object, got"):
            put(gateway, "/routes/1", guarded(multi_auth=config))

    run(test, **RESOURCES)


def test_no_consumer_holds_it() -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource):
            put(gateway, "/consumers/jack/credentials/1", {"plugins": {"multi-auth": {"auth_plugins": []}}})

    run(test, **RESOURCES)


@settings(max_examples=100)
@given(st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=80))
def test_whatever_is_sent_is_refused(value: str) -> None:
    async def test(gateway: Gateway) -> None:
        headers = [*authorization(value), ("apikey", value), ("cookie", value)]
        assert await whose(gateway, headers=headers) == (401, "Authorization Failed")

    run(test, **RESOURCES)
