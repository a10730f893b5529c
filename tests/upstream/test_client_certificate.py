"""A certificate of ours, shown to upstreams that ask for one."""

import asyncio
import gc
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from batchway.errors import InvalidResource, UpstreamError
from batchway.upstream.tls import ClientCertificate, Contexts
from tests.loops import until

from .asking import BLOCK, Client, request
from .servers import Server, closed_port


class Authority:
    """A CA that both sides trust."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def server(self) -> ssl.SSLContext:
        """A server that talks only to those with a certificate of the CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("127.0.0.1").configure_cert(context)
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client(self, name: str) -> dict[str, str]:
        """`tls` of an upstream that shows a certificate for `name`."""
        return pem(self.ca.issue_cert(name))


def pem(issued: trustme.LeafCert) -> dict[str, str]:
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    return {"client_cert": chain.decode(), "client_key": issued.private_key_pem.bytes().decode()}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def shown(server: Server) -> set[str]:
    """The names of the certificates that were shown to the server."""
    found = set()
    for peer in server.peers:
        certificate: Any = peer.writer.get_extra_info("peercert") or {}
        found |= {name for _, name in certificate.get("subjectAltName", ())}
    return found


@pytest.mark.parametrize("verify", [False, True])
def test_certificate_is_shown(each_loop: asyncio.Runner, authority: Authority, verify: bool) -> None:
    async def main() -> None:
        async with (
            Server(tls=authority.server()) as server,
            Client.running(ca_file=authority.file) as client,
        ):
            tls = authority.client("gateway.test") | {"verify": verify}
            upstream = client.upstream([server.port], scheme="https", tls=tls)
            for asks in (False, True):
                assert (await upstream.send(request(verify_tls=asks), BLOCK)).status == 200
            assert shown(server) == {"gateway.test"}

    each_loop.run(main())


def test_without_a_certificate_it_is_refused(each_loop: asyncio.Runner, authority: Authority) -> None:
    async def main() -> None:
        async with Server(tls=authority.server()) as server, Client.running() as client:
            upstream = client.upstream([server.port], scheme="https")
            with pytest.raises(UpstreamError):
                await upstream.send(request("POST"), BLOCK)

    each_loop.run(main())


def test_two_upstreams_at_one_address_have_connections_of_their_own(
    each_loop: asyncio.Runner, authority: Authority
) -> None:
    async def main() -> None:
        async with Server(tls=authority.server()) as server, Client.running() as client:
            for name in ("one.test", "other.test"):
                tls = authority.client(name)
                upstream = client.upstream([server.port], scheme="https", tls=tls)
                for _ in range(2):
                    assert (await upstream.send(request(), BLOCK)).status == 200
            assert shown(server) == {"one.test", "other.test"}
            assert len(server.peers) == 2
            bare = client.upstream([server.port], scheme="https")
            with pytest.raises(UpstreamError):
                await bare.send(request("POST"), BLOCK)

    each_loop.run(main())


def test_changed_upstream_with_the_same_certificate_keeps_its_connections(
    each_loop: asyncio.Runner, authority: Authority
) -> None:
    async def main() -> None:
        async with Server(tls=authority.server()) as server, Client.running() as client:
            tls = authority.client("gateway.test")
            old = client.upstream([server.port], scheme="https", tls=tls)
            assert (await old.send(request(), BLOCK)).status == 200
            new = client.upstream([server.port], old, scheme="https", tls=dict(tls), retries=3)
            old.close()
            assert (await new.send(request(), BLOCK)).status == 200
            assert len(server.peers) == 1

    each_loop.run(main())


def test_probes_show_it_too(each_loop: asyncio.Runner, authority: Authority) -> None:
    async def main() -> None:
        async with (
            Server(tls=authority.server()) as server,
            Client.running(ca_file=authority.file) as client,
        ):
            active = {"type": "https", "timeout": 30}
            upstream = client.upstream(
                [server.port, closed_port()],
                scheme="https",
                tls=authority.client("gateway.test"),
                checks={"active": active},
            )
            await until(lambda: server.requests)
            assert shown(server) == {"gateway.test"}
            upstream.close()

    each_loop.run(main())


# --- what is left of it


def test_context_goes_with_its_last_user(authority: Authority) -> None:
    contexts = Contexts()
    tls = authority.client("gateway.test")
    client = ClientCertificate(tls["client_cert"], tls["client_key"])
    first = contexts.get(verify=False, client=client)
    assert contexts.get(verify=False, client=client) is first
    assert contexts.get(verify=True, client=client) is not first
    del first
    gc.collect()
    assert not contexts._with_client


@pytest.mark.parametrize("in_memory", [True, False])
def test_key_leaves_no_trace(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create")
    seen: list[tuple[int, list[str]]] = []
    load = ssl.SSLContext.load_cert_chain

    def watch(self: ssl.SSLContext, certfile: str, *args: Any, **kwargs: Any) -> None:
        seen.append((os.stat(certfile).st_mode & 0o077 if not in_memory else 0, os.listdir(tmp_path)))
        load(self, certfile, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watch)
    gc.collect()  # what it would close in between
    files = len(os.listdir("/proc/self/fd"))
    tls = authority.client("gateway.test")
    client = ClientCertificate(tls["client_cert"], tls["client_key"])
    Contexts().get(verify=False, client=client)
    ((rights, listed),) = seen
    assert rights == 0, "nobody else may read it"
    assert len(listed) == (0 if in_memory else 1)
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) <= files
    assert tls["client_key"][40:60] not in repr(client)


JUNK = "-----BEGIN CERTIFICATE-----\n" + "A" * 128 + "\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("case", ["junk", "no pem", "another's key"])
def test_certificate_that_is_none(runner: asyncio.Runner, authority: Authority, case: str) -> None:
    one, other = authority.client("one.test"), authority.client("other.test")
    tls = {
        "junk": {"client_cert": JUNK, "client_key": one["client_key"]},
        "no pem": {"client_cert": "x" * 200, "client_key": "y" * 200},
        "another's key": {"client_cert": one["client_cert"], "client_key": other["client_key"]},
    }[case]

    async def main() -> None:
        async with Client.running() as client:
            with pytest.raises(InvalidResource) as caught:
                client.upstream([1], scheme="https", tls=tls)
            assert "client_cert" in caught.value.message
            assert tls["client_key"][40:60] not in caught.value.message

    runner.run(main())


def test_key_with_a_passphrase_asks_nobody_for_it(runner: asyncio.Runner, authority: Authority) -> None:
    """OpenSSL would ask on the terminal, and hold everything up."""
    plain = authority.client("one.test")
    key = serialization.load_pem_private_key(plain["client_key"].encode(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    tls = plain | {"client_key": encrypted.decode()}

    async def main() -> None:
        async with Client.running() as client:
            with pytest.raises(InvalidResource):
                client.upstream([1], scheme="https", tls=tls)

    runner.run(main())
