"""A request from the wire becomes one of ours, and back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from typing import Any

import pytest
from structlog.testing import capture_logs

from batchway.errors import RouteNotFound, UpstreamBroken
from batchway.gateway import GatewayApp, Trust
from batchway.model import Body, BodyStream, ClientGone, Request, Response, error_response
from tests.loops import settle

from .asgi import HOST, Exchange

Handler = Callable[[Request], Awaitable[Response]]


class Target:
    """Answers every request alike, and notes it."""

    def __init__(self, response: Response | None = None) -> None:
        self.requests: list[Request] = []
        self.response = response or Response(200, "OK", [], b"ok")

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return self.response

    @property
    def request(self) -> Request:
        (request,) = self.requests
        return request


class Stream:
    """A response body in pieces, that may break off."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.closed = 0
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.given += 1
            yield piece
            await asyncio.sleep(0)
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.closed += 1


def respond(body: bytes | BodyStream | None, status: int = 200, **headers: str) -> Target:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Target(Response(status, "", pairs, body))


def in_pieces(request: Request) -> Body:
    assert not isinstance(request.body, bytes)
    return request.body


def answered(runner: asyncio.Runner, handler: Handler, exchange: Exchange, **trust: Any) -> Exchange:
    runner.run(exchange.run(GatewayApp(handler, Trust(**trust))))
    return exchange


# --- the request


def test_request(runner: asyncio.Runner) -> None:
    target = Target()
    headers = [HOST, (b"accept", b"x"), (b"accept", b"y\xfc")]
    answered(runner, target, Exchange("PURGE", "/a%2Fb//c?d=%20&e", headers, scheme="https"))
    request = target.request
    assert (request.method, request.path, request.query) == ("PURGE", "/a%2Fb//c", "d=%20&e")
    assert request.headers.pairs == tuple(headers)
    assert request.body == b""
    assert request.batch is None
    assert not request.verify_tls
    origin = request.origin
    assert (origin.client, origin.scheme, origin.host, origin.port) == ("10.0.0.1", "https", "a.test", 9080)
    assert not origin.trusted


def test_headers_of_one_connection_stay_there(runner: asyncio.Runner) -> None:
    names = b"connection keep-alive te trailer upgrade expect content-length transfer-encoding".split()
    headers = [HOST, *((name, b"0") for name in names), (b"proxy-authorization", b"x"), (b"a", b"b")]
    target = Target()
    answered(runner, target, Exchange(headers=headers))
    assert target.request.headers.pairs == (HOST, (b"a", b"b"))


def test_headers_that_connection_names_stay_there(runner: asyncio.Runner) -> None:
    headers = [HOST, (b"x-hop", b"1"), (b"connection", b"close, X-Hop"), (b"x-end", b"2")]
    target = Target()
    answered(runner, target, Exchange(headers=headers))
    assert target.request.headers.pairs == (HOST, (b"x-end", b"2"))


def test_server_that_tells_no_addresses(runner: asyncio.Runner) -> None:
    target = Target()
    answered(runner, target, Exchange(client=None, server=None, headers=()))
    origin = target.request.origin
    assert (origin.client, origin.host, origin.port) == ("", "", 80)


def test_scopes_that_are_no_requests(runner: asyncio.Runner) -> None:
    target = Target()
    exchange = Exchange()
    exchange.scope["type"] = "websocket"
    answered(runner, target, exchange)
    assert exchange.sent == []
    assert target.requests == []


