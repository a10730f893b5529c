"""The headers that an upstream gets."""

import pytest

from batchway.gateway import Forwarding
from batchway.model import Headers, Origin, Request

ORIGIN = Origin("10.1.2.3", "https", "outer.test", 8443)
OURS = [
    "x-real-ip: 10.1.2.3",
    "x-forwarded-for: 10.1.2.3",
    "x-forwarded-proto: https",
    "x-forwarded-host: outer.test",
    "x-forwarded-port: 8443",
]


def request(*pairs: tuple[str, str], origin: Origin = ORIGIN) -> Request:
    headers = Headers((name.encode(), value.encode("latin-1")) for name, value in pairs)
    return Request("GET", "/", "", headers, b"", origin)


def block(*pairs: tuple[str, str], origin: Origin = ORIGIN, real_ip_header: str = "x-real-ip") -> list[str]:
    """The lines of the block."""
    made = Forwarding(real_ip_header.encode()).block(request(*pairs, origin=origin)).decode("latin-1")
    assert made.endswith("\r\n")
    return made.removesuffix("\r\n").split("\r\n")


def test_what_is_ours() -> None:
    assert block() == OURS


def test_headers_pass_in_order() -> None:
    pairs = [("b", "1"), ("a", "2"), ("b", "3"), ("accept", "x\xfc"), ("empty", "")]
    assert block(*pairs) == ["b: 1", "a: 2", "b: 3", "accept: x\xfc", "empty: ", *OURS]


def test_host_is_not_in_the_block() -> None:
    """It is written with the request line, by whoever knows the node."""
    lines = block(("host", "inner.test"), ("a", "b"))
    assert lines == ["a: b", *OURS[:3], "x-forwarded-host: inner.test", OURS[4]]


@pytest.mark.parametrize(
    ("host", "port"),
    [("a.test:81", "81"), ("[::1]:81", "81"), ("[::1]", "8443"), ("a.test:", "8443"), ("a.test:x", "8443")],
)
def test_port_is_that_of_the_host(host: str, port: str) -> None:
    assert block(("host", host))[-2:] == [f"x-forwarded-host: {host}", f"x-forwarded-port: {port}"]


@pytest.mark.parametrize(
    "name",
    [
        "x-real-ip",
        "x_real_ip",
        "x_real-ip",
        "x-forwarded-for",
        "x_forwarded_for",
        "x-forwarded_for",
        "x-forwarded-proto",
        "x_forwarded_proto",
        "x-forwarded-host",
        "x-forwarded_host",
        "x-forwarded-port",
        "x_forwarded_port",
        "forwarded",
        "x-forwarded-prefix",
        "x_forwarded_prefix",
    ],
)
def test_nobody_speaks_in_our_name(name: str) -> None:
    assert block((name, "6.6.6.6")) == OURS


@pytest.mark.parametrize("name", ["x-forwarded-fo", "x-forwarded-for-", "x-real-ips", "my_header", "_"])
def test_other_headers_are_not_touched(name: str) -> None:
    assert block((name, "v")) == [f"{name}: v", *OURS]


def test_real_ip_header_of_another_name() -> None:
    lines = block(("x-real-ip", "6.6.6.6"), ("x-client", "6.6.6.6"), real_ip_header="x-client")
    assert lines == ["x-real-ip: 6.6.6.6", "x-client: 10.1.2.3", *OURS[1:]]


@pytest.mark.parametrize("name", ["x_client", "x-client"])
def test_real_ip_header_with_an_underscore(name: str) -> None:
    lines = block((name, "6.6.6.6"), real_ip_header="x_client")
    assert lines == ["x_client: 10.1.2.3", *OURS[1:]]


def test_real_ip_header_that_is_the_chain() -> None:
    lines = block(real_ip_header="x-forwarded-for")
    assert [line for line in lines if line.startswith("x-forwarded-for:")] == ["x-forwarded-for: 10.1.2.3"]


