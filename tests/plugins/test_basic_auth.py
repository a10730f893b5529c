"""`basic-auth`: consumers by name and password."""

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
    challenges,
    consumer,
    guarded,
    run,
    whose,
)
from tests.upstream.servers import Server

JACK = consumer("jack", basic_auth={"username": "foo", "password": "bar"})
RESOURCES: dict[str, Any] = {"routes": {"1": guarded(basic_auth={})}, "consumers": {"jack": JACK}}


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (basic("foo", "bar"), (200, "jack")),
        (authorization("basic Zm9vOmJhcg=="), (200, "jack")),
        (authorization("Basic   Zm9vOmJhcg== "), (200, "jack")),
        ([], (401, "Missing authorization in request")),
        (authorization(""), (401, "Invalid authorization in request")),
        (authorization("Basic"), (401, "Invalid authorization in request")),
        (authorization("Bad_header YmFyOmJhcgo="), (401, "Invalid authorization in request")),
        (authorization("Basic aca_a"), (401, "Invalid authorization in request")),
        (authorization("Basic Zm9vOmJhcg"), (401, "Invalid authorization in request")),
        (authorization("Basic YmFy"), (401, "Invalid authorization in request")),
        (authorization("Basic /////w=="), (401, "Invalid authorization in request")),
        (authorization("Basic \xe4\xf6"), (401, "Invalid authorization in request")),
        (basic("foo", "bar") * 2, (401, "Invalid authorization in request")),
        (basic("bar", "bar"), (401, "Invalid user authorization")),
        (basic("foo", "foo"), (401, "Invalid user authorization")),
        (basic("foo", ""), (401, "Invalid user authorization")),
        (basic("", "bar"), (401, "Invalid user authorization")),
        (basic("foo", "ba"), (401, "Invalid user authorization")),
        (basic("foo", "bar\n"), (401, "Invalid user authorization")),
        (basic("jack", "bar"), (401, "Invalid user authorization")),
    ],
)
def test_who_is_let_in(headers: Headers, told: tuple[int, str]) -> None:
    async def test(gateway: Gateway) -> None:
        assert await whose(gateway, headers=headers) == told
        response = await get(gateway, headers=headers)
        assert challenges(response) == ([] if told[0] == 200 else ['Basic realm="basic"'])

    run(test, **RESOURCES)


@pytest.mark.parametrize("password", ["a:b", ":", "two words", "  ", "pässwörd 🔑", "x" * 5000])
def test_any_password(password: str) -> None:
    async def test(gateway: Gateway) -> None:
        put(
            gateway,
            "/consumers/jack",
            consumer("jack", basic_auth={"username": "föö", "password": password}),
        )
        assert await whose(gateway, headers=basic("föö", password)) == (200, "jack")
        assert await whose(gateway, headers=basic("föö", password[:-1])) == (
            401,
            "Invalid user authorization",
        )

    run(test, **RESOURCES)


def test_password_is_compared_in_the_same_time_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(known: bytes, given: bytes) -> bool:
        compared.append((known, given))
        return known == given

    monkeypatch.setattr("hmac.compare_digest", compare)

    async def test(gateway: Gateway) -> None:
        assert await whose(gateway, headers=basic("foo", "bar")) == (200, "jack")
        assert (await whose(gateway, headers=basic("nobody", "bar")))[0] == 401
        assert (await whose(gateway, headers=basic("nobody", "")))[0] == 401, "the password of nobody"

    run(test, **RESOURCES)
    assert compared == [(b"bar", b"bar"), (b"", b"bar"), (b"", b"")]


@pytest.mark.parametrize(
    ("realm", "shown"),
    [
        ("my api", 'Basic realm="my api"'),
        ("", 'Basic realm=""'),
        ('a"b\\c', 'Basic realm="a\\"b\\\\c"'),
        ("☂", 'Basic realm="?"'),
    ],
)
def test_realm(realm: str, shown: str) -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", guarded(basic_auth={"realm": realm}))
        assert challenges(await get(gateway)) == [shown]

    run(test, **RESOURCES)