def test_lifespan(runner: asyncio.Runner) -> None:
    exchange = Exchange()
    exchange.scope = {"type": "lifespan"}
    for message in ("lifespan.startup", "lifespan.shutdown"):
        exchange.incoming.put_nowait({"type": message})
    answered(runner, Target(), exchange)
    assert [message["type"] for message in exchange.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


# --- its body


async def echo(request: Request) -> Response:
    """Answers with the body, and how it came."""
    body = request.body
    if isinstance(body, bytes):
        return Response(200, "OK", [(b"came", b"at once")], body)
    pieces = [piece async for piece in body]
    return Response(200, "OK", [(b"came", b"in %d" % len(pieces))], b"".join(pieces))


@pytest.mark.parametrize(
    ("headers", "length"),
    [([(b"content-length", b"6")], 6), ([(b"transfer-encoding", b"chunked")], None)],
    ids=["length", "chunks"],
)
def test_body_comes_in_pieces(
    runner: asyncio.Runner, headers: list[tuple[bytes, bytes]], length: int | None
) -> None:
    lengths: list[int | None] = []

    async def handle(request: Request) -> Response:
        lengths.append(in_pieces(request).length)
        return await echo(request)

    exchange = Exchange("POST", headers=[HOST, *headers])
    exchange.body(b"abc", b"", b"def", b"")
    answered(runner, handle, exchange)
    assert lengths == [length]
    assert exchange.pieces == [b"abcdef"]
    assert (b"came", b"in 2") in exchange.headers, "no piece is empty"


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"0")]], ids=["none", "length 0"])
def test_no_body(runner: asyncio.Runner, headers: list[tuple[bytes, bytes]]) -> None:
    exchange = Exchange("POST", headers=[HOST, *headers])
    exchange.body(b"")
    answered(runner, echo, exchange)
    assert (b"came", b"at once") in exchange.headers
    assert exchange.pieces == [b""]


def test_body_is_read_one_message_ahead(runner: asyncio.Runner) -> None:
    """A client that sends more than is taken is kept waiting; that it leaves is heard of all the same."""

    async def main() -> None:
        exchange = Exchange("POST", headers=[HOST, (b"content-length", b"15")])
        exchange.body(b"abc", b"def", b"ghi", b"jkl", b"mno")
        go_on = asyncio.Event()

        async def slow(request: Request) -> Response:
            pieces = aiter(in_pieces(request))
            first = await anext(pieces)
            await go_on.wait()
            return Response(200, "", [], first + b"".join([piece async for piece in pieces]))

        asked = asyncio.create_task(exchange.run(GatewayApp(slow, Trust())))
        await settle()
        assert exchange.incoming.qsize() == 3
        go_on.set()
        await asked
        assert exchange.pieces == [b"abcdefghijklmno"]

    runner.run(main())


def test_body_that_nobody_reads(runner: asyncio.Runner) -> None:
    async def refuse(request: Request) -> Response:
        message = "404 Route Not Found"
        return error_response(RouteNotFound(message))

    exchange = Exchange("POST", headers=[HOST, (b"content-length", b"9")])
    exchange.body(b"abc", whole=False)
    answered(runner, refuse, exchange)
    assert exchange.status == 404
    assert exchange.finished


# --- a client that leaves


def test_client_leaves_while_it_sends(runner: asyncio.Runner) -> None:
    heard: list[str] = []

    async def handle(request: Request) -> Response:
        try:
            return await echo(request)
        except (ClientGone, asyncio.CancelledError):
            heard.append("gone")
            raise

    exchange = Exchange("POST", headers=[HOST, (b"content-length", b"9")])
    exchange.body(b"abc", whole=False)
    exchange.leave()
    answered(runner, handle, exchange)
    assert heard == ["gone"]
    assert exchange.sent == []


def test_client_leaves_while_its_body_is_held_up(runner: asyncio.Runner) -> None:
    """By an upstream that does not read, say: nobody asks for the next piece."""

    async def main() -> None:
        heard: list[str] = []
        exchange = Exchange("POST", headers=[HOST, (b"content-length", b"9")])
        exchange.body(b"abc", whole=False)

        async def hold_up(request: Request) -> Response:
            heard.append((await anext(aiter(in_pieces(request)))).decode())
            try:
                await asyncio.sleep(60)
            finally:
                heard.append("cancelled")
            return Response(200, "", [], b"")

        asked = asyncio.create_task(exchange.run(GatewayApp(hold_up, Trust())))
        await settle()
        assert heard == ["abc"]
        exchange.leave()
        await asyncio.wait_for(asked, 30)
        assert heard == ["abc", "cancelled"]
        assert exchange.sent == []

    runner.run(main())


