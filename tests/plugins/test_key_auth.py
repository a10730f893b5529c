"""`key-auth`: consumers by their keys."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.errors import InvalidResource
from tests.plugins.gateways import document, get, header, put, running, to
from tests.upstream.servers import Server

JACK = {"username": "jack", "plugins": {"key-auth": {"key": "jack-key"}}, "labels": {"custom_id": "7"}}


def route(server: Server, **config: Any) -> dict[str, Any]:
    return {"uri": "/*", "plugins": {"key-auth": config}, "upstream": to(server)}


def lines(server: Server) -> list[bytes]:
    return server.requests[-1].lines


def test_consumer_is_found_and_the_upstream_told() -> None:
    async def main() -> None:
        async with (
            Server() as server,
            running(routes={"1": route(server)}, consumers={"jack": JACK}) as gateway,
        ):
            response = await get(gateway, headers=[("apikey", "jack-key"), ("X-Consumer-Username", "root")])
            assert response.status == 200
            told = [line for line in lines(server) if line.startswith((b"x-co", b"x-cr"))]
            assert told == [b"x-consumer-username: jack", b"x-consumer-custom-id: 7"]
            assert b"apikey: jack-key" in lines(server)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("headers", "query", "message"),
    [
        ([], "", "Missing API key in request"),
        ([("apikey", "")], "", "Missing API key in request"),
        ([("apikey", "other")], "", "Invalid API key in request"),
        ([], "apikey=other", "Invalid API key in request"),
        ([("apikey", "jack-key,jack-key")], "", "Invalid API key in request"),
    ],
)
def test_refusal(headers: list[tuple[str, str]], query: str, message: str) -> None:
    async def main() -> None:
        async with (
            Server() as server,
            running(routes={"1": route(server)}, consumers={"jack": JACK}) as gateway,
        ):
            response = await get(gateway, headers=headers, query=query)
            assert (response.status, document(response)) == (401, {"message": message})
            assert header(response, "WWW-Authenticate") == 'apikey realm="key"'
            assert server.requests == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("headers", "query", "sent"),
    [
        ([("x-key", "jack-key"), ("a", "b")], "c=d", b"GET /?c=d HTTP/1.1"),
        ([], "c=d&k=jack-key&e=%20f", b"GET /?c=d&e=%20f HTTP/1.1"),
        ([], "k=jack%2Dkey", b"GET / HTTP/1.1"),
    ],
)
def test_key_elsewhere_and_hidden(headers: list[tuple[str, str]], query: str, sent: bytes) -> None:
    async def main() -> None:
        plain = {"header": "X-Key", "query": "k", "hide_credentials": True}
        async with (
            Server() as server,
            running(routes={"1": route(server, **plain)}, consumers={"jack": JACK}) as gateway,
        ):
            response = await get(gateway, headers=headers, query=query)
            assert response.status == 200
            assert server.requests[-1].line == sent
            assert not any(b"jack-key" in line for line in lines(server))

    asyncio.run(main())


def test_credential_of_its_own() -> None:
    async def main() -> None:
        async with Server() as server, running(routes={"1": route(server)}) as gateway:
            credential = {"plugins": {"key-auth": {"key": "another"}}}
            put(gateway, "/consumers/jack/credentials/c1", credential)
            assert (await get(gateway, headers=[("apikey", "another")])).status == 401, "no consumer yet"
            put(gateway, "/consumers/jack", JACK)
            assert (await get(gateway, headers=[("apikey", "another")])).status == 200
            assert b"x-credential-identifier: c1" in lines(server)

    asyncio.run(main())


def test_anonymous_consumer() -> None:
    async def main() -> None:
        async with (
            Server() as server,
            running(routes={"1": route(server, anonymous_consumer="anyone")}) as gateway,
        ):
            assert (await get(gateway)).status == 401
            put(gateway, "/consumers/anyone", {"username": "anyone"})
            assert (await get(gateway)).status == 200
            assert b"x-consumer-username: anyone" in lines(server)

    asyncio.run(main())


@pytest.mark.parametrize("hidden", [True, False])
def test_key_of_nobody_is_hidden_too(*, hidden: bool) -> None:
    async def main() -> None:
        config = {"hide_credentials": hidden, "anonymous_consumer": "anyone"}
        async with (
            Server() as server,
            running(
                routes={"1": route(server, **config)}, consumers={"anyone": {"username": "anyone"}}
            ) as gateway,
        ):
            assert (await get(gateway, headers=[("apikey", "sesame")])).status == 200
            assert (b"apikey: sesame" in lines(server)) is not hidden
            assert (await get(gateway, query="a=b&apikey=sesame")).status == 200
            assert (b"sesame" in server.requests[-1].line) is not hidden
            both = await get(gateway, headers=[("apikey", "sesame")], query="a=b&&apikey=sesame")
            assert both.status == 200
            assert (b"sesame" in server.requests[-1].head) is not hidden
            assert (await get(gateway, query="a=b&&c")).status == 200
            assert server.requests[-1].line == b"GET /?a=b&&c HTTP/1.1"

    asyncio.run(main())


def test_header_that_no_request_can_have() -> None:
    async def main() -> None:
        config = {"header": "\N{UMBRELLA}", "hide_credentials": True, "anonymous_consumer": "anyone"}
        anyone = {"username": "anyone"}
        async with (
            Server() as server,
            running(routes={"1": route(server, **config)}, consumers={"anyone": anyone}) as gateway,
        ):
            assert (await get(gateway)).status == 200

    asyncio.run(main())


@given(st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=80))
def test_whatever_is_sent_is_refused(value: str) -> None:
    async def main() -> None:
        guarded = {"uri": "/*", "plugins": {"key-auth": {}}}
        async with running(routes={"1": guarded}, consumers={"jack": JACK}) as gateway:
            assert (await get(gateway, headers=[("apikey", value)])).status == 401
            assert (await get(gateway, query=f"apikey={value}")).status == 401

    asyncio.run(main())


def test_key_is_not_in_a_refused_config() -> None:
    async def main() -> None:
        async with running() as gateway:
            wrong = {"username": "jack", "plugins": {"key-auth": {"key": ["sesame"]}}}
            with pytest.raises(InvalidResource) as caught:
                put(gateway, "/consumers/jack", wrong)
            assert "sesame" not in caught.value.message
            assert "key" in caught.value.message

    asyncio.run(main())
