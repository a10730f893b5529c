"""`real-ip`: whose request it is, where a proxy in front of us knows."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from batchway.errors import InvalidResource
from tests.plugins.gateways import get, put, request, running, to
from tests.plugins.upstreams import put_route, sent
from tests.upstream.servers import Server

PEER = "10.0.0.1"


def client(config: dict[str, Any], *headers: tuple[str, str], peer: str = PEER, query: str = "") -> str:
    """Whose request it is to plugins; the upstream is told the same."""

    async def main() -> str:
        async with Server() as server, running() as gateway:
            put_route(
                gateway,
                server,
                real_ip=config,
                response_rewrite={"headers": {"X-Client": "<$remote_addr>"}},
            )
            response = await get(gateway, headers=headers, client=peer, query=query)
            ((_, made),) = [pair for pair in response.headers if pair[0] == b"X-Client"]
            found = made.decode()[1:-1]
            assert (sent(server, "x-real-ip"), sent(server, "x-forwarded-for")) == ([found], [found])
            return found

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("1.1.1.1", "1.1.1.1"),
        (" 1.1.1.1 ", "1.1.1.1"),
        ("1.1.1.1:80", "1.1.1.1"),
        ("1.1.1.1:65535", "1.1.1.1"),
        ("::2", "::2"),
        ("0:0::2", "::2"),
        ("[::2]:80", "::2"),
        ("[::2]", "::2"),
        ("::ffff:1.1.1.1", "1.1.1.1"),
        ("[::ffff:1.1.1.1]:80", "1.1.1.1"),
        ("2001:DB8::68", "2001:db8::68"),
        ("1.1.1.1.1", PEER),
        ("1.1.1", PEER),
        ("1.1.1.1:65536", PEER),
        ("1.1.1.1:0", PEER),
        ("1.1.1.1:", PEER),
        ("1.1.1.1:http", PEER),
        ("1.1.1.1, 2.2.2.2", PEER),
        ("[::2]:", PEER),
        ("[::2", PEER),
        ("::2]", PEER),
        ("[1.1.1.1]x:80", PEER),
        ("fe80::1%eth0", PEER),
        ("host.test", PEER),
        ("0x7f000001", PEER),
        ("unknown", PEER),
        ("", PEER),
    ],
)
def test_address_in_a_header(told: str, found: str) -> None:
    assert client({"source": "http_xff"}, ("XFF", told)) == found


def test_address_elsewhere() -> None:
    assert client({"source": "arg_client"}, query="client=1.2.3.4") == "1.2.3.4"
    assert client({"source": "cookie_c"}, ("cookie", "c=1.2.3.4")) == "1.2.3.4"
    assert client({"source": "http_none"}) == PEER


TRUSTED = ["10.0.0.0/8", "192.128.0.0/16", "fd00::/8"]


@pytest.mark.parametrize(
    ("config", "chain", "found"),
    [
        ({}, ["::1, ::2"], "::2"),
        ({}, ["::1", "::2"], "::2"),
        ({}, ["1.1.1.1"], "1.1.1.1"),
        ({}, ["1.1.1.1,"], PEER),
        ({}, ["1.1.1.1, 2.2.2.2:80"], "2.2.2.2"),
        ({"recursive": True}, ["1.1.1.1, 10.0.0.2"], "10.0.0.2"),
        ({"trusted_addresses": TRUSTED}, ["1.1.1.1, 10.0.0.2"], "10.0.0.2"),
        ({"trusted_addresses": TRUSTED, "recursive": True}, ["1.1.1.1, 10.0.0.2"], "1.1.1.1"),
        (
            {"trusted_addresses": TRUSTED, "recursive": True},
            ["6.6.6.6, 1.1.1.1, 10.0.0.2, 10.9.9.9"],
            "1.1.1.1",
        ),
        ({"trusted_addresses": TRUSTED, "recursive": True}, ["6.6.6.6, 1.1.1.1", "fd00::1"], "1.1.1.1"),
        ({"trusted_addresses": TRUSTED, "recursive": True}, ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ({"trusted_addresses": TRUSTED, "recursive": True}, ["6.6.6.6, junk, 10.0.0.2"], "10.0.0.2"),
        ({"trusted_addresses": TRUSTED, "recursive": True}, ["1.1.1.1, junk"], PEER),
        ({"trusted_addresses": TRUSTED, "recursive": True}, ["1.1.1.1:99, 10.0.0.2:1"], "1.1.1.1"),
        ({"trusted_addresses": ["192.128.0.0/16"]}, ["1.1.1.1"], PEER),
        ({"trusted_addresses": [PEER]}, ["1.1.1.1"], "1.1.1.1"),
    ],
)
def test_chain_of_proxies(config: dict[str, Any], chain: list[str], found: str) -> None:
    headers = [("X-Forwarded-For", one) for one in chain]
    assert client({"source": "http_x_forwarded_for", **config}, *headers) == found


@pytest.mark.parametrize(
    ("told", "port"), [("1.1.1.1:9080", "9080"), ("[::1]:9080", "9080"), ("1.1.1.1", "50123")]
)
def test_port_is_the_clients_where_one_is_told(told: str, port: str) -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            headers = {"X-Port": "$remote_port"}
            put_route(
                gateway, server, real_ip={"source": "arg_realip"}, response_rewrite={"headers": headers}
            )
            asked = request(query=f"realip={told}")
            asked.origin = replace(asked.origin, client_port=50123)
            assert (b"X-Port", port.encode()) in (await gateway.handle(asked)).headers

    asyncio.run(main())


def test_later_plugins_and_the_upstream_see_the_new_address() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(
                gateway,
                server,
                real_ip={"source": "http_xff"},
                ip_restriction={"blacklist": ["9.9.9.9"]},
                limit_count={"count": 1, "time_window": 60},
            )
            told = ["9.9.9.9", "1.1.1.1", "1.1.1.1", "2.2.2.2"]
            statuses = [(await get(gateway, headers=[("xff", one)])).status for one in told]
            assert statuses == [403, 200, 503, 200]

    asyncio.run(main())


def test_headers_that_name_a_proxy_are_dropped_all_the_same() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            put_route(gateway, server, real_ip={"source": "http_x_forwarded_for"})
            await get(gateway, headers=[("X-Forwarded-For", "6.6.6.6, 1.1.1.1"), ("X-Real-IP", "6.6.6.6")])
            assert (sent(server, "x-forwarded-for"), sent(server, "x-real-ip")) == (
                ["1.1.1.1"],
                ["1.1.1.1"],
            )

    asyncio.run(main())


def test_items_have_the_address_of_their_batch_and_no_other() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            real_ip = {"source": "http_x_client", "trusted_addresses": [PEER]}
            put(gateway, "/global_rules/1", {"plugins": {"real-ip": real_ip}})
            put(gateway, "/routes/1", {"uri": "/echo", "upstream": to(server)})
            gateway.expose(["/apisix/batch-requests"])
            items = [{"path": "/echo", "headers": {"X-Client": one}} for one in ("6.6.6.6", PEER)]
            body = json.dumps({"pipeline": [*items, {"path": "/echo"}]}).encode()
            headers = [("x-client", "1.1.1.1")]
            answer = await get(gateway, "/apisix/batch-requests", "POST", body=body, headers=headers)
            assert isinstance(answer.body, bytes)
            assert [one["status"] for one in msgspec.json.decode(answer.body)] == [200, 200, 200]
            lines = [line for one in server.requests for line in one.lines if line.startswith(b"x-real-ip")]
            assert lines == [b"x-real-ip: 1.1.1.1"] * 3

    asyncio.run(main())


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"source": ""},
        {"source": "http_xff", "trusted_addresses": []},
        {"source": "http_xff", "trusted_addresses": ["127.0.0.1/33"]},
        {"source": "http_xff", "trusted_addresses": ["::1/129"]},
        {"source": "http_xff", "trusted_addresses": ["host.test"]},
        {"source": "http_xff", "recursive": 1},
        {"source": "http_xff", "unknown": 1},
    ],
)
def test_wrong_config(config: dict[str, Any]) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource, match="real-ip"):
                put_route(gateway, None, real_ip=config)

    asyncio.run(main())


ADDRESSES = st.ip_addresses().map(str) | st.sampled_from(
    ["fe80::1%25", "[", "]:1", ":", "%0d%0aX-Evil: 1", ","]
)


@settings(max_examples=60)
@given(told=st.lists(ADDRESSES | st.text(max_size=5), max_size=4).map("".join))
def test_only_an_address_gets_through(told: str) -> None:
    raw = "".join(f"%{byte:02x}" for byte in told.encode())
    found = client({"source": "arg_client"}, query=f"client={raw}")
    assert found == PEER or all(character in "0123456789abcdef.:" for character in found)