@pytest.mark.parametrize("body", [b"", b"abc"], ids=["no body", "a body"])
def test_client_leaves_while_we_work(runner: asyncio.Runner, body: bytes) -> None:
    async def main() -> None:
        heard: list[str] = []
        exchange = Exchange("POST", headers=[HOST, (b"content-length", b"%d" % len(body))])
        exchange.body(body)

        async def work(request: Request) -> Response:
            await echo(request)
            heard.append("working")
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                heard.append("cancelled")
                raise
            return Response(200, "", [], b"")

        asked = asyncio.create_task(exchange.run(GatewayApp(work, Trust())))
        await settle()
        assert heard == ["working"]
        exchange.leave()
        await asyncio.wait_for(asked, 30)
        assert heard == ["working", "cancelled"]
        assert exchange.sent == []

    runner.run(main())


def test_client_leaves_while_we_send(runner: asyncio.Runner) -> None:
    async def main() -> None:
        endless = Stream(*[b"x"] * 1_000_000)
        exchange = Exchange()
        exchange.body(b"")
        asked = asyncio.create_task(exchange.run(GatewayApp(respond(endless), Trust())))
        await settle()
        assert exchange.pieces
        exchange.leave()
        await asyncio.wait_for(asked, 30)
        assert endless.closed == 1
        assert endless.given < 1000
        assert not exchange.finished

    runner.run(main())


def test_server_that_ends_tells_the_client(runner: asyncio.Runner) -> None:
    """At the end of its grace it cancels what still runs."""

    async def main() -> None:
        async def work(request: Request) -> Response:
            await asyncio.sleep(60)
            return Response(200, "", [], b"")

        exchange = Exchange()
        exchange.body(b"")
        asked = asyncio.create_task(exchange.run(GatewayApp(work, Trust())))
        await settle()
        asked.cancel()
        await asyncio.wait([asked])
        assert exchange.status == 503
        assert exchange.json() == {"error_msg": "shutting down"}
        assert exchange.finished

    runner.run(main())


def test_server_that_ends_does_not_finish_what_has_begun(runner: asyncio.Runner) -> None:
    async def main() -> None:
        endless = Stream(*[b"x"] * 1_000_000)
        exchange = Exchange()
        exchange.body(b"")
        asked = asyncio.create_task(exchange.run(GatewayApp(respond(endless), Trust())))
        await settle()
        asked.cancel()
        await asyncio.wait([asked])
        assert exchange.status == 200
        assert not exchange.finished
        assert endless.closed == 1

    runner.run(main())


# --- the response


def test_response(runner: asyncio.Runner) -> None:
    exchange = answered(runner, respond(b"body", 201, X_a="b"), Exchange())
    assert exchange.status == 201
    assert exchange.headers == [(b"x-a", b"b"), (b"content-length", b"4")]
    assert exchange.pieces == [b"body"]
    assert exchange.finished


def test_length_is_not_said_twice(runner: asyncio.Runner) -> None:
    exchange = answered(runner, respond(b"body", content_LENGTH="4"), Exchange())
    assert exchange.headers == [(b"content-length", b"4")]


def test_answer_to_head_keeps_its_length(runner: asyncio.Runner) -> None:
    exchange = answered(runner, respond(None, Content_Length="1234"), Exchange("HEAD"))
    assert exchange.headers == [(b"content-length", b"1234")]
    assert b"".join(exchange.pieces) == b""
    assert exchange.finished


@pytest.mark.parametrize("status", [204, 304])
def test_answer_without_a_body_says_no_length(runner: asyncio.Runner, status: int) -> None:
    """Servers take the length of what a 304 does not send for a promise."""
    exchange = answered(runner, respond(None, status, Content_Length="12", Etag="1"), Exchange())
    assert exchange.status == status
    assert exchange.headers == [(b"etag", b"1")]
    assert b"".join(exchange.pieces) == b""
    assert exchange.finished


def test_streamed_body(runner: asyncio.Runner) -> None:
    stream = Stream(b"one", b"two")
    exchange = answered(runner, respond(stream), Exchange())
    assert [piece for piece in exchange.pieces if piece] == [b"one", b"two"]
    assert exchange.finished
    assert stream.closed == 1
    assert exchange.headers == []