@pytest.mark.parametrize("hidden", [True, False])
def test_upstream_sees_the_password_unless_it_is_hidden(*, hidden: bool) -> None:
    async def main() -> None:
        config = {"hide_credentials": hidden, "anonymous_consumer": "anyone"}
        async with Server() as server:
            route = {"uri": "/*", "plugins": {"basic-auth": config}, "upstream": to(server)}
            people = {"jack": JACK, "anyone": {"username": "anyone"}}
            async with running(routes={"1": route}, consumers=people) as gateway:
                for headers in (basic("foo", "bar"), basic("foo", "wrong")):
                    assert (await get(gateway, headers=headers)).status == 200
                    shown = any(line.startswith(b"authorization:") for line in server.requests[-1].lines)
                    assert shown is not hidden

    asyncio.run(main())


def test_upstream_is_told_whose_request_it_is_and_nothing_that_the_client_says_of_it() -> None:
    async def main() -> None:
        async with Server() as server:
            route = {"uri": "/*", "plugins": {"basic-auth": {}}, "upstream": to(server)}
            async with running(routes={"1": route}, consumers={"jack": JACK}) as gateway:
                forged = ["X-Consumer-Username", "x_consumer_username", "X-Credential_Identifier"]
                headers = basic("foo", "bar") + [(name, "root") for name in forged]
                assert (await get(gateway, headers=headers)).status == 200
                told = [line for line in server.requests[-1].lines if line.startswith((b"x-c", b"x_c"))]
                assert told == [b"x-consumer-username: jack"]

    asyncio.run(main())


def test_anonymous_consumer() -> None:
    async def test(gateway: Gateway) -> None:
        put(gateway, "/routes/1", guarded(basic_auth={"anonymous_consumer": "anyone"}))
        assert await whose(gateway) == (401, "Invalid user authorization")
        put(gateway, "/consumers/anyone", {"username": "anyone"})
        assert await whose(gateway) == (200, "anyone")
        assert await whose(gateway, headers=basic("foo", "wrong")) == (200, "anyone")
        assert await whose(gateway, headers=basic("foo", "bar")) == (200, "jack")

    run(test, **RESOURCES)


def test_credentials_of_a_consumer() -> None:
    async def test(gateway: Gateway) -> None:
        other = {"plugins": {"basic-auth": {"username": "other", "password": "word"}}}
        put(gateway, "/consumers/jack/credentials/c1", other)
        assert await whose(gateway, headers=basic("other", "word")) == (200, "jack/c1")
        assert await whose(gateway, headers=basic("foo", "bar")) == (200, "jack")
        assert (await whose(gateway, headers=basic("other", "bar")))[0] == 401
        assert (await whose(gateway, headers=basic("foo", "word")))[0] == 401

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    "config",
    [
        {"username": "sesame"},
        {"password": "sesame"},
        {"username": 5, "password": "sesame"},
        {"username": "sesame", "password": ["sesame"]},
        {"username": "", "password": "sesame"},
        {"username": "sesame", "password": ""},
        {"username": "sesame", "password": "sesame", "more": "sesame"},
        {},
    ],
)
def test_wrong_consumer_is_refused_without_its_password(config: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match="basic-auth") as caught:
            put(gateway, "/consumers/jack", consumer("jack", basic_auth=config))
        assert "sesame" not in caught.value.message
        assert await whose(gateway, headers=basic("foo", "bar")) == (200, "jack"), "as it was"

    run(test, **RESOURCES)


@pytest.mark.parametrize(
    "config",
    [
        {"hide_credentials": "yes"},
        {"realm": 5},
        {"realm": "a\r\nSet-Cookie: a=b"},
        {"realm": "a\n"},
        {"anonymous_consumer": ""},
        {"anonymous_consumer": True},
        {"username": "foo"},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def test(gateway: Gateway) -> None:
        with pytest.raises(InvalidResource, match="basic-auth"):
            put(gateway, "/routes/1", guarded(basic_auth=config))

    run(test, **RESOURCES)


@settings(max_examples=300)
@given(
    value=st.one_of(
        st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=200),
        st.binary(max_size=60).map(lambda raw: basic("", "")[0][1][:6] + raw.hex()),
        st.tuples(st.text(max_size=20), st.text(max_size=20)).map(lambda pair: basic(*pair)[0][1]),
    )
)
def test_whatever_is_sent_is_refused(value: str) -> None:
    async def test(gateway: Gateway) -> None:
        status, message = await whose(gateway, headers=authorization(value))
        assert status == 401, message

    run(test, **RESOURCES)
