"""What goes on the wire for a request, byte for byte."""

import asyncio
from typing import Any

import pytest
from msgspec import Struct

from batchway.model import Request
from tests.loops import until

from .asking import BLOCK, Client, Pieces, request
from .servers import Peer, Server

CLIENT_HOST = (b"host", b"client.test")


class Case(Struct, kw_only=True):
    """A request, and the head that it gets. `{port}` stands for the node's port."""

    request: Request
    head: str
    upstream: dict[str, Any] = {}


def lines(*parts: str) -> str:
    return "".join(f"{part}\r\n" for part in (*parts, ""))


CASES = {
    "GET": Case(
        request=request(headers=[CLIENT_HOST]),
        head=lines("GET / HTTP/1.1", "host: client.test", "x-block: 1"),
    ),
    "path and query as they were spelled": Case(
        request=request("GET", "/a%2Fb//c/../%c3%bc", "x=%20&y=1+2&z", [CLIENT_HOST]),
        head=lines("GET /a%2Fb//c/../%c3%bc?x=%20&y=1+2&z HTTP/1.1", "host: client.test", "x-block: 1"),
    ),
    "GET with a body": Case(
        request=request("GET", headers=[CLIENT_HOST], body=b"abc"),
        head=lines("GET / HTTP/1.1", "host: client.test", "x-block: 1", "content-length: 3"),
    ),
    "DELETE without a body": Case(
        request=request("DELETE", headers=[CLIENT_HOST]),
        head=lines("DELETE / HTTP/1.1", "host: client.test", "x-block: 1"),
    ),
    "method of its own": Case(
        request=request("PURGE", headers=[CLIENT_HOST]),
        head=lines("PURGE / HTTP/1.1", "host: client.test", "x-block: 1"),
    ),
    # RFC 9110, section 8.6: a method that means something by its content says that there is none
    **{
        f"{method} without a body": Case(
            request=request(method, headers=[CLIENT_HOST]),
            head=lines(f"{method} / HTTP/1.1", "host: client.test", "x-block: 1", "content-length: 0"),
        )
        for method in ("POST", "PUT", "PATCH")
    },
    "body of known length": Case(
        request=request("POST", headers=[CLIENT_HOST], body=Pieces([b"ab", b"cde"], length=5)),
        head=lines("POST / HTTP/1.1", "host: client.test", "x-block: 1", "content-length: 5"),
    ),
    "body of unknown length": Case(
        request=request("POST", headers=[CLIENT_HOST], body=Pieces([b"ab", b"cde"])),
        head=lines("POST / HTTP/1.1", "host: client.test", "x-block: 1", "transfer-encoding: chunked"),
    ),
    "host of the batch where the item has none": Case(
        request=request(origin_host="outer.test:9080"),
        head=lines("GET / HTTP/1.1", "host: outer.test:9080", "x-block: 1"),
    ),
    "host of the item before that of the batch": Case(
        request=request(headers=[CLIENT_HOST], origin_host="outer.test"),
        head=lines("GET / HTTP/1.1", "host: client.test", "x-block: 1"),
    ),
    "no host at all": Case(
        request=request(), head=lines("GET / HTTP/1.1", "host: 127.0.0.1:{port}", "x-block: 1")
    ),
    "pass_host node": Case(
        request=request(headers=[CLIENT_HOST]),
        upstream={"pass_host": "node"},
        head=lines("GET / HTTP/1.1", "host: 127.0.0.1:{port}", "x-block: 1"),
    ),
    "pass_host rewrite": Case(
        request=request(headers=[CLIENT_HOST]),
        upstream={"pass_host": "rewrite", "upstream_host": "api.test:81"},
        head=lines("GET / HTTP/1.1", "host: api.test:81", "x-block: 1"),
    ),
    "upstream_host without rewrite": Case(
        request=request(headers=[CLIENT_HOST]),
        upstream={"upstream_host": "api.test"},
        head=lines("GET / HTTP/1.1", "host: client.test", "x-block: 1"),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_head(each_loop: asyncio.Runner, case: Case) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            await client.upstream([server.port], **case.upstream).send(case.request, BLOCK)
            (received,) = server.requests
            assert received.head.decode() == case.head.replace("{port}", str(server.port))

    each_loop.run(main())


@pytest.mark.parametrize(
    ("body", "wire"),
    [
        (b"body", b"body"),
        (b"", b""),
        (Pieces([b"ab", b"cde"], length=5), b"abcde"),
        (Pieces([b"ab", b"c" * 16]), b"2\r\nab\r\n10\r\n" + b"c" * 16 + b"\r\n0\r\n\r\n"),
        (Pieces([]), b"0\r\n\r\n"),
        (Pieces([], length=0), b""),
    ],
    ids=["bytes", "empty", "pieces", "chunks", "no chunks", "no pieces"],
)
def test_body(each_loop: asyncio.Runner, body: bytes | Pieces, wire: bytes) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            upstream = client.upstream([server.port])
            for count in (1, 2):
                if isinstance(body, Pieces) and count == 2:
                    break
                await upstream.send(request("POST", body=body), BLOCK)
                assert [received.body for received in server.requests] == [wire] * count

    each_loop.run(main())


@pytest.mark.parametrize("node", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}"])
def test_node_s_own_host(each_loop: asyncio.Runner, node: str) -> None:
    async def main() -> None:
        ip = "::1" if node.startswith("[") else "127.0.0.1"
        async with Server(ip=ip) as server, Client.running() as client:
            name = node.replace("{port}", str(server.port))
            await client.upstream({name: 1}, pass_host="node").send(request(), BLOCK)
            (received,) = server.requests
            assert received.host == name.encode()

    each_loop.run(main())


def test_body_after_a_body_begins_a_new_request(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        async with Server() as server, Client.running() as client:
            upstream = client.upstream([server.port])
            bodies: list[bytes | Pieces] = [
                b"one",
                Pieces([b"t", b"wo"], length=3),
                Pieces([b"thr", b"ee"]),
            ]
            for body in [*bodies, b"four"]:
                await upstream.send(request("POST", body=body), BLOCK)
            received = [one.body for one in server.requests]
            assert received == [b"one", b"two", b"3\r\nthr\r\n2\r\nee\r\n0\r\n\r\n", b"four"]
            assert len(server.peers) == 1

    each_loop.run(main())


def test_big_body_arrives_whole(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        piece = bytes(range(256)) * 256
        async with Server() as server, Client.running() as client:
            upstream = client.upstream([server.port])
            await upstream.send(request("POST", body=piece * 64), BLOCK)
            body = Pieces([piece] * 64, length=len(piece) * 64)
            await upstream.send(request("POST", body=body), BLOCK)
            assert [received.body == piece * 64 for received in server.requests] == [True, True]

    each_loop.run(main())


def test_server_that_does_not_read_holds_the_body_up(each_loop: asyncio.Runner) -> None:
    """A body of any size passes in constant memory: no more of it is taken than can be sent."""

    async def main() -> None:
        go_on = asyncio.Event()

        async def read_later(peer: Peer) -> None:
            await go_on.wait()
            await peer.request()
            await peer.answer()
            await peer.gone()

        count = 400
        body = Pieces([b"x" * 65536] * count, length=65536 * count)
        async with Server(read_later) as server, Client.running() as client:
            sending = asyncio.create_task(
                client.upstream([server.port]).send(request("POST", body=body), BLOCK)
            )
            await until(lambda: body.taken)
            before = 0
            while body.taken > before:
                before = body.taken
                await asyncio.sleep(0.02)
            assert 0 < body.taken < count
            go_on.set()
            assert (await sending).status == 200
            assert body.taken == count

    each_loop.run(main())
