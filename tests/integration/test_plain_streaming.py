"""Plain requests stream both ways, in constant memory, and a response that breaks off shows that."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import Gateway
from .nginx import BIG_BYTES, Nginx
from .scripted import PATIENCE_S, Gone, Peer, Received, Scripted, each, echo, ok
from .wire import Wire

MOST_KB = 40 * 1024
PIECE = b"x" * 65536


@contextmanager
def flat_memory(gateway: Gateway) -> Iterator[None]:
    """The gateway's memory grows by no more than MOST_KB at any moment in here."""
    before, peak, stop = gateway.resident_kb(), [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.02):
            peak[0] = max(peak[0], gateway.resident_kb())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert peak[0] - before < MOST_KB


@pytest.fixture
def own_gateway(start_gateway: StartGateway) -> Gateway:
    """Its memory is not full of what other tests have left."""
    return start_gateway()


def count_body(peer: Peer) -> None:
    """Answers with the number of bytes of each request's body, without keeping them."""
    while True:
        request = peer.read_head()
        length = request.header("content-length")
        if length is None:
            assert request.header("transfer-encoding") == "chunked"
            size = sum(len(piece) for piece in peer.chunks())
        else:
            size = int(length)
            for _ in range(size // len(PIECE)):
                peer.exactly(len(PIECE))
            peer.exactly(size % len(PIECE))
        peer.send(ok(str(size).encode()))


# --- large bodies


@pytest.mark.timeout(180)  # it is work for some seconds of a whole core
def test_a_large_download(own_gateway: Gateway, nginx: Nginx) -> None:
    path = own_gateway.route(nginx) + "/files/big.bin"

    with flat_memory(own_gateway), Wire(own_gateway.data) as wire:
        wire.get(path)
        assert wire.head().header("content-length") == str(BIG_BYTES)
        assert count(wire) == BIG_BYTES


def count(wire: Wire) -> int:
    """The bytes that come until there are as many as BIG_BYTES, or no more."""
    size = 0
    while size < BIG_BYTES and (data := wire.receive()):
        size += len(data)
    return size


@pytest.mark.timeout(180)
def test_a_large_upload(own_gateway: Gateway, scripted: StartScripted) -> None:
    path = own_gateway.route(scripted(count_body)) + "/x"

    with flat_memory(own_gateway), Wire(own_gateway.data) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {BIG_BYTES}\r\n\r\n".encode())
        for _ in range(BIG_BYTES // len(PIECE)):
            wire.send(PIECE)
        assert wire.answer().body == str(BIG_BYTES).encode()


def test_a_large_chunked_upload(own_gateway: Gateway, scripted: StartScripted) -> None:
    path = own_gateway.route(scripted(count_body)) + "/x"

    with flat_memory(own_gateway), Wire(own_gateway.data) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(100 * 16):
            wire.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
        wire.send(b"0\r\n\r\n")
        assert wire.answer().body == str(100 * 16 * len(PIECE)).encode()


def test_a_slow_reader_holds_the_upstream_back(own_gateway: Gateway, scripted: StartScripted) -> None:
    sent = [0]

    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {BIG_BYTES}\r\n\r\n".encode())
        while sent[0] < BIG_BYTES:
            peer.send(PIECE)
            sent[0] += len(PIECE)

    # The read timeout is short: it must not run while it is the client who is slow.
    timeout = {"connect": 10, "send": 10, "read": 2}
    path = own_gateway.route(scripted(serve), timeout=timeout) + "/x"

    with flat_memory(own_gateway), Wire(own_gateway.data, receive_buffer=65536) as wire:
        wire.get(path)
        wire.head()
        time.sleep(2.5)
        assert sent[0] < 30 * 2**20
        wire.exactly(60 * 2**20)


def test_a_slow_upstream_holds_the_client_back(own_gateway: Gateway, scripted: StartScripted) -> None:
    release = threading.Event()

    def serve(peer: Peer) -> None:
        head = peer.read_head()
        release.wait(PATIENCE_S)
        peer.exactly(int(head.header("content-length") or 0))
        peer.send(ok())

    path = own_gateway.route(scripted(serve)) + "/x"
    size = 60 * 2**20

    with flat_memory(own_gateway), Wire(own_gateway.data, timeout_s=0.5) as wire:
        wire.send(f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        body = memoryview(bytes(size))
        at = send_some(wire, body)
        assert at < 30 * 2**20
        release.set()
        wire.socket.settimeout(PATIENCE_S)
        wire.send(body[at:].tobytes())
        assert wire.answer().status == 200


def send_some(wire: Wire, body: memoryview) -> int:
    """How much of the body the other side takes before it takes no more."""
    at = 0
    with contextlib.suppress(TimeoutError):
        while at < len(body):
            at += wire.socket.send(body[at : at + 65536])
    return at


# --- pieces


def test_pieces_are_passed_on_as_they_come(gateway: Gateway, scripted: StartScripted) -> None:
    step = threading.Semaphore(0)

    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        for piece in (b"two", b"six"):
            assert step.acquire(timeout=PATIENCE_S)
            peer.send(b"3\r\n%b\r\n" % piece)
        peer.send(b"0\r\n\r\n")

    path = gateway.route(scripted(serve)) + "/x"
    with Wire(gateway.data) as wire:
        wire.get(path)
        assert wire.head().header("transfer-encoding") == "chunked"
        for piece in (b"one", b"two", b"six"):
            assert wire.until(piece + b"\r\n") == b"3\r\n" + piece + b"\r\n"
            step.release()
        assert wire.until(b"\r\n\r\n") == b"0\r\n\r\n"


def test_an_upload_is_passed_on_as_it_comes(gateway: Gateway, scripted: StartScripted) -> None:
    got = threading.Semaphore(0)

    def serve(peer: Peer) -> None:
        peer.read_head()
        for _ in peer.chunks():
            got.release()
        peer.send(ok())

    path = gateway.route(scripted(serve)) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for piece in (b"one", b"two"):
            wire.send(b"3\r\n%b\r\n" % piece)
            assert got.acquire(timeout=PATIENCE_S)
        wire.send(b"0\r\n\r\n")
        assert wire.answer().status == 200


def test_expect_continue_of_a_plain_request(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"

    with Wire(gateway.data) as wire:
        wire.send(f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n".encode())
        wire.send(b"Expect: 100-continue\r\n\r\n")
        assert wire.head().status == 100
        wire.send(b"abc")
        assert wire.answer().status == 200

    assert upstream.requests[0].body == b"abc"
    assert upstream.requests[0].header("expect") is None


# --- answers before the request is whole


def test_an_early_answer_ends_the_upload(gateway: Gateway, scripted: StartScripted) -> None:
    def serve(peer: Peer) -> None:
        peer.read_head()
        peer.exactly(100_000)
        peer.send(ok(b"no thanks", "Connection: close", status="413 Too Large"))
        try:
            peer.stall()
        except Gone:
            return

    upstream = scripted(serve)
    path = gateway.route(upstream) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n".encode())
        wire.send(bytes(200_000))
        answer = wire.answer()

    assert (answer.status, answer.body) == (413, b"no thanks")
    upstream.wait(lambda upstream: upstream.open == 0)


def test_nginx_answers_early(gateway: Gateway, nginx: Nginx) -> None:
    """`return` answers before the body is there; the next request on the connection is answered too."""
    path = gateway.route(nginx) + "/status/500"
    with Wire(gateway.data) as wire:
        for _ in range(3):
            wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n".encode())
            wire.send(bytes(1_000_000))
            assert wire.answer().status == 500


def test_an_answer_that_streams_while_the_upload_does(gateway: Gateway, scripted: StartScripted) -> None:
    """Each chunk is answered by a chunk: an echo that waits for no end."""

    def serve(peer: Peer) -> None:
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in peer.chunks():
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        peer.send(b"0\r\n\r\n")

    path = gateway.route(scripted(serve)) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        assert wire.head().status == 200
        for piece in (b"one", b"two", b"six"):
            wire.send(b"3\r\n" + piece + b"\r\n")
            assert wire.until(piece + b"\r\n") == b"3\r\n" + piece + b"\r\n"
        wire.send(b"0\r\n\r\n")
        assert wire.until(b"\r\n\r\n") == b"0\r\n\r\n"


def test_an_unread_body_does_not_become_a_request(gateway: Gateway) -> None:
    """Of a request that is answered at once: here for want of a route."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" * 1000

    with Wire(gateway.data) as wire:
        wire.send(b"POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(smuggled))
        assert wire.answer().status == 404
        wire.send(smuggled)
        wire.send(b"POST /apisix/batch-requests HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        answer = wire.answer()

    assert answer.status == 400
    assert "pipeline" in answer.json()["error_msg"]


def test_a_status_beyond_http_frees_its_connection(gateway: Gateway, scripted: StartScripted) -> None:
    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 600 Odd\r\nContent-Length: 1000000\r\n\r\nhalf")
        peer.stall()

    upstream: Scripted = scripted(serve)
    path = gateway.route(upstream) + "/x"

    assert gateway.fetch(path).status == 502
    upstream.wait(lambda upstream: upstream.open == 0)


def test_a_client_of_http_1_0(gateway: Gateway, scripted: StartScripted) -> None:
    """It knows no chunks. RFC 9112, section 6.1."""

    def answer(_: Received) -> bytes:
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def serve(peer: Peer) -> None:
        peer.send(answer(peer.read()))
        time.sleep(0.05)
        peer.send(b"4\r\nbody\r\n")
        time.sleep(0.05)
        peer.send(b"0\r\n\r\n")

    path = gateway.route(scripted(serve)) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer_head = wire.head()
        body = wire.to_end()

    assert answer_head.header("transfer-encoding") is None
    assert body == b"body"
