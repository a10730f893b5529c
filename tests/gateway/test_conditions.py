"""What a route asks beside host, path and method."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.config.expression import Lookup
from batchway.config.resources import Route, decode_route
from batchway.gateway.conditions import conditions


def route(**changes: Any) -> Route:
    return decode_route({"uri": "/hello", "plugins": {}} | changes)


def lookup(**variables: str) -> Lookup:
    return variables.get


def fulfilled(route: Route, **variables: str) -> bool:
    asked = conditions(route)
    assert asked is not None
    return asked(lookup(**variables))


def test_none() -> None:
    assert conditions(route()) is None
    assert conditions(route(vars=[])) is None


@pytest.mark.parametrize(
    ("networks", "within", "outside"),
    [  # lua-resty-radixtree, t/remote.t; apisix, t/node/remote-addr*.t
        ("127.0.0.1", ["127.0.0.1"], ["127.0.0.2", "::1", "", "x", "127.0.0.1:80", "127.0.0.01"]),
        ("127.0.0.3/24", ["127.0.0.1", "127.0.0.255"], ["127.0.1.1", "128.0.0.1"]),
        ("::1", ["::1", "0:0::1", "0000:0000:0000:0000:0000:0000:0000:0001"], ["::2", "127.0.0.1"]),
        ("fe80::1/64", ["fe80::1", "fe80::ffff:1"], ["::1", "fe80:fe::1", "80::1", "127.0.0.1"]),
        (["10.0.0.0/8", "::/0"], ["10.1.2.3", "abcd::1"], ["11.0.0.1"]),
        (["127.0.0.1", "127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.3"]),
        ("0.0.0.0/0", ["1.2.3.4", "::ffff:1.2.3.4"], ["::1"]),
        ("::ffff:10.0.0.0/104", ["10.1.2.3", "::ffff:a01:203"], ["11.0.0.1", "::1"]),
    ],
)
def test_client(networks: str | list[str], within: list[str], outside: list[str]) -> None:
    name = "remote_addr" if isinstance(networks, str) else "remote_addrs"
    asked = conditions(route(**{name: networks}))
    assert asked is not None
    for _ in range(2):  # as well from what it remembers
        assert [address for address in within if not asked(lookup(remote_addr=address))] == []
        assert [address for address in outside if asked(lookup(remote_addr=address))] == []
    assert not asked(lookup())


def test_variables() -> None:
    asked = route(vars=[["http_k", "==", "header"], ["cookie_k", "==", "cookie"], ["arg_k", "==", "arg"]])
    assert fulfilled(asked, http_k="header", cookie_k="cookie", arg_k="arg")
    assert not fulfilled(asked, http_k="header", cookie_k="cookie")


def test_both() -> None:
    asked = route(vars=[["arg_k", "==", "v"]], remote_addr="10.0.0.0/8")
    assert fulfilled(asked, arg_k="v", remote_addr="10.0.0.1")
    assert not fulfilled(asked, arg_k="v", remote_addr="11.0.0.1")
    assert not fulfilled(asked, arg_k="w", remote_addr="10.0.0.1")


def test_more_clients_than_are_remembered() -> None:
    asked = conditions(route(remote_addr="10.0.0.0/16"))
    assert asked is not None
    addresses = [f"10.{a}.{b}.1" for a in range(2) for b in range(256)] * 3
    addresses += [f"10.0.{a}.{b}" for a in range(8) for b in range(250)]
    for address in addresses:
        assert asked(lookup(remote_addr=address)) is address.startswith("10.0.")


@given(
    st.lists(
        st.ip_addresses().flatmap(lambda a: st.integers(0, a.max_prefixlen).map(lambda n: f"{a}/{n}")),
        min_size=1,
        max_size=4,
        unique=True,
    ),
    st.ip_addresses(),
)
def test_like_a_scan(networks: list[str], address: Any) -> None:
    plain = getattr(address, "ipv4_mapped", None) or address  # as it is, however it is spelled
    mapped = ip_address(f"::ffff:{plain}") if plain.version == 4 else plain
    found = [ip_network(one, strict=False) for one in networks]
    of_ipv6 = [one for one in found if plain.version == 6 or one.prefixlen >= 96]
    expected = any(plain in one for one in found) or any(mapped in one for one in of_ipv6)
    assert fulfilled(route(remote_addrs=networks), remote_addr=str(address)) is expected
