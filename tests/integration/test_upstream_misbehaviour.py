"""Upstreams that stall, cut off, answer twice or send garbage: one item's problem, never its neighbour's.

Each behaviour is met twice: by items of a batch beside a healthy upstream, and by a plain request.
"""

import json
import threading
import time
from collections.abc import Iterator

import pytest

from .conftest import StartScripted
from .gateway import Gateway
from .processes import stopped
from .scripted import Behaviour, Peer, Scripted, each, echo, ok, once
from .wire import Broken, Wire

FINE = b"HTTP/1.1 200 OK\r\n"


def read_then(*answer: bytes) -> Behaviour:
    return once(*answer)


def stall_mid_body(peer: Peer) -> None:
    peer.read()
    peer.send(FINE, b"Content-Length: 10\r\n\r\nhalf")
    peer.stall()


def reset(peer: Peer) -> None:
    peer.read()
    peer.reset()


def reset_mid_body(peer: Peer) -> None:
    peer.read()
    peer.send(FINE, b"Content-Length: 10\r\n\r\nhalf")
    time.sleep(0.02)
    peer.reset()


def reset_read_to_eof(peer: Peer) -> None:
    """A body without a length that ends with an error: nobody can tell that it is whole."""
    peer.read()
    peer.send(FINE, b"\r\nhalf")
    time.sleep(0.02)
    peer.reset()


def endless_headers(peer: Peer) -> None:
    peer.read()
    peer.send(FINE)
    while True:
        peer.send(b"X-More: and more\r\n" * 100)


def endless_header(peer: Peer) -> None:
    peer.read()
    peer.send(FINE, b"X-More: ")
    while True:
        peer.send(b"more" * 1000)


def endless_interim(peer: Peer) -> None:
    peer.read()
    while True:
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)


def endless_status_line(peer: Peer) -> None:
    peer.read()
    peer.send(b"HTTP/1.1 200 ")
    while True:
        peer.send(b"more" * 1000)


