"""The bounds of a client's connection, on real sockets."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

import pytest
from msgspec import Struct

from batchway.config import Address, ServerLimits
from batchway.server import protocol
from batchway.server.listener import Listener
from batchway.server.protocol import Bounds
from tests.integration.ports import free_port
from tests.loops import LOOPS, pass_time, running, until

from .client import Client, get, post

LIMITS = ServerLimits(max_header_bytes=2000, max_header_count=10, keepalive_timeout_s=60.0)


class Seen(Struct):
    """A request as the app got it."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    left: bool = False
    """The client left before the request was read whole."""


class App:
    """Reads every request and answers with the size of its body; to some paths in other ways."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        seen = Seen(scope["method"], scope["raw_path"].decode(), list(scope["headers"]))
        self.seen.append(seen)
        try:
            seen.left = not await self._read(seen, receive)
        except asyncio.CancelledError:
            seen.left = True
        if not seen.left:
            await self._answer(seen, send)

    async def _read(self, seen: Seen, receive: Any) -> bool:
        if seen.path == "/early":
            return True
        if seen.path == "/unread":
            await self.go_on.wait()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            seen.body += message.get("body", b"")
            more = message.get("more_body", False)
        if seen.path == "/held":
            await self.go_on.wait()
        return True

    async def _answer(self, seen: Seen, send: Any) -> None:
        if seen.path == "/endless":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                    await asyncio.sleep(0)
            finally:
                seen.left = True
        if seen.path == "/stream":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for piece in (b"one", b"two"):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        body = b"%d" % len(seen.body)
        headers = [(b"content-length", b"%d" % len(body)), (b"x-path", seen.path.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Server:
    """A listener that is shared by the tests of this module, with an app of its own for each."""

    def __init__(self, runner: asyncio.Runner, limits: ServerLimits) -> None:
        self.runner = runner
        self.bounds = Bounds(limits)
        self.port = free_port()
        self.app = App()
        self.listener = Listener(Address("127.0.0.1", self.port), self._call, self.bounds)

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with Client.to(self.port) as client:
            yield client

    @property
    def seen(self) -> list[Seen]:
        return self.app.seen


@contextmanager
def serving(loop: str, limits: ServerLimits = LIMITS) -> Iterator[Server]:
    async def start() -> Server:
        server = Server(runner, limits)
        server.listener.start()
        await asyncio.sleep(0.01)
        return server

    with running(loop) as runner:
        server = runner.run(start())
        try:
            yield server
        finally:
            runner.run(server.listener.stop(0))


@pytest.fixture(scope="module", params=LOOPS)
def shared(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(request.param) as server:
        yield server


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    shared.app = App()
    shared.bounds.limits = LIMITS
    yield shared
    shared.app.go_on.set()
    shared.runner.run(asyncio.sleep(0.002))


# --- what passes


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("http://b.test/x?y=1", "/x", b"b.test"),
        ("HTTPS://b.test:8443//x", "//x", b"b.test:8443"),
        ("http://b.test", "/", b"b.test"),
        ("http://[::1]:80?y=1", "/", b"[::1]:80"),
    ],
)
def test_host_of_the_target_counts(server: Server, target: str, path: str, host: bytes) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert (await client.ask(get(target, "X: z"))).status == 200
            assert (await client.ask(get("/next"))).status == 200
        first, second = server.seen
        assert (first.path, first.headers) == (path, [(b"host", host), (b"x", b"z")])
        assert (second.path, second.headers) == ("/next", [(b"host", b"a.test")])

    server.runner.run(main())


@pytest.mark.parametrize(
    "target", ["http:///x", "http://me@b.test/", "http://?x", "ftp://b.test/x", "b.test"]
)
def test_target_without_a_usable_host(server: Server, target: str) -> None:
    async def main() -> None:
        async with server.client() as client:
            answer = await client.ask(get(target))
            assert answer.status == 400
            assert answer.error
        assert server.seen == []

    server.runner.run(main())


def test_requests_pass(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert (await client.ask(get("/a%2Fb?c=d", "X-A: 1"))).body == b"0"
            assert (await client.ask(post(b"hello", "/b"))).body == b"5"
            chunked = get("/c", "Transfer-Encoding: chunked").replace(b"GET", b"POST")
            assert (await client.ask(chunked, b"2\r\nhi\r\n", b"0\r\n\r\n")).body == b"2"
        first, second, third = server.seen
        assert (first.method, first.path, first.body) == ("GET", "/a%2Fb", b"")
        assert first.headers == [(b"host", b"a.test"), (b"x-a", b"1")]
        assert (second.body, third.body) == (b"hello", b"hi")

    server.runner.run(main())


def test_byte_by_byte(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            for _ in range(2):
                wire = post(b"hi", "/a", "X-A: 1")
                answer = await client.ask(*(wire[at : at + 1] for at in range(len(wire))))
                assert (answer.status, answer.body) == (200, b"2")
        assert [seen.body for seen in server.seen] == [b"hi", b"hi"]

    server.runner.run(main())


def test_http_1_0(server: Server) -> None:
    """Needs no Host, and ends with its connection."""

    async def main() -> None:
        async with server.client() as client:
            answer = await client.ask(b"GET / HTTP/1.0\r\n\r\n")
            assert (answer.status, answer.body) == (200, b"0")
            assert answer.headers["connection"] == "close"
            assert await client.rest() == b""

    server.runner.run(main())


def test_http_1_0_has_no_chunks(server: Server) -> None:
    """RFC 9112, section 6.1: an answer of unknown length ends with the connection."""

    async def main() -> None:
        async with server.client() as client:
            await client.send(b"GET /stream HTTP/1.0\r\n\r\n")
            head, _, body = (await client.rest()).partition(b"\r\n\r\n")
            assert body == b"onetwo"
            assert b"transfer-encoding" not in head.lower()
            assert b"connection: close" in head.lower()

    server.runner.run(main())


def test_answer_of_unknown_length_comes_in_chunks(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/stream", "Connection: close"))
            head, _, body = (await client.rest()).partition(b"\r\n\r\n")
            assert b"transfer-encoding: chunked" in head.lower()
            assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"

    server.runner.run(main())


def test_nothing_follows_a_request_to_close(server: Server) -> None:
    """RFC 9112, section 9.6."""

    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/1", "Connection: close") + get("/2"))
            answer = await client.answer()
            assert (answer.headers["x-path"], answer.headers["connection"]) == ("/1", "close")
            assert await client.rest() == b""
        assert [seen.path for seen in server.seen] == ["/1"]

    server.runner.run(main())


def test_empty_host(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert (await client.ask(b"GET / HTTP/1.1\r\nHost:\r\n\r\n")).status == 200

    server.runner.run(main())


def test_offered_upgrade_is_passed_over(server: Server) -> None:
    """`curl --http2` offers h2c."""

    async def main() -> None:
        async with server.client() as client:
            lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM")
            assert (await client.ask(get("/1", *lines))).status == 200
            assert (await client.ask(get("/2"))).status == 200
        assert [seen.path for seen in server.seen] == ["/1", "/2"]

    server.runner.run(main())


def test_offered_upgrade_is_passed_over_byte_by_byte(server: Server) -> None:
    wire = get("/", "Connection: upgrade", "Upgrade: h2c")

    async def main() -> None:
        async with server.client() as client:
            answer = await client.ask(*(wire[at : at + 1] for at in range(len(wire))))
            assert answer.status == 200

    server.runner.run(main())


@pytest.mark.parametrize("cut", [1, 2, 3], ids=lambda cut: f"{cut} of the end")
def test_upgrade_in_a_body_is_left_alone(server: Server, cut: int) -> None:
    body = b"first\r\nUpgrade: h2c\r\n\r\nlast"
    wire = post(body)
    end = len(wire) - len(body) - cut

    async def main() -> None:
        async with server.client() as client:
            answer = await client.ask(wire[:end], wire[end:])
            assert (answer.status, server.seen[0].body) == (200, body)
            assert await client.is_open(0.02)

    server.runner.run(main())


@pytest.mark.parametrize("pieces", [1, 2])
def test_body_of_a_request_that_offers_an_upgrade_is_its_body(server: Server, pieces: int) -> None:
    smuggled = get("/smuggled")
    wire = post(smuggled, "/", "Connection: upgrade", "Upgrade: h2c")
    cut = len(wire) - len(smuggled)

    async def main() -> None:
        async with server.client() as client:
            await client.send(*([wire] if pieces == 1 else [wire[:cut], wire[cut:]]))
            await client.answer()
            await client.is_open()
        assert [(seen.path, seen.body) for seen in server.seen] == [("/", smuggled)]

    server.runner.run(main())


def test_space_after_a_value_is_dropped(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.ask(b"GET / HTTP/1.1\r\nHost: a.test \t\r\n\r\n")
        assert server.seen[0].headers == [(b"host", b"a.test")]

    server.runner.run(main())


# --- what is refused


async def refused(server: Server, status: int, *pieces: bytes) -> str:
    """What the refusal says; checks that it ends the connection and reached no app."""
    async with server.client() as client:
        answer = await client.ask(*pieces)
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""
    assert server.seen == []
    return answer.error


def test_head_at_its_limits_passes(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert (await client.ask(get("/", *(f"X-{n}: 1" for n in range(9))))).status == 200
            assert (await client.ask(get("/", "X: " + "a" * 1900))).status == 200
            assert (await client.ask(get("/" + "a" * 1900))).status == 200

    server.runner.run(main())


@pytest.mark.parametrize(
    "head",
    [
        get("/", "X: " + "a" * 2000),
        get("/", "X" * 2000 + ": a"),
        get("/" + "a" * 2000),
        get("/?" + "a" * 2000),
        get("/", *(f"X-{n}: {'a' * 400}" for n in range(5))),
        get("/", "X: " + "a" * 100_000),
    ],
    ids=["value", "name", "path", "query", "together", "big"],
)
@pytest.mark.parametrize("step", [0, 700], ids=["whole", "in drops"])
def test_head_of_too_many_bytes(server: Server, head: bytes, step: int) -> None:
    pieces = [head] if not step else [head[at : at + step] for at in range(0, min(len(head), 7000), step)]
    message = server.runner.run(refused(server, 431, *pieces))
    assert message == "request headers are too large"


@pytest.mark.parametrize(
    "start", [b"GET /" + b"a" * 2100, get()[:-2] + b"X" * 2100, get()[:-2] + b"X: " + b"a" * 2100]
)
def test_head_without_end(server: Server, start: bytes) -> None:
    assert server.runner.run(refused(server, 431, start)) == "request headers are too large"


def test_head_that_drips_without_end(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(get()[:-2])
            for _ in range(1000):
                await client.send(b"X: y\r\n")
                await asyncio.sleep(0)
                if client.has_answer():
                    break
            assert (await client.answer()).status == 431
        assert server.seen == []

    server.runner.run(main())


def test_too_many_headers(server: Server) -> None:
    lines = [f"X-{number}: 1" for number in range(10)]
    message = server.runner.run(refused(server, 431, get("/", *lines)))
    assert message == "request has too many headers"


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\n\r\n", get("/", "Host: a.test"), get("/", "host: b.test"), get("/", "Host:")],
    ids=["none", "the same twice", "two", "one empty"],
)
def test_host_that_is_not_one(server: Server, head: bytes) -> None:
    assert server.runner.run(refused(server, 400, head)) == "exactly one Host header is expected"


def test_two_hosts_in_http_1_0(server: Server) -> None:
    head = b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"
    assert server.runner.run(refused(server, 400, head)) == "exactly one Host header is expected"


@pytest.mark.parametrize("host", ["a/b", "a b", "user@a", "a?b", "a#b", "a\\b", "/", "a\x7f", "a\tb"])
def test_what_is_no_host(server: Server, host: str) -> None:
    head = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    expected = {"the Host header has characters that no host has", "the request is not HTTP/1.1"}
    assert server.runner.run(refused(server, 400, head)) in expected


@pytest.mark.parametrize(
    "host", ["a_b.test:80", "[::1]:8080", "[fe80::1%25eth0]", "a%20b", "B\xfccher", "a,b"]
)
def test_what_may_be_a_host(server: Server, host: str) -> None:
    async def main() -> None:
        async with server.client() as client:
            head = f"GET / HTTP/1.1\r\nHost: {host} \r\n\r\n".encode("latin-1")
            assert (await client.ask(head)).status == 200
        assert server.seen[0].headers == [(b"host", host.encode("latin-1"))]

    server.runner.run(main())


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a.test\n\n",
        b"GET / HTTP/9.9\r\nHost: a.test\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET relative HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET ?a HTTP/1.1\r\nHost: a.test\r\n\r\n",
        b"GET /\xc3\xbc HTTP/1.1\r\nHost: a.test\r\n\r\n",
        get("/", "X : y"),
        get("/", "X y: z"),
        get("/", "X: a\0b"),
        get("/", "X: a\rb"),
        get("/", "X: a", " folded"),
        get("/", "Content-Length: x"),
        get("/", "Content-Length: -1"),
        get("/", "Content-Length: 1", "Content-Length: 2"),
        get("/", "Content-Length: 1", "Transfer-Encoding: chunked"),
        get("/", "Transfer-Encoding: chunked", "Content-Length: 1"),
    ],
)
def test_garbage(server: Server, garbage: bytes) -> None:
    assert server.runner.run(refused(server, 400, garbage)) == "the request is not HTTP/1.1"


@pytest.mark.parametrize("line", [b"CONNECT a.test:80", b"TRACE /"])
def test_method_that_is_never_sent_on(server: Server, line: bytes) -> None:
    head = line + b" HTTP/1.1\r\nHost: a.test\r\n\r\n"
    assert line.split()[0].decode() in server.runner.run(refused(server, 405, head))


def test_refusal_does_not_tell_what_was_sent(server: Server) -> None:
    message = server.runner.run(refused(server, 400, get("/", "Authorization : sesame")))
    assert "sesame" not in message


def test_refused_client_that_goes_on_is_not_heard(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/", "Host: b.test"), get("/1"), get("/2"))
            assert (await client.answer()).status == 400
            assert await client.rest() == b""
        assert server.seen == []

    server.runner.run(main())


def test_good_request_behind_a_refused_one_is_not_run(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/bad", "Host: b.test") + post(b"hi", "/good"))
            assert (await client.answer()).status == 400
            assert await client.rest() == b""
        assert server.seen == []

    server.runner.run(main())


def test_two_refused_in_one_segment_get_one_answer(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/", "Host: b") + get("/", "Host: b"))
            assert (await client.answer()).status == 400
            assert await client.rest() == b""

    server.runner.run(main())


def test_request_that_breaks_half_way_is_not_whole_for_the_app(server: Server) -> None:
    chunked = get("/", "Transfer-Encoding: chunked").replace(b"GET", b"POST")

    async def main() -> None:
        async with server.client() as client:
            await client.send(chunked + b"2\r\nhi\r\n", b"garbage\r\n")
            await client.rest()
            await until(lambda: server.seen and server.seen[0].left)
            assert len(server.seen) == 1

    server.runner.run(main())


def test_coding_that_ends_nowhere_is_not_whole_for_the_app(server: Server) -> None:
    """RFC 9112, section 6.3: a request whose last coding is not chunked has no length."""

    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/", "Transfer-Encoding: gzip").replace(b"GET", b"POST") + b"abc")
            await client.rest()
            assert [seen.body for seen in server.seen if not seen.left] == []

    server.runner.run(main())


def test_bounds_change_for_connections_that_are_open(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert (await client.ask(get("/", "X: " + "a" * 1000))).status == 200
            server.bounds.limits = ServerLimits(max_header_bytes=500, max_header_count=10)
            assert (await client.ask(get("/", "X: " + "a" * 1000))).status == 431

    server.runner.run(main())


# --- trailers


def chunked_with(*trailers: bytes) -> list[bytes]:
    head = get("/", "Transfer-Encoding: chunked").replace(b"GET", b"POST")
    return [head + b"2\r\nhi\r\n0\r\n", *trailers, b"\r\n"]


@pytest.mark.parametrize("trailer", [b"Host: b.test\r\n", b"X-Real-Ip: 6.6.6.6\r\n"])
def test_trailers_are_no_headers(server: Server, trailer: bytes) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert (await client.ask(b"".join(chunked_with(trailer)))).body == b"2"
        assert server.seen[0].headers == [(b"host", b"a.test"), (b"transfer-encoding", b"chunked")]

    server.runner.run(main())


@pytest.mark.parametrize("name", [b"Content-Length: 1", b"Transfer-Encoding: gzip"])
def test_framing_in_a_trailer_is_refused(server: Server, name: bytes) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(b"".join(chunked_with(name + b"\r\n")))
            await client.rest()
            assert [seen for seen in server.seen if not seen.left] == []

    server.runner.run(main())


def test_endless_trailers(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(*chunked_with(*[b"X: yyyyyyyyyy\r\n" * 1000] * 20)[:-1])
            assert await client.rest() == b""

    server.runner.run(main())


# --- one request behind the other


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/1") + post(b"hi", "/2") + get("/3"))
            answers = [await client.answer() for _ in range(3)]
            assert [answer.headers["x-path"] for answer in answers] == ["/1", "/2", "/3"]
            assert [answer.body for answer in answers] == [b"0", b"2", b"0"]

    server.runner.run(main())


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", get("/x", "Host: b.test"), get("/x", *["A: b"] * 20)])
def test_what_is_refused_takes_no_answer_from_those_before_it(
    server: Server, bad: bytes, ahead: int
) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/held") * ahead + bad + get("/never"))
            await until(lambda: server.seen)
            server.app.go_on.set()
            answers = [await client.answer() for _ in range(ahead)]
            assert [answer.status for answer in answers] == [200] * ahead
            assert answers[-1].headers["connection"] == "close"
            assert await client.rest() == b""
        assert [seen.path for seen in server.seen] == ["/held"] * ahead

    server.runner.run(main())


def test_pipelined_request_waits_for_the_answer_before_it(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/held"), get("/2"))
            assert await client.is_open()
            server.app.go_on.set()
            assert [(await client.answer()).headers["x-path"] for _ in "12"] == ["/held", "/2"]

    server.runner.run(main())


@pytest.mark.parametrize("bad", [b"garbage\r\n\r\n", get("/", "Host: b"), get("/", "X: " + "a" * 3000)])
def test_refusal_does_not_cut_into_an_answer(server: Server, bad: bytes) -> None:
    """It would be taken for the answer to the request before."""

    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/held") + bad)
            await asyncio.sleep(0.01)
            server.app.go_on.set()
            rest = await client.rest()
            assert b"HTTP/1.1 4" not in rest.partition(b"HTTP/1.1 200 OK")[0]
            assert b"error_msg" not in rest or rest.startswith(b"HTTP/1.1 200 OK")

    server.runner.run(main())


@pytest.mark.parametrize("bad", [b"garbage\r\n\r\n", get("/", "Host: b")])
def test_bad_request_after_an_answer_is_refused(server: Server, bad: bytes) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert (await client.ask(get())).status == 200
            assert (await client.ask(bad)).status == 400
            assert await client.rest() == b""

    server.runner.run(main())


def test_big_body_is_no_part_of_the_next_head(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            following = get("/2")
            await client.send(post(b"x" * 5000, "/1") + following[:20], following[20:])
            answers = [await client.answer() for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 200]

    server.runner.run(main())


def test_body_counts_towards_no_limit_here(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            for _ in range(3):
                assert (await client.ask(post(b"x" * 300_000))).body == b"300000"

    server.runner.run(main())


# --- time

HASTE_S = 30.0


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients have 30 s for a head, and for each piece of a body: half of what they may be idle."""
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", HASTE_S)
    monkeypatch.setattr(protocol, "BODY_TIMEOUT_S", HASTE_S)


