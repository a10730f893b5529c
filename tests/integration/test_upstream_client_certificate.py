"""mTLS towards upstreams: the certificate stands in the resource, and is checked when it is put."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from .conftest import StartGateway
from .gateway import Document, nodes
from .scripted import each, echo
from .tls import TlsUpstream


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def upstream(authority: trustme.CA) -> Iterator[TlsUpstream]:
    """One that talks only to those whom `authority` knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with TlsUpstream(each(echo), context) as server:
        yield server


def shown(issued: trustme.LeafCert) -> Document:
    """As `tls` of an upstream."""
    return {
        "client_cert": b"".join(pem.bytes() for pem in issued.cert_chain_pems).decode(),
        "client_key": issued.private_key_pem.bytes().decode(),
    }


def test_certificate_of_the_resource(
    start_gateway: StartGateway, authority: trustme.CA, upstream: TlsUpstream, tmp_path: Path
) -> None:
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    gateway = start_gateway({"apisix": {"ssl": {"ssl_trusted_certificate": str(pem)}}})
    tls = shown(authority.issue_cert("gateway.test")) | {"verify": True}
    document: dict[str, Any] = {"nodes": nodes(upstream), "scheme": "https"}
    gateway.put("upstreams", "1", document | {"tls": tls})
    gateway.put("routes", "1", {"uri": "/x", "upstream_id": "1"})

    assert [gateway.fetch("/x").status, *(reply["status"] for reply in gateway.replies(["/x"] * 5))] == [
        200
    ] * 6

    gateway.put("upstreams", "1", document)
    assert gateway.fetch("/x").status == 502, "nor over a connection that was made with it"
    gateway.put("upstreams", "1", document | {"tls": tls})
    assert gateway.fetch("/x").status == 200
    assert tls["client_key"][40:60] not in gateway.log()


def test_key_of_another_certificate_is_refused(start_gateway: StartGateway, authority: trustme.CA) -> None:
    gateway = start_gateway()
    tls = shown(authority.issue_cert("one.test"))
    tls["client_key"] = shown(authority.issue_cert("other.test"))["client_key"]
    upstream = {"nodes": {"127.0.0.1:1": 1}, "scheme": "https", "tls": tls}

    for answer in (
        gateway.admin("PUT", "/upstreams/1", upstream),
        gateway.admin("PUT", "/routes/1", {"uri": "/x", "upstream": upstream}),
    ):
        assert answer.status == 400
        assert "client_cert and client_key cannot be used: key values mismatch" in answer.body.decode()
