"""Who leaves before the end, upstream or client: the other one hears of it, and nothing is left behind."""

import threading
import time

import pytest

from .conftest import StartScripted
from .gateway import Gateway
from .nginx import Nginx
from .scripted import PATIENCE_S, Peer
from .waiting import wait
from .wire import Answer, Broken, Wire

PIECE = b"x" * 65536


@pytest.mark.parametrize(
    ("head", "rest"),
    [
        (b"Content-Length: 100", b"half"),
        (b"Transfer-Encoding: chunked", b"4\r\nhalf\r\n"),
        (b"Transfer-Encoding: chunked", b"a\r\nhalf"),
    ],
)
def test_a_cut_off_body_is_cut_off_for_the_client(
    gateway: Gateway, scripted: StartScripted, head: bytes, rest: bytes
) -> None:
    begun = threading.Event()

    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + rest)
        begun.wait(PATIENCE_S)

    path = gateway.route(scripted(serve)) + "/x"
    with Wire(gateway.data) as wire:
        wire.get(path)
        answer = wire.head()
        begun.set()
        with pytest.raises(Broken):
            wire.body(answer)
        assert wire.is_closed()


def test_a_stalled_body_is_cut_off_for_the_client(gateway: Gateway, scripted: StartScripted) -> None:
    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        peer.stall()

    upstream = scripted(serve)
    path = gateway.route(upstream, timeout={"connect": 10, "send": 10, "read": 0.5}) + "/x"
    with Wire(gateway.data) as wire:
        answer = begun(wire, path)
        with pytest.raises(Broken):
            wire.body(answer)
    upstream.wait(lambda upstream: upstream.open == 0)


def begun(wire: Wire, path: str) -> Answer:
    """The head of an answer that the upstream begins in time, as it does if the machine is not too busy."""
    for _ in range(20):
        wire.get(path)
        answer = wire.head()
        if answer.status == 200:
            break
        wire.body(answer)
    return answer


def test_a_client_that_leaves_takes_the_download_along(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/files/big.bin"
    files = gateway.open_files()

    for _ in range(5):
        with Wire(gateway.data) as wire:
            wire.get(path)
            wire.exactly(100_000)

    wait_files(gateway, files)


@pytest.mark.parametrize("reading", [True, False], ids=["reading", "not reading"])
def test_a_client_that_leaves_mid_download(
    gateway: Gateway, scripted: StartScripted, reading: bool
) -> None:
    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            peer.send(b"10000\r\n" + PIECE + b"\r\n")

    upstream = scripted(serve)
    path = gateway.route(upstream) + "/x"
    with Wire(gateway.data, receive_buffer=65536) as wire:
        wire.get(path)
        if reading:
            wire.exactly(1_000_000)
        else:
            time.sleep(0.2)  # all buffers on the way are full by now

    upstream.wait(lambda upstream: upstream.open == 0)


def test_a_client_that_leaves_before_the_answer(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    path = gateway.route(upstream) + "/x"

    for body in (b"", b"abc"):
        with Wire(gateway.data) as wire:
            head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            wire.send(head.encode() + body)
            upstream.wait(lambda upstream: upstream.open == 1)
        upstream.wait(lambda upstream: upstream.open == 0)


@pytest.mark.parametrize("coded", [False, True], ids=["length", "chunked"])
def test_a_client_that_leaves_mid_upload(gateway: Gateway, scripted: StartScripted, coded: bool) -> None:
    """The upstream must see that the body is not whole."""
    whole = []

    def serve(peer: Peer) -> None:
        peer.read()
        whole.append(True)

    upstream = scripted(serve)
    path = gateway.route(upstream) + "/x"
    framing = "Transfer-Encoding: chunked" if coded else "Content-Length: 100"
    with Wire(gateway.data) as wire:
        wire.send(f"POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        wire.send(b"4\r\nhalf\r\n" if coded else b"half")
        upstream.wait(lambda upstream: upstream.open == 1)
        time.sleep(0.05)

    upstream.wait(lambda upstream: upstream.open == 0)
    assert whole == []


def wait_files(gateway: Gateway, count: int) -> None:
    """Return as soon as the gateway has no more than `count` descriptors open."""
    wait(lambda: gateway.open_files() <= count, f"{count} files open")
