"""Plain requests: what is passed on, what is refused, and that no spelling dodges a route."""

import contextlib
import socket
import time

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import Gateway, nodes
from .nginx import Nginx
from .scripted import each, echo, ok
from .wire import Answer, Broken, Wire


def raw(gateway: Gateway, request: bytes) -> Answer:
    """The answer to these bytes."""
    with Wire(gateway.data, timeout_s=5) as wire:
        wire.send(request)
        return wire.answer()


# --- passed on


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE", "PROPFIND"]
)
def test_any_method(gateway: Gateway, scripted: StartScripted, method: str) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"

    answer = gateway.fetch(path, method, "abc")

    assert answer.status == 200
    assert (upstream.requests[0].method, upstream.requests[0].body) == (method, b"abc")


def test_head(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx, max_connections=1) + "/files/hello.txt"

    with Wire(gateway.data) as wire:
        for _ in range(3):
            wire.send(f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = wire.answer(bodiless=True)
            assert (answer.status, answer.header("content-length")) == (200, "2600")


@pytest.mark.parametrize("status", [200, 201, 202, 204, 302, 304, 404, 500, 503])
def test_any_status(gateway: Gateway, nginx: Nginx, status: int) -> None:
    tail = "/x" if status == 200 else f"/status/{status}"
    path = gateway.route(nginx) + tail

    with Wire(gateway.data) as wire:
        for _ in range(3):  # each is whole, or the next would not be understood
            wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = wire.answer()
            assert answer.status == status
            assert (answer.header("server") or "").startswith("nginx")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_length_where_no_body_is(gateway: Gateway, scripted: StartScripted, status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Length: 12\r\nETag: x\r\n\r\n".encode()
    path = gateway.route(scripted(each(lambda _: head))) + "/x"

    with Wire(gateway.data) as wire:
        for _ in range(3):
            wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = wire.answer()
            assert (answer.status, answer.header("etag")) == (int(status[:3]), "x")


def test_repeated_headers_both_ways(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(lambda _: ok(b"", "Set-Cookie: a=1", "Set-Cookie: b=2")))
    path = gateway.route(upstream) + "/x"

    answer = raw(gateway, f"GET {path} HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\n\r\n".encode())

    assert answer.all("set-cookie") == ["a=1", "b=2"]
    assert upstream.requests[0].all("x-a") == ["1", "2"]


def test_a_compressed_response_stays_compressed(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/gzip/hello.txt"

    answer = gateway.fetch(path, headers={"Accept-Encoding": "gzip"})

    assert answer.header("content-encoding") == "gzip"
    assert answer.body[:2] == b"\x1f\x8b"


def test_hop_by_hop_headers_end_here(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    hop = "Connection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\n"

    raw(
        gateway,
        f"GET {path} HTTP/1.1\r\nHost: a\r\n{hop}Proxy-Authorization: x\r\nX-Kept: 1\r\n\r\n".encode(),
    )

    names = {name.lower() for name, _ in upstream.requests[0].pairs}
    assert not names & {"connection", "x-mine", "keep-alive", "te", "proxy-authorization", "upgrade"}
    assert "x-kept" in names


def test_headers_that_a_response_nominates_end_here(gateway: Gateway, scripted: StartScripted) -> None:
    """RFC 9110, section 7.6.1: a proxy removes what `Connection` names."""
    answer = ok(b"", "Connection: X-Internal", "X-Internal: 1", "X-Kept: 1")
    path = gateway.route(scripted(each(lambda _: answer))) + "/x"

    plain = gateway.fetch(path)
    reply = gateway.reply(path)

    assert (plain.header("x-kept"), plain.header("x-internal")) == ("1", None)
    assert reply["headers"].keys() == {"X-Kept", "Content-Length"}


def test_trailers_of_a_request_are_no_headers(gateway: Gateway, scripted: StartScripted) -> None:
    """RFC 9110, section 6.5.1: they may be merged only where a field's definition says so."""
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    trailers = b"X-Forged: 1\r\nAuthorization: Bearer forged\r\nHost: forged\r\nX-Real-IP: 6.6.6.6\r\n\r\n"

    with Wire(gateway.data) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        wire.send(b"3\r\nabc\r\n0\r\n" + trailers)
        assert wire.answer().status == 200

    assert upstream.requests[0].header("host") == "a"
    assert upstream.requests[0].header("x-forged") is None
    assert upstream.requests[0].header("authorization") is None


TARGETS = [
    "/x?",
    "/x?a=1&b=2&a=3",
    "/x?a=%2f%2F&b=+%20",
    "/x?a?b=c?d",
    "/x?a=b&&=c&",
    "/%7Euser/%2F/%2e/%zz/%",
    "//x///y/",
    "/x/./y/../z",
    "/x;p=1,2/(y)!$&'*+:@~",
    '/x|y^z`{a}[b]"c\\d<e>',
    "/%00%0d%0a%ff",
    "/x?q='\"<>`{}|\\^[]",
]


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_reaches_the_upstream_as_it_is(
    gateway: Gateway, scripted: StartScripted, target: str
) -> None:
    upstream = scripted(each(echo))
    prefix = gateway.route(upstream)

    answer = raw(gateway, f"GET {prefix}{target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert answer.status == 200
    expected = prefix + target
    assert upstream.requests[0].target in (expected, expected.removesuffix("?"))


def test_an_absolute_target(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    prefix = gateway.route(upstream)

    answer = raw(gateway, f"GET http://a:81{prefix}/x?y HTTP/1.1\r\nHost: a:81\r\n\r\n".encode())

    assert answer.status == 200
    assert upstream.requests[0].target == prefix + "/x?y"


def test_pipelined_requests_are_answered_in_order(gateway: Gateway, nginx: Nginx) -> None:
    prefix = gateway.route(nginx)

    with Wire(gateway.data) as wire:
        wire.send(*(f"GET {prefix}/{n} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for n in range(20)))
        bodies = [wire.answer().body.decode() for _ in range(20)]

    assert bodies == [f"GET {prefix}/{n}" for n in range(20)]


def test_a_request_behind_a_large_body(gateway: Gateway, scripted: StartScripted) -> None:
    """The head that follows is not the body's size."""
    prefix = gateway.route(scripted(each(lambda request: ok(request.target.encode())))).encode()
    first = b"POST " + prefix + b"/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)

    with Wire(gateway.data) as wire:
        wire.send(first, b"GET ", prefix, b"/2 HTTP/1.1\r\nHo")
        assert wire.answer().body == prefix + b"/1"
        wire.send(b"st: a\r\n\r\n")
        assert wire.answer().body == prefix + b"/2"


UPGRADE = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
"""What `curl --http2` asks for."""


def test_an_upgrade_is_not_passed_on(gateway: Gateway, scripted: StartScripted) -> None:
    """The request is answered as if it had not asked, and so is the next one."""
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"

    with Wire(gateway.data) as wire:
        for _ in range(3):
            wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n".encode())
            assert wire.answer().status == 200

    assert all(request.header("upgrade") is None for request in upstream.requests)


@pytest.mark.parametrize("coded", [False, True], ids=["length", "chunked"])
def test_a_body_of_a_request_that_asks_for_an_upgrade(
    gateway: Gateway, scripted: StartScripted, coded: bool
) -> None:
    """It is the request's body all the same, or the request is refused: never another request."""
    upstream = scripted(each(echo))
    prefix = gateway.route(upstream, timeout={"connect": 1, "send": 1, "read": 1})
    body = f"GET {prefix}/smuggled HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    framing = "Transfer-Encoding: chunked" if coded else f"Content-Length: {len(body)}"

    with Wire(gateway.data, timeout_s=2) as wire:
        head = f"POST {prefix}/x HTTP/1.1\r\nHost: a\r\n{UPGRADE}{framing}\r\n\r\n"
        wire.send(head.encode())
        time.sleep(0.05)  # the body comes in a segment of its own
        wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if coded else body)
        statuses = all_answers(wire)

    assert "/smuggled" not in [request.target.removeprefix(prefix) for request in upstream.requests]
    assert statuses in ([200], [400], [501])
    if statuses == [200]:
        assert upstream.requests[0].body == body


def test_a_batch_that_asks_for_an_upgrade(gateway: Gateway) -> None:
    """`curl --http2 --data ...` at the batch endpoint."""
    body = b'{"pipeline": [{"path": "/none"}]}'

    with Wire(gateway.data, timeout_s=2) as wire:
        head = (
            f"POST /apisix/batch-requests HTTP/1.1\r\nHost: a\r\n{UPGRADE}Content-Length: {len(body)}\r\n"
        )
        wire.send(head.encode(), b"\r\n", body)
        answer = wire.answer()

    assert answer.status == 200
    assert answer.json()[0]["status"] == 404


# --- refused


def test_no_route(gateway: Gateway) -> None:
    answer = gateway.fetch("/no/such/route")

    assert answer.status == 404
    assert answer.json() == {"error_msg": "404 Route Not Found"}


@pytest.mark.parametrize(
    "request_line", ["TRACE /{prefix}/x", "CONNECT /{prefix}/x", "CONNECT 127.0.0.1:443", "CONNECT a:443"]
)
def test_connect_and_trace_are_405(gateway: Gateway, scripted: StartScripted, request_line: str) -> None:
    upstream = scripted(each(echo))
    line = request_line.format(prefix=gateway.route(upstream).removeprefix("/"))

    answer = raw(gateway, f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert answer.status == 405
    assert "error_msg" in answer.json()
    assert upstream.accepted == 0


GARBAGE = {
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/3.7": b"GET / HTTP/3.7\r\nHost: a\r\n\r\n",
    "no target": b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "no path": b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a relative target": b"GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a byte above ASCII": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    "method in lower case": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "length and chunked": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 1\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "negative length": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "length with a sign": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na",
    "length of too many digits": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: "
    + b"9" * 30
    + b"\r\n\r\n",
    "another coding": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunked is not last": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "a CR in a header": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_400(gateway: Gateway, request_bytes: bytes) -> None:
    with Wire(gateway.data, timeout_s=5) as wire:
        wire.send(request_bytes)
        answer = wire.answer()
        assert answer.status == 400
        assert "error_msg" in answer.json()
        assert wire.is_closed()


@pytest.mark.parametrize(
    "body",
    [b"xyz\r\n", b"-1\r\n", b"3\r\nabcd\r\n0\r\n\r\n", b"fffffffffffffffff\r\n"],
)
def test_a_malformed_chunked_body_never_reaches_an_end(
    gateway: Gateway, scripted: StartScripted, body: bytes
) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"

    with Wire(gateway.data, timeout_s=5) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        wire.send(body)
        received = wire.to_end()

    assert b" 200 " not in received
    assert upstream.requests == []


SMUGGLING = [
    b"Content-Length: 6\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 6",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity, chunked\r\nContent-Length: 5",
    b"Transfer-Encoding : chunked\r\nContent-Length: 5",
    b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 5",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\nContent-Length: 5",
    b" Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: 5",
    b"X: y\nTransfer-Encoding: chunked\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 0",
    b"Content-Length: 5, 0",
    b"Content-Length: 0x5",
    b"Content_Length: 5",
    b"Connection: Content-Length\r\nContent-Length: 5",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
]


@pytest.mark.parametrize("framing", SMUGGLING)
def test_no_request_is_smuggled(gateway: Gateway, scripted: StartScripted, framing: bytes) -> None:
    """Whatever is said about its length: gateway and upstream see the same requests, or none."""
    upstream = scripted(each(echo))
    prefix = gateway.route(upstream).encode()
    inner = b"GET " + prefix + b"/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

    with Wire(gateway.data, timeout_s=1) as wire:
        wire.send(b"POST ", prefix, b"/x HTTP/1.1\r\nHost: a\r\n", framing, b"\r\n\r\n0\r\n\r\n", inner)
        answers = all_answers(wire)

    assert len(upstream.requests) == sum(status == 200 for status in answers)
    for request in upstream.requests:
        assert request.all("content-length") in ([], [str(len(request.body))])
        assert b"smuggled" not in request.body
        assert b"content_length" not in request.head


def all_answers(wire: Wire) -> list[int]:
    """The statuses of all that comes until the connection ends, or nothing more does."""
    statuses = []
    with contextlib.suppress(Broken, TimeoutError):
        while True:
            statuses.append(wire.answer().status)
    return statuses


TOO_LARGE = {
    "many headers": b"".join(b"X-%d: 1\r\n" % n for n in range(101)),
    "a large header": b"X: " + b"x" * 70_000 + b"\r\n",
    "large headers": b"".join(b"X-%d: %b\r\n" % (n, b"x" * 1000) for n in range(70)),
    "a large name": b"x" * 70_000 + b": 1\r\n",
}


@pytest.mark.parametrize("headers", TOO_LARGE.values(), ids=TOO_LARGE.keys())
@pytest.mark.parametrize("pieces", [1, 30])
def test_too_many_or_too_large_headers_are_431(gateway: Gateway, headers: bytes, pieces: int) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n"
    step = -(-len(head) // pieces)

    with Wire(gateway.data) as wire:
        with contextlib.suppress(ConnectionError):  # it may be refused before it is whole
            for at in range(0, len(head), step):
                wire.send(head[at : at + step])
        answer = wire.answer()
        assert answer.status == 431
        assert "error_msg" in answer.json()


def test_a_large_target_is_refused(gateway: Gateway) -> None:
    answer = raw(gateway, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert answer.status in (414, 431)


def test_as_many_headers_as_are_allowed(gateway: Gateway) -> None:
    headers = b"".join(b"X-%d: 1\r\n" % n for n in range(99))

    assert raw(gateway, b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n").status == 404


def pour(gateway: Gateway, wire: Wire, piece: bytes, most_kb: int = 40_000) -> None:
    """Send `piece` until the gateway wants no more; it must not take much of that into its memory."""
    before_kb = gateway.resident_kb()
    for _ in range(10_000):
        wire.send(piece)
        assert gateway.resident_kb() - before_kb < most_kb


def test_endless_headers_end(gateway: Gateway) -> None:
    with Wire(gateway.data) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        with pytest.raises(ConnectionError):
            pour(gateway, wire, b"X-More: and more\r\n" * 100)


def test_endless_trailers_end(gateway: Gateway, scripted: StartScripted) -> None:
    path = gateway.route(scripted(each(echo))) + "/x"

    with Wire(gateway.data) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".encode())
        with pytest.raises(ConnectionError):
            pour(gateway, wire, b"X-More: and more\r\n" * 1000)


def test_a_client_that_closes_its_side_at_once(gateway: Gateway) -> None:
    for _ in range(20):
        with Wire(gateway.data) as wire:
            wire.socket.shutdown(socket.SHUT_WR)
            assert wire.to_end() == b""


# --- dodging a route

SPELLINGS = [
    "/admin/x",
    "/%61dmin/x",
    "/%61%64%6d%69%6e/x",
    "//admin/x",
    "///admin//x",
    "/./admin/x",
    "/admin/./x",
    "/public/../admin/x",
    "/public/%2e%2e/admin/x",
    "/public/%2E./admin/x",
    "/public/..%2fadmin/x",
    "/public%2f..%2fadmin%2fx",
    "/a/b/../../admin/x",
    "/admin/../admin/x",
    "/public/..//admin/x",
    "/admin%2fx",
    "/admin/x?",
    "/admin/x?a=/public",
]
"""All of them are /admin/x to nginx."""

OTHERS = [
    "/public/x",
    "/admin/../x",
    "/adminx",
    "/%2561dmin/x",
    "/public/admin/x",
    "/x/admin/x",
    "/ADMIN/x",
]
"""None of these is."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> object:
    """A gateway where /admin/* has another upstream than the rest."""
    gateway = Gateway(tmp_path_factory.mktemp("guarded")).start()
    upstream = {"nodes": nodes(nginx)}
    guard = upstream | {"pass_host": "rewrite", "upstream_host": "guarded"}
    gateway.put("routes", "open", {"uri": "/*", "upstream": upstream})
    gateway.put("routes", "guarded", {"uri": "/admin/*", "upstream": guard})
    yield gateway
    assert gateway.stop() == 0


@pytest.mark.parametrize("target", SPELLINGS)
def test_no_spelling_dodges_a_route(guarded: Gateway, target: str) -> None:
    plain = raw(guarded, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    reply = guarded.reply(target)

    assert plain.header("x-uri") == "/admin/x"
    assert plain.header("x-host") == "guarded"
    assert plain.header("x-target") in (target, target.removesuffix("?"))
    assert reply["headers"]["X-Host"] == "guarded"


@pytest.mark.parametrize("target", OTHERS)
def test_other_paths_take_other_routes(guarded: Gateway, target: str) -> None:
    plain = raw(guarded, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert plain.header("x-uri") != "/admin/x"
    assert plain.header("x-host") == "a"


def test_limits_of_the_config(start_gateway: StartGateway) -> None:
    limits = {"max_header_count": 5, "max_header_bytes": 1000}
    gateway = start_gateway({"batchway": {"limits": limits}})
    five = b"".join(b"X-%d: 1\r\n" % n for n in range(4))

    assert raw(gateway, b"GET / HTTP/1.1\r\nHost: a\r\n" + five + b"\r\n").status == 404
    assert raw(gateway, b"GET / HTTP/1.1\r\nHost: a\r\n" + five + b"X: 1\r\n\r\n").status == 431
    assert raw(gateway, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000 + b"\r\n\r\n").status == 431