def endless_trailers(peer: Peer) -> None:
    peer.read()
    peer.send(FINE, b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
    while True:
        peer.send(b"X-More: and more\r\n" * 100)


def endless_chunk_extension(peer: Peer) -> None:
    peer.read()
    peer.send(FINE, b"Transfer-Encoding: chunked\r\n\r\n2;ext=")
    while True:
        peer.send(b"more" * 1000)


def http2_preface(peer: Peer) -> None:
    peer.send(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\0\x04\0\x10\0\0\0\x06\0\0@\0")
    peer.stall()


BROKEN: dict[str, Behaviour] = {
    "closes without an answer": lambda peer: peer.read(),
    "closes after a part of the status line": read_then(b"HTTP/1."),
    "closes in the headers": read_then(FINE, b"X-A: 1\r\n"),
    "cuts off mid-body": read_then(FINE, b"Content-Length: 10\r\n\r\nhalf"),
    "cuts off mid-chunk": read_then(FINE, b"Transfer-Encoding: chunked\r\n\r\na\r\nhalf"),
    "cuts off between chunks": read_then(FINE, b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"),
    "cuts off before the last CRLF": read_then(FINE, b"Transfer-Encoding: chunked\r\n\r\n0\r\n"),
    "bad chunk size": read_then(FINE, b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n0\r\n\r\n"),
    "huge chunk size": read_then(FINE, b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nx"),
    "negative length": read_then(FINE, b"Content-Length: -1\r\n\r\nx"),
    "two lengths": read_then(FINE, b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    "length and chunked": read_then(
        FINE, b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    ),
    "garbage": read_then(b"this is not HTTP at all\r\n\r\n"),
    "binary garbage": read_then(bytes(range(256))),
    "TLS alert": read_then(b"\x15\x03\x01\0\x02\x02\x46"),
    "HTTP/2": http2_preface,
    "HTTP/2 status line": read_then(b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "a status of two digits": read_then(b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n"),
    "a header without a colon": read_then(FINE, b"X-A\r\nContent-Length: 0\r\n\r\n"),
    "a space before the colon": read_then(FINE, b"Content-Length : 0\r\n\r\n"),
    "a NUL in a header": read_then(FINE, b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n"),
    "a CR in a header": read_then(FINE, b"X-A: a\rb\r\nContent-Length: 0\r\n\r\n"),
    "switches protocols": read_then(b"HTTP/1.1 101 Hi\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbytes"),
    "resets": reset,
    "resets mid-body": reset_mid_body,
    "resets a body without a length": reset_read_to_eof,
    "endless headers": endless_headers,
    "endless header": endless_header,
    "endless interim answers": endless_interim,
    "endless status line": endless_status_line,
    "endless trailers": endless_trailers,
    "endless chunk extension": endless_chunk_extension,
}

MID_BODY = {name for name in BROKEN if "cuts off" in name or "resets " in name} | {
    "huge chunk size",
    "endless trailers",
    "endless chunk extension",
    "bad chunk size",
}
"""The head of these is fine, so a plain request's client has it before anything is wrong."""


@pytest.fixture
def healthy(scripted: StartScripted) -> Scripted:
    return scripted(each(lambda request: ok(request.target.encode())))


@pytest.mark.parametrize("behaviour", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_broken_answer_is_502_for_that_item(
    gateway: Gateway, scripted: StartScripted, healthy: Scripted, behaviour: Behaviour, method: str
) -> None:
    good = gateway.route(healthy)
    bad = {"path": gateway.route(scripted(behaviour)) + "/x", "method": method}
    started = time.monotonic()

    replies = gateway.replies(
        [{"path": f"{good}/1"}, bad, {"path": f"{good}/2"}, bad, {"path": f"{good}/3"}]
    )

    assert [reply["status"] for reply in replies] == [200, 502, 200, 502, 200]
    assert [replies[at]["body"] for at in (0, 2, 4)] == [f"{good}/{n}" for n in (1, 2, 3)]
    assert replies[1]["reason"] == "Bad Gateway"
    assert "error_msg" in json.loads(replies[1]["body"])
    assert time.monotonic() - started < 20  # the time of the batch is 30


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_never_a_whole_response(
    gateway: Gateway, scripted: StartScripted, name: str
) -> None:
    path = gateway.route(scripted(BROKEN[name])) + "/x"

    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        if name in MID_BODY:
            check_broken(wire)
        else:
            answer = wire.answer()
            assert answer.status == 502
            assert "error_msg" in answer.json()


def check_broken(wire: Wire) -> None:
    """Either an error, or a response that does not come to its end."""
    try:
        answer = wire.answer()
    except Broken:
        return
    assert answer.status == 502, answer


ODD_BUT_FINE = {
    "in one byte pieces": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    "chunked": FINE + b"Transfer-Encoding: chunked\r\n\r\n1\r\nb\r\n3\r\nody\r\n0\r\n\r\n",
    "chunk extensions and trailers": FINE
    + b"Transfer-Encoding: chunked\r\n\r\n4;a=b;c\r\nbody\r\n0;z\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"body"),
    "103 first": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nSet-Cookie: x=1\r\n\r\n" + ok(b"body"),
    "many interim answers": b"HTTP/1.1 102 X\r\n\r\nHTTP/1.1 100 X\r\n\r\n" * 5 + ok(b"body"),
    "read to EOF": FINE + b"\r\nbody",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nbody",
    "HTTP/1.0 with a length": b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 4\r\n\r\nbody",
    "Connection: close": ok(b"body", "Connection: close"),
    "no space after the colon": FINE + b"Content-Length:4\r\n\r\nbody",
}


@pytest.mark.parametrize("answer", ODD_BUT_FINE.values(), ids=ODD_BUT_FINE.keys())
@pytest.mark.parametrize("split", [False, True])
def test_an_odd_answer_is_understood(
    gateway: Gateway, scripted: StartScripted, answer: bytes, split: bool
) -> None:
    def serve(peer: Peer) -> None:
        peer.read()
        for at in range(0, len(answer), 1 if split else len(answer)):
            peer.send(answer[at : at + (1 if split else len(answer))])

    path = gateway.route(scripted(serve)) + "/x"

    reply = gateway.reply(path)
    plain = gateway.fetch(path)

    assert (reply["status"], reply["reason"], reply["body"]) == (200, "OK", "body")
    assert not reply["headers"].keys() & {"Transfer-Encoding", "Connection", "Link", "X-T", "X-U"}
    assert (plain.status, plain.body) == (200, b"body")
    assert not {name for name, _ in plain.headers} & {"link", "set-cookie", "x-t", "x-u"}


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
def test_a_body_where_none_may_be_is_not_taken_for_an_answer(
    gateway: Gateway, scripted: StartScripted, status: str
) -> None:
    """To HEAD, or with a 204 or 304: what comes after the head is thrown away with its connection."""
    body = ok(b"STOLEN") if status.startswith("2") else b""
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    path = gateway.route(scripted(each(lambda _: answer)), max_connections=1) + "/x"
    method = "HEAD" if status.startswith("200") else "GET"

    replies = gateway.replies([{"path": path, "method": method}] * 10)

    assert [reply["status"] for reply in replies] == [int(status[:3])] * 10
    assert not any("body" in reply for reply in replies)


@pytest.mark.parametrize("pieces", [1, 100])
def test_the_limit_of_headers_does_not_depend_on_how_they_come(
    gateway: Gateway, scripted: StartScripted, pieces: int
) -> None:
    """64 KiB by default, in one segment or in many."""

    def serve(peer: Peer) -> None:
        size = int(peer.read().target.rpartition("/")[2])
        head = ok(b"", "X-Large: " + "x" * size)
        step = -(-len(head) // pieces)
        for at in range(0, len(head), step):
            peer.send(head[at : at + step])

    prefix = gateway.route(scripted(serve), max_connections=1)

    assert {reply["status"] for reply in gateway.replies([f"{prefix}/60000"] * 20)} == {200}
    assert {reply["status"] for reply in gateway.replies([f"{prefix}/100000"] * 20)} == {502}


# --- answers that nobody asked for


def numbered(request: object) -> bytes:
    target: str = request.target  # type: ignore[attr-defined] # a Received
    return ok(target.rpartition("/")[2].encode())


def check_slots(gateway: Gateway, upstream: Scripted, **fields: int) -> None:
    """Two batches after each other. No connection is kept on which more came than was asked for."""
    prefix = gateway.route(upstream, **fields)
    for first in (0, 100):
        replies = gateway.replies([f"{prefix}/{number}" for number in range(first, first + 20)])
        for number, reply in enumerate(replies, first):
            assert reply["body"] == str(number) or reply["status"] == 502, reply
        upstream.wait(lambda upstream: upstream.open == 0)


def test_two_answers_in_one_segment(gateway: Gateway, scripted: StartScripted) -> None:
    twice = scripted(each(lambda request: numbered(request) + ok(b"STOLEN")))

    check_slots(gateway, twice, max_connections=2)


@pytest.mark.parametrize("delay_s", [0.001, 0.02])
def test_two_answers_one_after_the_other(gateway: Gateway, scripted: StartScripted, delay_s: float) -> None:
    """The second one comes when the connection is idle: it makes that unusable."""

    def serve(peer: Peer) -> None:
        request = peer.read()
        peer.send(numbered(request))
        time.sleep(delay_s)
        peer.send(ok(b"STOLEN"))
        peer.stall()

    check_slots(gateway, scripted(serve))


# --- connections that end at a bad moment


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_ends_with_its_answer(
    gateway: Gateway, scripted: StartScripted, method: str
) -> None:
    """Nothing was sent on it yet when it was seen to be closed, so a POST goes over another one."""
    one_at_a_time = threading.Lock()

    def answer_and_end(peer: Peer) -> None:
        request = peer.read()
        with one_at_a_time, stopped([gateway.running().pid]):  # which finds both at once
            peer.send(numbered(request))
            peer.socket.close()

    prefix = gateway.route(scripted(answer_and_end), max_connections=2, timeout=SHORT)

    replies = gateway.replies([{"path": f"{prefix}/{n}", "method": method} for n in range(40)])

    assert [reply["status"] for reply in replies] == [200] * 40


SHORT = {"connect": 10, "send": 10, "read": 10}
"""So that what hangs is found out before the test's time is up."""


def test_a_get_after_an_unannounced_close(gateway: Gateway, scripted: StartScripted) -> None:
    prefix = gateway.route(scripted(lambda peer: peer.send(numbered(peer.read()))), max_connections=2)

    replies = gateway.replies([f"{prefix}/{number}" for number in range(50)])

    assert [reply["body"] for reply in replies] == [str(number) for number in range(50)]


def greet(peer: Peer) -> None:
    peer.send(b"220 mail.test ESMTP\r\n")


@pytest.fixture
def busy(gateway: Gateway) -> Iterator[None]:
    """A gateway with so much to do that a connection may end before it is used."""
    stop = threading.Event()

    def keep_busy() -> None:
        while not stop.is_set():
            gateway.batch(["/none"] * 1000)

    thread = threading.Thread(target=keep_busy)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    "behaviour", [Peer.reset, lambda peer: None, greet], ids=["RST", "FIN", "greeting"]
)
def test_a_connection_that_ends_before_its_request(
    gateway: Gateway, scripted: StartScripted, behaviour: Behaviour
) -> None:
    """Its place among `max_connections` must be free again, or the upstream is never asked again."""
    upstream = scripted(behaviour)
    path = gateway.route(upstream, max_connections=4, timeout=SHORT) + "/x"

    for _ in range(8):
        replies = gateway.replies([path] * 30)
        assert {reply["status"] for reply in replies} == {502}, "nor has any waited for a place in vain"
    upstream.behaviour = each(echo)
    assert [reply["status"] for reply in gateway.replies([path] * 30)] == [200] * 30


# --- answers before the request is whole


def test_an_early_answer_to_an_item(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(early)
    item = {"path": gateway.route(upstream) + "/x", "method": "POST", "body": "x" * 250_000}

    replies = gateway.replies([item] * 4)

    assert [reply["status"] for reply in replies] == [413] * 4
    assert gateway.healthy()


def early(peer: Peer) -> None:
    """Answer once the head is there, read the rest, and go on with the next request."""
    while True:
        head = peer.read_head()
        peer.send(ok(b"no thanks", status="413 Too Large"))
        peer.exactly(int(head.header("content-length") or 0))
