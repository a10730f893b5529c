"""`ip-restriction`: which clients are served, by their addresses."""

import asyncio
from typing import Any

import pytest

from batchway.errors import InvalidResource
from tests.plugins.gateways import document, get, new_batch, running
from tests.plugins.upstreams import put_route
from tests.upstream.servers import Server

MIXED = ["127.0.0.0/24", "113.74.26.106", "::1", "fe80::/32", "2001:DB8:0:23:8:800:200C:417A"]


def status(config: dict[str, Any], client: str, **more: Any) -> int:
    async def main() -> int:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, ip_restriction=config)
            response = await get(gateway, client=client, **more)
            assert len(server.requests) == (response.status == 200)
            if response.status != 200:
                assert document(response) == {
                    "message": config.get("message", "Your IP address is not allowed")
                }
            return response.status

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("client", "is_listed"),
    [
        ("127.0.0.1", True),
        ("127.0.0.255", True),
        ("127.0.1.0", False),
        ("113.74.26.106", True),
        ("114.114.114.114", False),
        ("::1", True),
        ("::2", False),
        ("fe80::1:1", True),
        ("2001:db8:0:23:8:800:200c:417a", True),
        ("2001:db8::2", False),
        ("::ffff:127.0.0.1", True),
        ("::ffff:9.9.9.9", False),
        ("", False),
        ("junk", False),
    ],
)
def test_lists(client: str, is_listed: bool) -> None:
    assert status({"whitelist": MIXED}, client) == (200 if is_listed else 403)
    assert status({"blacklist": MIXED}, client) == (403 if is_listed else 200)


@pytest.mark.parametrize(
    "listed", ["::ffff:10.1.2.3", "::FFFF:a01:203", "::ffff:10.0.0.0/104", "10.0.0.0/8"]
)
@pytest.mark.parametrize("client", ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:a01:203"])
def test_ipv4_address_in_any_spelling(listed: str, client: str) -> None:
    assert status({"blacklist": [listed]}, client) == 403
    assert status({"whitelist": [listed]}, "::ffff:11.1.2.3") == 403


def test_other_words_and_another_status() -> None:
    assert (
        status({"blacklist": ["0.0.0.0/0"], "message": "Do you want to do something bad?"}, "1.1.1.1")
        == 403
    )
    assert status({"blacklist": ["0.0.0.0/0"], "response_code": 404}, "1.1.1.1") == 404


def test_every_network_is_all_of_its_kind() -> None:
    assert status({"whitelist": ["0.0.0.0/0"]}, "::1") == 403
    assert status({"whitelist": ["::/0", "0.0.0.0/0"]}, "::1") == 200


def test_items_have_the_address_of_their_batch_whatever_they_say() -> None:
    headers = [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1")]
    assert status({"whitelist": MIXED}, "9.9.9.9", batch=new_batch(), headers=headers) == 403
    assert status({"whitelist": MIXED}, "127.0.0.9", batch=new_batch()) == 200


def test_authentication_comes_after() -> None:
    async def main() -> None:
        async with running() as gateway:
            put_route(gateway, None, ip_restriction={"blacklist": ["10.0.0.1"]}, basic_auth={})
            # both find out who asks; but what authenticates does so a phase earlier
            assert (await get(gateway)).status == 401

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"blacklist": []},
        {"whitelist": []},
        {"whitelist": ["172.17.40.0/24"], "blacklist": ["10.255.0.0/16"]},
        {"whitelist": ["10.255.256.0/24", "192.168.0.0/16"]},
        {"whitelist": ["10.255.254.0/38"]},
        {"whitelist": ["::1/129"]},
        {"whitelist": ["::ffgg"]},
        {"whitelist": ["host.test"]},
        {"blacklist": ["1.1.1.1"], "message": ""},
        {"blacklist": ["1.1.1.1"], "message": "a" * 1025},
        {"blacklist": ["1.1.1.1"], "response_code": 200},
        {"blacklist": ["1.1.1.1"], "unknown": True},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="ip-restriction"):
                put_route(gateway, None, ip_restriction=config)

    asyncio.run(main())
