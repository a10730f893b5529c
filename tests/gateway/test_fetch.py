"""Small documents from elsewhere."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from batchway.errors import UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamTimeout
from batchway.gateway import fetch as module
from batchway.gateway.fetch import MAX_BYTES, fetch
from batchway.upstream import Pools, Resolver, Terms
from tests.upstream.servers import Peer, Script, Server, closed_port


@asynccontextmanager
async def fetching(ca: Path | None = None) -> AsyncIterator[Pools]:
    pools = Pools(Resolver(), ca_file=None if ca is None else str(ca))
    try:
        yield pools
    finally:
        await pools.close()


async def get(url: str, ca: Path | None = None) -> bytes:
    async with fetching(ca) as pools:
        return await fetch(url, pools, Terms())


def saying(data: bytes) -> Script:
    """A server that answers with these bytes and closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(data)

    return script


def test_body_is_got() -> None:
    async def main() -> None:
        async with Server() as server:
            assert await get(f"http://127.0.0.1:{server.port}/a/b?c=d") == b"ok"
            (request,) = server.requests
            assert request.line == b"GET /a/b?c=d HTTP/1.1"
            assert request.host == f"127.0.0.1:{server.port}".encode()
            assert b"accept-encoding: identity" in request.lines
            assert await get(f"http://127.0.0.1:{server.port}") == b"ok"
            assert server.requests[-1].line == b"GET / HTTP/1.1"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", b"ab"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", b"abc"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (MAX_BYTES, b"x" * MAX_BYTES),
            b"x" * MAX_BYTES,
        ),
    ],
)
def test_framings(answer: bytes, body: bytes) -> None:
    async def main() -> None:
        async with Server(saying(answer)) as server:
            assert await get(f"http://127.0.0.1:{server.port}/") == body

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "the answer was 404"),
        (b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n", "the answer was 302"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "the answer was 204"),
        (b"HTTP/1.1 500 Broken\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "the answer was 500"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + b"x" * 65537,
            "the answer has more than 65536 bytes",
        ),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 300_000,
            "the answer has more than 65536",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", ""),
        (b"SSH-2.0-x\r\n", ""),
        (b"", ""),
    ],
)
def test_other_answers_are_errors(answer: bytes, told: str) -> None:
    async def main() -> None:
        async with Server(saying(answer)) as server:
            with pytest.raises(UpstreamBroken) as caught:
                await get(f"http://127.0.0.1:{server.port}/")
            assert told in caught.value.message

    asyncio.run(main())


def test_redirect_is_not_followed() -> None:
    async def main() -> None:
        async with Server() as other:
            location = b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:%d/\r\n" % other.port
            async with Server(saying(location + b"Content-Length: 0\r\n\r\n")) as server:
                with pytest.raises(UpstreamBroken):
                    await get(f"http://127.0.0.1:{server.port}/")
            assert other.requests == []

    asyncio.run(main())


def test_nobody_listens() -> None:
    with pytest.raises(UpstreamRefused):
        asyncio.run(get(f"http://127.0.0.1:{closed_port()}/"))


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"])
def test_answer_that_takes_too_long(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(sent)
        await peer.gone()

    async def main() -> None:
        monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
        async with Server(script) as server:
            with pytest.raises(UpstreamTimeout):
                await get(f"http://127.0.0.1:{server.port}/")

    asyncio.run(main())


@pytest.mark.parametrize(
    "url", ["", "a", "ftp://a/", "http://", "http://u@a/", "http://a/#b", "http://a b/"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL"):
        asyncio.run(get(url))


def test_certificate_is_verified(tmp_path: Path) -> None:
    ca, stranger = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def context(authority: trustme.CA, name: str) -> ssl.SSLContext:
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(made)
        return made

    async def main() -> None:
        for tls, good in (
            (context(ca, "127.0.0.1"), True),
            (context(ca, "127.0.0.2"), False),
            (context(stranger, "127.0.0.1"), False),
        ):
            async with Server(tls=tls) as server:
                url = f"https://127.0.0.1:{server.port}/"
                if good:
                    assert await get(url, tmp_path / "ca.pem") == b"ok"
                    continue
                with pytest.raises(UpstreamError):
                    await get(url, tmp_path / "ca.pem")
                assert server.requests == []

    asyncio.run(main())
