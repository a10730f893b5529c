"""TLS towards upstreams: which name is asked for, and when it is verified."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from batchway.errors import UpstreamRefused, UpstreamTimeout
from tests.loops import until

from .asking import BLOCK, Client, request
from .servers import Peer, Server, answer_all

VERIFY = {"verify": True}


class Authority:
    """A CA that we trust, and one that we do not."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "ca.pem"
        self._ca = trustme.CA()
        self._other = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.file))
        self.names: list[str | None] = []
        """The names that were asked for (SNI)."""

    def server(self, *names: str, trusted: bool = True) -> ssl.SSLContext:
        """A context for a server with these names."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        (self._ca if trusted else self._other).issue_cert(*names).configure_cert(context)
        context.set_alpn_protocols(["h2", "http/1.1"])

        def note(_: Any, name: str | None, __: Any) -> None:
            self.names.append(name)

        context.sni_callback = note
        return context


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def authority(shared: Authority) -> Authority:
    shared.names.clear()
    return shared


def test_answer_over_tls(each_loop: asyncio.Runner, authority: Authority) -> None:
    async def main() -> None:
        async with Server(tls=authority.server("localhost")) as server, Client.running() as client:
            upstream = client.upstream([server.port], scheme="https")
            for _ in range(3):
                assert (await upstream.send(request(), BLOCK)).status == 200
            assert len(server.peers) == 1
            (tls,) = {peer.writer.get_extra_info("ssl_object") for peer in server.peers}
            assert tls.selected_alpn_protocol() == "http/1.1"

    each_loop.run(main())


def test_big_answer_over_tls(each_loop: asyncio.Runner, authority: Authority) -> None:
    async def answer(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.answer(bytes(range(256)) * 2000)

    async def main() -> None:
        async with Server(answer, tls=authority.server("localhost")) as server, Client.running() as client:
            upstream = client.upstream([server.port], scheme="https")
            for _ in range(2):
                answered = await upstream.send(request(), BLOCK)
                assert not isinstance(answered.body, bytes)
                assert answered.body is not None
                body = b"".join([piece async for piece in answered.body])
                assert body == bytes(range(256)) * 2000
            assert len(server.peers) == 1

    each_loop.run(main())


class Try:
    """One request over TLS: what the server's certificate says and what the resource asks for."""

    def __init__(
        self, names: list[str], *, item: bool = False, trusted: bool = True, **upstream: Any
    ) -> None:
        """`item`: the item asks for verification."""
        self.names = names
        self.item = item
        self.trusted = trusted
        self.node = upstream.pop("node", "127.0.0.1")
        self.upstream = upstream

    async def run(self, authority: Authority) -> str:
        """`ok`, or the message of the refusal."""
        tls = authority.server(*self.names, trusted=self.trusted)
        async with Server(tls=tls) as server, Client.running(ca_file=authority.file) as client:
            nodes = {f"{self.node}:{server.port}": 1}
            upstream = client.upstream(nodes, scheme="https", **self.upstream)
            headers = [(b"host", b"client.test")]
            try:
                answer = await upstream.send(request(headers=headers, verify_tls=self.item), BLOCK)
            except UpstreamRefused as error:
                assert server.requests == [], "nothing is sent to who is not trusted"
                return error.message
            assert answer.status == 200
            return "ok"


REWRITE: dict[str, Any] = {"pass_host": "rewrite", "upstream_host": "api.test"}

ACCEPTED = {
    "not verified, untrusted": Try(["other.test"], trusted=False),
    "not verified, wrong name": Try(["other.test"]),
    "address of the node": Try(["127.0.0.1"], tls=VERIFY),
    "name of the node": Try(["localhost"], node="localhost", tls=VERIFY),
    "name that is rewritten": Try(["api.test"], tls=VERIFY, **REWRITE),
    "the item asks": Try(["127.0.0.1"], item=True),
}
REFUSED = {
    "untrusted": Try(["127.0.0.1"], trusted=False, tls=VERIFY),
    "wrong name": Try(["other.test"], tls=VERIFY),
    "name of the client's choice": Try(["client.test"], tls=VERIFY),
    "name of the node where it is rewritten": Try(["127.0.0.1"], tls=VERIFY, **REWRITE),
    "the item asks, untrusted": Try(["127.0.0.1"], trusted=False, item=True),
    "the item asks, wrong name": Try(["other.test"], item=True),
}