def test_client_without_an_address() -> None:
    lines = block(origin=Origin("", "http", "outer.test", 80))
    assert lines[:2] == ["x-real-ip: ", "x-forwarded-for: "]


# --- a proxy that is believed

TRUSTED = Origin("10.1.2.3", "http", "outer.test", 80, trusted=True)


def test_chain_of_a_trusted_proxy_goes_on() -> None:
    lines = block(
        ("x-forwarded-for", "1.1.1.1, 2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "public.test"),
        ("x-forwarded-port", "443"),
        origin=TRUSTED,
    )
    assert lines == [
        "x-real-ip: 10.1.2.3",
        "x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.1.2.3",
        "x-forwarded-proto: https",
        "x-forwarded-host: public.test",
        "x-forwarded-port: 443",
    ]


def test_chain_in_several_headers_is_one() -> None:
    pairs = [("x-forwarded-for", "1.1.1.1"), ("a", "b"), ("x-forwarded-for", "2.2.2.2")]
    lines = block(*pairs, origin=TRUSTED)
    assert lines[:3] == ["a: b", "x-real-ip: 10.1.2.3", "x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.1.2.3"]


def test_trusted_proxy_that_says_nothing() -> None:
    assert block(origin=TRUSTED) == [
        "x-real-ip: 10.1.2.3",
        "x-forwarded-for: 10.1.2.3",
        "x-forwarded-proto: http",
        "x-forwarded-host: outer.test",
        "x-forwarded-port: 80",
    ]


def test_trusted_proxy_does_not_set_the_real_ip_header() -> None:
    """That goes by `real_ip_from`, which is another list."""
    assert block(("x-real-ip", "6.6.6.6"), origin=TRUSTED)[0] == "x-real-ip: 10.1.2.3"


def test_underscores_are_not_believed_from_a_trusted_proxy() -> None:
    lines = block(("x_forwarded_for", "6.6.6.6"), ("x_forwarded_host", "evil.test"), origin=TRUSTED)
    assert "6.6.6.6" not in "".join(lines)
    assert "evil.test" not in "".join(lines)


def test_untrusted_peer_adds_nothing_to_the_chain() -> None:
    lines = block(("x-forwarded-for", "6.6.6.6"), ("x-forwarded-host", "evil.test"))
    assert lines == OURS


@pytest.mark.parametrize("name", ["forwarded", "x-forwarded-prefix"])
def test_what_only_a_proxy_knows_is_believed_from_a_trusted_one(name: str) -> None:
    assert block((name, "v"), origin=TRUSTED)[0] == f"{name}: v"


# --- the memo


def test_block_is_made_once_for_a_batch() -> None:
    forwarding = Forwarding()
    first = request(("a", "b"))
    second = Request("POST", "/other", "", first.headers, b"", ORIGIN)
    assert forwarding.block(first) is forwarding.block(second)


def test_memo_is_not_shared_between_origins() -> None:
    forwarding = Forwarding()
    first = request(("a", "b"))
    other = Request("GET", "/", "", first.headers, b"", Origin("10.9.9.9", "http", "outer.test", 80))
    assert b"10.1.2.3" in forwarding.block(first)
    assert b"10.9.9.9" in forwarding.block(other)
    assert b"10.1.2.3" not in forwarding.block(other)
    assert b"10.9.9.9" not in forwarding.block(first)


def test_memo_is_not_shared_between_rules() -> None:
    asked = request(("a", "b"))
    assert b"x-real-ip" in Forwarding().block(asked)
    assert b"x-client" in Forwarding(b"x-client").block(asked)
    assert b"x-real-ip" in Forwarding().block(asked)


def test_memo_of_others_is_not_taken_for_ours() -> None:
    asked = request(("a", "b"))
    asked.headers.memo = ("somebody else's", None)
    assert b"a: b\r\n" in Forwarding().block(asked)
