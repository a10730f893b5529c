"""Upstreams behind TLS: verified when the upstream or the item asks, with the CA of the config."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from .conftest import StartGateway, StartScripted
from .gateway import STOP_S, Document, Gateway
from .scripted import Behaviour, Peer, each, echo, ok
from .tls import TlsUpstream

StartTls = Callable[..., TlsUpstream]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def stranger() -> trustme.CA:
    """Nobody trusts it."""
    return trustme.CA()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> object:
    """One that trusts `authority`."""
    directory = tmp_path_factory.mktemp("tls")
    pem = directory / "ca.pem"
    authority.cert_pem.write_to_path(pem)
    gateway = Gateway(directory, {"apisix": {"ssl": {"ssl_trusted_certificate": str(pem)}}}).start()
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def tls() -> object:
    """Starts an upstream with a certificate of that CA for these names."""
    started: list[TlsUpstream] = []

    def start(ca: trustme.CA, *names: str, behaviour: Behaviour | None = None) -> TlsUpstream:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
        upstream = TlsUpstream(behaviour or each(echo), context)
        started.append(upstream)
        return upstream

    yield start
    for upstream in started:
        upstream.stop()


def statuses(gateway: Gateway, prefix: str) -> tuple[int, int]:
    """Of an item that does not ask for verification, and of one that does."""
    path = prefix + "/x"
    free, strict = gateway.replies(
        [{"path": path, "ssl_verify": False}, {"path": path, "ssl_verify": True}]
    )
    return free["status"], strict["status"]


def test_a_trusted_certificate(gateway: Gateway, tls: StartTls, authority: trustme.CA) -> None:
    upstream = tls(authority)

    assert statuses(gateway, gateway.route(upstream, scheme="https")) == (200, 200)
    assert upstream.requests[0].header("x-forwarded-proto") == "http"


def test_a_certificate_of_a_stranger(gateway: Gateway, tls: StartTls, stranger: trustme.CA) -> None:
    prefix = gateway.route(tls(stranger), scheme="https")

    assert statuses(gateway, prefix) == (200, 502)
    assert statuses(gateway, prefix) == (200, 502)  # nor over the connection of an item that did not ask
    assert gateway.fetch(prefix + "/x").status == 200


def test_a_certificate_for_another_name(gateway: Gateway, tls: StartTls, authority: trustme.CA) -> None:
    prefix = gateway.route(tls(authority, "other.test"), scheme="https")

    assert statuses(gateway, prefix) == (200, 502)
    assert "certificate" in gateway.reply({"path": prefix + "/x", "ssl_verify": True})["body"]


def test_the_upstream_asks_for_verification(
    gateway: Gateway, tls: StartTls, authority: trustme.CA, stranger: trustme.CA
) -> None:
    verify: Document = {"scheme": "https", "tls": {"verify": True}}

    assert statuses(gateway, gateway.route(tls(authority), **verify)) == (200, 200)
    strange = gateway.route(tls(stranger), **verify)
    assert statuses(gateway, strange) == (502, 502)
    assert gateway.fetch(strange + "/x").status == 502


def test_the_name_to_verify_is_the_operators(
    gateway: Gateway, tls: StartTls, authority: trustme.CA
) -> None:
    """`upstream_host` with `rewrite`; never the Host header of a client."""
    upstream = tls(authority, "api.test")
    named = {
        "scheme": "https",
        "pass_host": "rewrite",
        "upstream_host": "api.test",
        "tls": {"verify": True},
    }

    assert statuses(gateway, gateway.route(upstream, **named)) == (200, 200)
    assert upstream.names[-1] == "api.test"
    by_client = gateway.route(upstream, scheme="https", tls={"verify": True})
    assert gateway.fetch(by_client + "/x", headers={"Host": "api.test"}).status == 502


def test_a_name_as_the_node(gateway: Gateway, tls: StartTls, authority: trustme.CA) -> None:
    upstream = tls(authority, "localhost")
    nodes = {f"localhost:{upstream.address[1]}": 1}

    prefix = gateway.route(
        {"nodes": nodes, "scheme": "https", "tls": {"verify": True}, "pass_host": "node"}
    )

    assert statuses(gateway, prefix) == (200, 200)
    assert set(upstream.names) == {"localhost"}
    assert upstream.requests[0].header("host") == f"localhost:{upstream.address[1]}"


def test_no_ca_configured(start_gateway: StartGateway, tls: StartTls, authority: trustme.CA) -> None:
    """The system's CAs do not know ours."""
    gateway = start_gateway()

    assert statuses(gateway, gateway.route(tls(authority), scheme="https")) == (200, 502)


def test_many_items_over_tls(gateway: Gateway, tls: StartTls, authority: trustme.CA) -> None:
    upstream = tls(authority, behaviour=each(lambda request: ok(request.target.encode())))
    prefix = gateway.route(upstream, scheme="https", max_connections=5, tls={"verify": True})

    for _ in range(3):
        replies = gateway.replies([f"{prefix}/{number}" for number in range(50)])
        assert [reply["body"] for reply in replies] == [f"{prefix}/{number}" for number in range(50)]
    assert upstream.accepted <= 10


def test_no_tls_behind_https(gateway: Gateway, scripted: StartScripted) -> None:
    def answer(peer: Peer) -> None:
        peer.receive()
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    prefix = gateway.route(scripted(answer), scheme="https")

    assert statuses(gateway, prefix) == (502, 502)


def test_tls_behind_http(gateway: Gateway, tls: StartTls, authority: trustme.CA) -> None:
    assert statuses(gateway, gateway.route(tls(authority))) == (502, 502)


def test_a_handshake_that_stalls(gateway: Gateway, scripted: StartScripted) -> None:
    timeout = {"connect": 0.3, "send": 1, "read": 1}

    reply = gateway.reply(gateway.route(scripted(Peer.stall), scheme="https", timeout=timeout) + "/x")

    assert reply["status"] == 504


def test_a_missing_ca_file(
    start_gateway: StartGateway, tmp_path: Path, tls: StartTls, stranger: trustme.CA
) -> None:
    """It must not turn into trust in everything."""
    missing = str(tmp_path / "missing.pem")
    gateway = start_gateway({"apisix": {"ssl": {"ssl_trusted_certificate": missing}}}, run=False)
    gateway.write_config()
    process = gateway.spawn()
    try:
        gateway.wait_healthy()
    except AssertionError:
        assert process.wait(STOP_S) in (1, 2)
        assert missing in gateway.log()
        return
    prefix = gateway.route(tls(stranger), scheme="https")
    assert gateway.reply({"path": prefix + "/x", "ssl_verify": True})["status"] == 502