@pytest.mark.parametrize("trial", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(each_loop: asyncio.Runner, authority: Authority, trial: Try) -> None:
    assert each_loop.run(trial.run(authority)) == "ok"


@pytest.mark.parametrize("trial", REFUSED.values(), ids=REFUSED)
def test_refused(each_loop: asyncio.Runner, authority: Authority, trial: Try) -> None:
    message = each_loop.run(trial.run(authority))
    assert message.startswith("the upstream's certificate is not valid: ")


@pytest.mark.parametrize(
    ("trial", "name"),
    [
        (Try(["localhost"], node="localhost"), "localhost"),
        (Try(["api.test"], **REWRITE), "api.test"),
        (Try(["localhost"]), None),
    ],
    ids=["node", "rewritten", "address"],
)
def test_name_asked_for(
    each_loop: asyncio.Runner, authority: Authority, trial: Try, name: str | None
) -> None:
    assert each_loop.run(trial.run(authority)) == "ok"
    assert authority.names == [name]


def test_port_of_the_rewritten_host_is_no_part_of_its_name(
    each_loop: asyncio.Runner, authority: Authority
) -> None:
    trial = Try(["api.test"], tls=VERIFY, pass_host="rewrite", upstream_host="api.test:8443")
    assert each_loop.run(trial.run(authority)) == "ok"


@pytest.mark.parametrize(
    "host",
    [
        "api.test:8443",
        "*.test",
        ".test",
        "x" * 64 + ".test",
    ],
)
@pytest.mark.parametrize("verify", [False, True])
def test_odd_rewritten_host(
    each_loop: asyncio.Runner, authority: Authority, host: str, verify: bool
) -> None:
    """Without verification the name is only a hint; with it, an odd one is refused, and at once."""
    trial = Try(["api.test"], pass_host="rewrite", upstream_host=host, tls={"verify": verify})
    found = each_loop.run(asyncio.wait_for(trial.run(authority), 20))
    assert (found == "ok") == (not verify or host == "api.test:8443"), found


def test_item_that_asks_does_not_share_connections_with_others(
    each_loop: asyncio.Runner, authority: Authority
) -> None:
    async def main() -> None:
        tls = authority.server("other.test")
        async with Server(tls=tls) as server, Client.running(ca_file=authority.file) as client:
            upstream = client.upstream([server.port], scheme="https")
            assert (await upstream.send(request(), BLOCK)).status == 200
            with pytest.raises(UpstreamRefused):
                await upstream.send(request(verify_tls=True), BLOCK)
            assert (await upstream.send(request(), BLOCK)).status == 200
            assert len(server.requests) == 2

    each_loop.run(main())


def test_item_that_asks_of_plain_http_is_answered(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            answer = await client.upstream([server.port]).send(request(verify_tls=True), BLOCK)
            assert answer.status == 200

    each_loop.run(main())


def test_plain_server_where_tls_is_expected(each_loop: asyncio.Runner) -> None:
    async def say_http(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.gone()

    async def main() -> None:
        async with Server(say_http) as server, Client.running() as client:
            with pytest.raises(UpstreamRefused):
                await client.upstream([server.port], scheme="https").send(request(), BLOCK)

    each_loop.run(main())


def test_handshake_that_hangs_times_out(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server(Peer.gone) as server, Client.running() as client:
            timeout = {"connect": 0.05, "send": 5, "read": 5}
            upstream = client.upstream([server.port], scheme="https", timeout=timeout)
            with pytest.raises(UpstreamTimeout):
                await upstream.send(request(), BLOCK)
            await until(lambda: client.pools.open_connections() == 0)

    each_loop.run(main())


def test_idle_tls_connection_that_dies(each_loop: asyncio.Runner, authority: Authority) -> None:
    async def answer_twice(peer: Peer) -> None:
        if peer.number:
            await answer_all(peer)
        await peer.request()
        await peer.answer()

    async def main() -> None:
        tls = authority.server("localhost")
        async with Server(answer_twice, tls=tls) as server, Client.running() as client:
            upstream = client.upstream([server.port], scheme="https", retries=0)
            assert (await upstream.send(request(), BLOCK)).status == 200
            await until(lambda: client.pools.open_connections() == 0)
            assert (await upstream.send(request("POST"), BLOCK)).status == 200
            assert len(server.peers) == 2

    each_loop.run(main())