def test_streamed_body_is_sent_as_it_comes(runner: asyncio.Runner) -> None:
    async def main() -> None:
        exchange = Exchange()
        exchange.body(b"")
        more: asyncio.Queue[bytes] = asyncio.Queue()

        class Slow(Stream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                while piece := await more.get():
                    yield piece

        asked = asyncio.create_task(exchange.run(GatewayApp(respond(Slow()), Trust())))
        await settle()
        assert exchange.status == 200
        for piece in (b"one", b"two"):
            more.put_nowait(piece)
            await settle()
            assert exchange.pieces[-1] == piece
            assert not exchange.finished
        more.put_nowait(b"")
        await asked
        assert exchange.finished

    runner.run(main())


def test_body_that_breaks_off_is_not_finished(runner: asyncio.Runner) -> None:
    """So that the server breaks the connection, and nobody takes it for whole."""
    stream = Stream(b"one", error=UpstreamBroken("broken"))
    with capture_logs():
        exchange = answered(runner, respond(stream), Exchange())
    assert exchange.pieces == [b"one"]
    assert not exchange.finished
    assert stream.closed == 1


def test_body_that_cannot_be_sent_is_closed(runner: asyncio.Runner) -> None:
    stream = Stream(b"one", b"two")
    exchange = Exchange()
    exchange.fail_on = "http.response.body"
    with pytest.raises(OSError, match="cannot send"):
        answered(runner, respond(stream), exchange)
    assert stream.closed == 1
    assert stream.given == 1


def test_body_whose_start_cannot_be_sent_is_closed(runner: asyncio.Runner) -> None:
    stream = Stream(b"one", b"two")
    exchange = Exchange()
    exchange.fail_on = "http.response.start"
    with pytest.raises(OSError, match="cannot send"):
        answered(runner, respond(stream), exchange)
    assert stream.closed == 1


@pytest.mark.parametrize("status", [0, 1, 99, 100, 101, 199, 600, 999])
def test_status_that_http_does_not_have(runner: asyncio.Runner, status: int) -> None:
    exchange = answered(runner, respond(b"secret", status, Content_Length="6"), Exchange())
    assert exchange.status == 502
    assert "status" in exchange.json()["error_msg"]


@pytest.mark.parametrize("status", [200, 299, 418, 599])
def test_status_that_http_may_have(runner: asyncio.Runner, status: int) -> None:
    assert answered(runner, respond(b"", status), Exchange()).status == status


def test_body_under_a_status_that_http_does_not_have_is_closed(runner: asyncio.Runner) -> None:
    stream = Stream(b"one")
    exchange = answered(runner, respond(stream, 999), Exchange())
    assert exchange.status == 502
    assert stream.closed == 1


def test_fault_of_ours_is_a_500_that_tells_nothing(runner: asyncio.Runner) -> None:
    async def crash(request: Request) -> Response:
        secret = "secret"
        raise RuntimeError(secret)

    with capture_logs() as logs:
        exchange = answered(runner, crash, Exchange(target="/path"))
    assert exchange.status == 500
    assert exchange.json() == {"error_msg": "internal error"}
    assert (b"content-type", b"application/json") in exchange.headers
    (entry,) = logs
    assert (entry["log_level"], entry["path"], entry["exc_info"]) == ("error", "/path", True)


# --- who is the client?

LOCAL = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def client_of(
    runner: asyncio.Runner,
    *values: str,
    name: str = "x-real-ip",
    peer: str = "10.0.0.1",
    header: str = "x-real-ip",
    trusted: bool = True,
    recursive: bool = False,
) -> str:
    target = Target()
    headers = [HOST, *((name.encode(), value.encode("latin-1")) for value in values)]
    answered(
        runner,
        target,
        Exchange(headers=headers, client=(peer, 1)),
        real_ip_header=header.encode(),
        real_ip_from=LOCAL if trusted else (),
        real_ip_recursive=recursive,
    )
    return target.request.origin.client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("1.2.3.4", "1.2.3.4"),
        (" 1.2.3.4 ", "1.2.3.4"),
        ("2001:db8::1", "2001:db8::1"),
        ("1.2.3.4, 5.6.7.8", "5.6.7.8"),
        ("1.2.3.4,5.6.7.8", "5.6.7.8"),
        ("10.9.9.9", "10.9.9.9"),
        ("garbage", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("1.2.3", "10.0.0.1"),
        ("1.2.3.4, garbage", "10.0.0.1"),
        ("1.2.3.4,", "10.0.0.1"),
        ("1.2.3.4\x00", "10.0.0.1"),
        ("fe80::1%eth0", "10.0.0.1"),
        ("1.2.3.4 5.6.7.8", "10.0.0.1"),
    ],
)
def test_trusted_peer_names_the_client(runner: asyncio.Runner, value: str, client: str) -> None:
    assert client_of(runner, value) == client


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4, 10.1.1.1", "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.1.1.1, fd00::1", "1.2.3.4"),
        ("10.3.3.3, 10.2.2.2, 10.1.1.1", "10.3.3.3"),
        ("10.3.3.3", "10.3.3.3"),
        ("1.2.3.4, garbage, 10.1.1.1", "10.1.1.1"),
        ("garbage, 1.2.3.4, 10.1.1.1", "1.2.3.4"),
        ("garbage", "10.0.0.1"),
    ],
)
def test_recursive(runner: asyncio.Runner, value: str, client: str) -> None:
    """The last address that is not itself trusted; if all are, the first."""
    assert client_of(runner, value, recursive=True) == client