in_haste = pytest.mark.usefixtures("hasty")


async def passed(condition: Callable[[], object], step_s: float = 1.0) -> float:
    """Let time pass until `condition` holds; how many seconds that took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not condition():
        await pass_time(step_s)
        await asyncio.sleep(0.001)
    return loop.time() - begun


@in_haste
@pytest.mark.parametrize(
    "pieces",
    [(), (b"\r\n",), (b"G",), (get()[:-2],), tuple(get()[at : at + 1] for at in range(len(get()) - 1))],
    ids=["nothing", "an empty line", "a letter", "all but the end", "in drops"],
)
def test_head_that_does_not_come(server: Server, pieces: tuple[bytes, ...]) -> None:
    async def main() -> None:
        async with server.client() as client:
            await client.send(*pieces)
            assert await passed(client.has_answer) < 2 * HASTE_S
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert answer.error == "the request did not arrive in time"
            assert await client.rest() == b""
        assert server.seen == []

    server.runner.run(main())


@in_haste
def test_second_head_that_does_not_come(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert (await client.ask(get())).status == 200
            await pass_time(HASTE_S + 1)
            await client.send(get("/2")[:-2])
            assert HASTE_S <= await passed(client.has_answer) < 2 * HASTE_S
            assert (await client.answer()).status == 408
            assert await client.rest() == b""
        assert len(server.seen) == 1

    server.runner.run(main())


@in_haste
def test_drops_do_not_put_the_end_off(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            loop = asyncio.get_running_loop()
            begun = loop.time()
            await client.send(get()[:-2] + b"X: ")
            while not client.has_answer():
                await client.send(b"a")
                await pass_time(1)
                await asyncio.sleep(0.001)
            assert (await client.answer()).status == 408
            assert HASTE_S <= loop.time() - begun < 2 * HASTE_S

    server.runner.run(main())


@in_haste
def test_app_may_take_its_time(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            for number, wire in enumerate((get("/held"), post(b"hi", "/held")), 1):
                server.app.go_on.clear()
                await client.send(wire)
                await until(partial(has_seen, server, number))
                await pass_time(2 * HASTE_S + 1)
                server.app.go_on.set()
                assert (await client.answer()).status == 200

    server.runner.run(main())


def has_seen(server: Server, count: int) -> bool:
    return len(server.seen) == count


@in_haste
def test_idle_connection_may_wait(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            for _ in range(2):
                assert (await client.ask(get())).status == 200
                await pass_time(HASTE_S + 5)
                assert await client.is_open()

    server.runner.run(main())


@in_haste
@pytest.mark.parametrize("sent", [0, 3], ids=["nothing", "a part"])
def test_body_that_does_not_come(server: Server, sent: int) -> None:
    async def main() -> None:
        async with server.client() as client:
            wire = post(b"hello")
            await client.send(wire[: len(wire) - 5 + sent])
            assert await passed(lambda: server.seen and server.seen[0].left) < 2 * HASTE_S
            assert await client.rest() == b""
            assert server.seen[0].body == b"hello"[:sent]

    server.runner.run(main())


@in_haste
def test_body_that_comes_slowly_but_comes(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            wire = post(b"hello" * 2)
            await client.send(wire[:-10])
            await until(lambda: server.seen)
            for got in range(10):
                await pass_time(HASTE_S / 2)
                await client.send(wire[-10:][got : got + 1])
                await until(partial(has_got, server, got + 1))
            assert (await client.answer()).body == b"10"

    server.runner.run(main())


def has_got(server: Server, size: int) -> bool:
    return len(server.seen[0].body) == size


@in_haste
def test_body_that_we_do_not_read_may_wait(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            wire = post(b"x" * 1_000_000, "/unread")
            await client.send(wire)
            await until(lambda: server.seen)
            for _ in range(2 * int(HASTE_S)):
                await pass_time(1)
            server.app.go_on.set()
            assert (await client.answer()).body == b"1000000"

    server.runner.run(main())


@in_haste
@pytest.mark.parametrize("leave", [Client.leave, Client.reset], ids=["closes", "breaks off"])
def test_client_that_leaves_while_we_do_not_read(server: Server, leave: Callable[[Client], None]) -> None:
    async def main() -> None:
        async with server.client() as client:
            wire = post(b"x" * 100_000, "/unread")
            await client.send(wire[:80_000])  # more than is taken before somebody reads
            await until(lambda: server.seen)
            await pass_time(3)
            await client.send(wire[80_000:85_000])
            assert not server.seen[0].left
            leave(client)
            assert await passed(lambda: server.seen[0].left) < HASTE_S / 2

    server.runner.run(main())


def test_client_that_does_not_read_is_cut_off(server: Server) -> None:
    """It holds a connection to an upstream, and what the upstream has sent."""
    server.bounds.limits = ServerLimits(send_timeout_s=10)

    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/endless"))
            assert await passed(lambda: server.seen and server.seen[0].left) < 60

    server.runner.run(main())


def test_client_that_reads_slowly_is_not_cut_off(server: Server) -> None:
    server.bounds.limits = ServerLimits(send_timeout_s=100)

    async def main() -> None:
        async with server.client() as client:
            await client.send(get("/endless"))
            for _ in range(10):
                await pass_time(25)
                assert await client.some(4_000_000), "cut off"
            assert not server.seen[0].left

    server.runner.run(main())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("said", [b"", b"\r\n"], ids=["silent", "an empty line"])
@in_haste
def test_idle_connection_is_closed_in_time(loop: str, said: bytes) -> None:
    with serving(loop, ServerLimits(keepalive_timeout_s=20.0)) as server:

        async def main() -> None:
            async with server.client() as client:
                assert (await client.ask(get())).status == 200
                await client.send(said)
                rest = asyncio.create_task(client.rest())
                assert 19 < await passed(rest.done) < HASTE_S
                await rest

        server.runner.run(main())


# --- what is left of a connection


@pytest.mark.parametrize(
    "requests", [get(), get("/held"), get("/held") + get() + get()], ids=["idle", "busy", "pipelined"]
)
@pytest.mark.parametrize("leave", [Client.reset, Client.leave], ids=["broken", "closed"])
def test_connection_that_has_ended_leaves_nothing(
    server: Server, requests: bytes, leave: Callable[[Client], None]
) -> None:
    """Not even until the collector comes, or the end of a timer."""
    connections = server.listener._server.server_state.connections

    async def main() -> None:
        async with server.client() as client:
            await client.send(requests)
            await until(lambda: bool(server.seen) and (b"held" in requests or client.has_answer()))
            kept = [weakref.ref(one) for one in connections]
            leave(client)
            await until(lambda: not any(one() for one in kept))

    gc.collect()
    gc.disable()
    try:
        server.runner.run(main())
    finally:
        gc.enable()


# --- the end of the listener


def connections(server: Server) -> list[protocol.BoundedProtocol]:
    return [cast(protocol.BoundedProtocol, one) for one in server.listener._server.server_state.connections]


def test_a_draining_connection_says_so_with_its_next_answer(server: Server) -> None:
    async def main() -> None:
        async with server.client() as client:
            assert "connection" not in (await client.ask(get())).headers
            for connection in connections(server):
                connection.drain()
            answer = await client.ask(get())
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await client.rest() == b""

    server.runner.run(main())


@pytest.mark.parametrize("used", [True, False])
def test_a_request_that_is_there_when_the_listener_ends_is_answered(server: Server, *, used: bool) -> None:
    async def main() -> None:
        async with server.client() as client:
            if used:
                await client.ask(get())
            await until(lambda: connections(server))
            server.app.go_on.clear()
            await client.send(get("/held"))
            for connection in connections(server):
                connection.shutdown()  # it may have been read by now, or not
            server.app.go_on.set()
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await client.rest() == b""

    server.runner.run(main())


def test_half_a_head_is_awaited_for_a_moment_when_the_listener_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_DRAINING_S", HASTE_S)

    async def main() -> None:
        async with server.client() as whole, server.client() as half:
            for client in (whole, half):
                await client.ask(get())
                await client.send(get()[:-2])
            await until(lambda: [one for one in connections(server) if one._in_head][1:])
            for connection in connections(server):
                connection.shutdown()
            answer = await whole.ask(b"\r\n")
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert HASTE_S <= await passed(half.has_answer) < 2 * HASTE_S
            assert (await half.answer()).status == 408

    server.runner.run(main())


def test_a_connection_that_is_idle_once_the_listener_ends_is_not_kept(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_DRAINING_S", HASTE_S)

    async def main() -> None:
        async with server.client() as client:
            assert (
                await client.ask(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            ).status == 200
            [connection] = connections(server)
            await client.send(b"whole")  # with this the request is: answered long ago
            connection.shutdown()
            assert HASTE_S <= await passed(connection.transport.is_closing) < 2 * HASTE_S
            assert await client.rest() == b""

    server.runner.run(main())
