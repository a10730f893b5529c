"""Plain requests: what is passed on as it came, and what ends at the gateway."""

import time

import pytest

from .conftest import StartScripted
from .gateway import Gateway, nodes
from .nginx import Nginx
from .scripted import each, echo, ok
from .wire import Wire, ask, whole_conversation


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

    answer = ask(gateway.data, f"GET {path} HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-A: 2\r\n\r\n".encode())

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

    ask(
        gateway.data,
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
    "/%7Euser/%2F/%2e/",
    "//x///y/",
    "/x/./y/../z",
    "/x;p=1,2/(y)!$&'*+:@~",
    '/x|y^z`{a}[b]"c\\d<e>',
    "/%0d%0a%ff",
    "/x?q='\"<>`{}|\\^[]",
]


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_reaches_the_upstream_as_it_is(
    gateway: Gateway, scripted: StartScripted, target: str
) -> None:
    upstream = scripted(each(echo))
    prefix = gateway.route(upstream)

    answer = ask(gateway.data, f"GET {prefix}{target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert answer.status == 200
    expected = prefix + target
    assert upstream.requests[0].target in (expected, expected.removesuffix("?"))


@pytest.mark.parametrize("target", ["/%zz", "/%", "/a%2", "/%00", "/../x", "/a/../../x"])
def test_a_path_that_nginx_refuses(gateway: Gateway, scripted: StartScripted, target: str) -> None:
    upstream = scripted(each(echo))
    gateway.put("routes", "all", {"uri": "/*", "upstream": {"nodes": nodes(upstream)}})
    try:
        answer = ask(gateway.data, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert (answer.status, list(answer.json())) == (400, ["error_msg"])
        assert upstream.requests == []
    finally:
        gateway.delete("routes", "all")


def test_an_absolute_target(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    prefix = gateway.route(upstream)

    answer = ask(gateway.data, f"GET http://a:81{prefix}/x?y HTTP/1.1\r\nHost: a:81\r\n\r\n".encode())

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
    prefix = gateway.route(upstream, timeout={"connect": 10, "send": 10, "read": 10})
    body = f"GET {prefix}/smuggled HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    framing = "Transfer-Encoding: chunked" if coded else f"Content-Length: {len(body)}"

    with Wire(gateway.data) as wire:
        head = f"POST {prefix}/x HTTP/1.1\r\nHost: a\r\n{UPGRADE}{framing}\r\n\r\n"
        wire.send(head.encode())
        time.sleep(0.05)  # the body comes in a segment of its own
        wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if coded else body)
        statuses = whole_conversation(wire)

    assert "/smuggled" not in [request.target.removeprefix(prefix) for request in upstream.requests]
    assert statuses in ([200], [400], [501])
    if statuses == [200]:
        assert upstream.requests[0].body == body


def test_a_batch_that_asks_for_an_upgrade(gateway: Gateway) -> None:
    """`curl --http2 --data ...` at the batch endpoint."""
    body = b'{"pipeline": [{"path": "/none"}]}'

    with Wire(gateway.data) as wire:
        head = (
            f"POST /apisix/batch-requests HTTP/1.1\r\nHost: a\r\n{UPGRADE}Content-Length: {len(body)}\r\n"
        )
        wire.send(head.encode(), b"\r\n", body)
        answer = wire.answer()

    assert answer.status == 200
    assert answer.json()[0]["status"] == 404