def test_trusted_peer_that_says_nothing(runner: asyncio.Runner) -> None:
    assert client_of(runner) == "10.0.0.1"


@pytest.mark.parametrize("peer", ["11.0.0.1", "fe80::1", ""])
@pytest.mark.parametrize("recursive", [False, True])
def test_peer_that_is_not_trusted(runner: asyncio.Runner, peer: str, recursive: bool) -> None:
    assert client_of(runner, "1.2.3.4", peer=peer, recursive=recursive) == peer


def test_nobody_is_trusted_by_default(runner: asyncio.Runner) -> None:
    assert client_of(runner, "1.2.3.4", trusted=False) == "10.0.0.1"
    assert Trust().real_ip_from == ()


def test_trusted_ipv6_peer(runner: asyncio.Runner) -> None:
    assert client_of(runner, "1.2.3.4", peer="fd00::7") == "1.2.3.4"


def test_other_header(runner: asyncio.Runner) -> None:
    assert client_of(runner, "1.2.3.4", header="x-client") == "10.0.0.1"
    assert client_of(runner, "1.2.3.4", name="x-client", header="x-client") == "1.2.3.4"
    assert (
        client_of(runner, "6.6.6.6, 1.2.3.4", name="x-forwarded-for", header="x-forwarded-for") == "1.2.3.4"
    )


@pytest.mark.parametrize("recursive", [False, True])
def test_header_that_the_proxy_added_counts(runner: asyncio.Runner, recursive: bool) -> None:
    """HAProxy adds a header of its own behind the client's. Source: nginx, ngx_http_realip_module."""
    name = "x-forwarded-for"
    assert client_of(runner, "6.6.6.6", "1.2.3.4", name=name, header=name, recursive=recursive) == "1.2.3.4"


@pytest.mark.parametrize("value", ["garbage, 1.2.3.4", ", 1.2.3.4", "6.6.6.6, garbage, 1.2.3.4"])
def test_garbage_before_the_last_address(runner: asyncio.Runner, value: str) -> None:
    assert client_of(runner, value) == "1.2.3.4"


@pytest.mark.parametrize(
    ("networks", "peer", "trusted"),
    [
        ((), "10.0.0.1", False),
        (LOCAL, "10.0.0.1", True),
        (LOCAL, "11.0.0.1", False),
        (LOCAL, "fd00::1", True),
        (LOCAL, "", False),
        (LOCAL, "unix:", False),
    ],
)
def test_trusted_addresses(runner: asyncio.Runner, networks: Any, peer: str, trusted: bool) -> None:
    """Goes by the peer, whatever it says of its own client."""
    target = Target()
    exchange = Exchange(headers=[HOST, (b"x-real-ip", b"10.0.0.9")], client=(peer, 1))
    answered(runner, target, exchange, trusted_addresses=networks)
    assert target.request.origin.trusted is trusted
