"""Requests that are refused: garbage, ambiguous lengths, too much of anything."""

import contextlib
import socket
import time

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import Gateway
from .scripted import each, echo
from .waiting import PATIENCE_S
from .wire import Wire, all_answers, ask, whole_conversation


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

    answer = ask(gateway.data, f"{line} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

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
    "no host": b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
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
    with Wire(gateway.data) as wire:
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

    with Wire(gateway.data) as wire:
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

    with Wire(gateway.data) as wire:
        wire.send(b"POST ", prefix, b"/x HTTP/1.1\r\nHost: a\r\n", framing, b"\r\n\r\n0\r\n\r\n", inner)
        answers = whole_conversation(wire)
        give_up = time.monotonic() + PATIENCE_S
        while len(upstream.requests) != answers.count(200) and time.monotonic() < give_up:
            answers += all_answers(wire)  # what is still on its way

    assert len(upstream.requests) == answers.count(200)
    for request in upstream.requests:
        assert request.all("content-length") in ([], [str(len(request.body))])
        assert b"smuggled" not in request.body
        assert b"content_length" not in request.head


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
    answer = ask(gateway.data, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert answer.status in (414, 431)


def test_as_many_headers_as_are_allowed(gateway: Gateway) -> None:
    headers = b"".join(b"X-%d: 1\r\n" % n for n in range(99))

    assert ask(gateway.data, b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n").status == 404


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


def test_limits_of_the_config(start_gateway: StartGateway) -> None:
    limits = {"max_header_count": 5, "max_header_bytes": 1000}
    gateway = start_gateway({"batchway": {"limits": limits}})
    five = b"".join(b"X-%d: 1\r\n" % n for n in range(4))

    assert ask(gateway.data, b"GET / HTTP/1.1\r\nHost: a\r\n" + five + b"\r\n").status == 404
    assert ask(gateway.data, b"GET / HTTP/1.1\r\nHost: a\r\n" + five + b"X: 1\r\n\r\n").status == 431
    assert ask(gateway.data, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000 + b"\r\n\r\n").status == 431
