"""A client that leaves takes its items with it, and leaves nothing behind."""

import json
import time

import pytest

from .conftest import StartScripted
from .gateway import BATCH, Document, Gateway
from .scripted import Peer, each, ok
from .waiting import wait
from .wire import Wire


def head(body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"POST {BATCH} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode()


def stall(peer: Peer) -> None:
    peer.read()
    peer.stall()


def mid_body(peer: Peer) -> None:
    peer.read()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
    peer.stall()


@pytest.mark.parametrize("behaviour", [stall, mid_body])
@pytest.mark.parametrize("reset", [False, True])
def test_running_items_are_cancelled(
    gateway: Gateway, scripted: StartScripted, behaviour: object, reset: bool
) -> None:
    upstream = scripted(behaviour)
    item = {"path": gateway.route(upstream) + "/x"}
    body = json.dumps({"pipeline": [item] * 20}).encode()

    with Wire(gateway.data) as wire:
        wire.send(head(body), body)
        upstream.wait_requests(20)
        if reset:
            Peer.reset(wire)  # type: ignore[arg-type] # it too has a socket

    upstream.wait(lambda upstream: upstream.open == 0)  # long before the batch's time is up
    assert gateway.healthy()


def test_items_that_wait_for_a_turn_are_never_sent(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(stall)
    path = gateway.route(upstream, max_connections=2) + "/x"
    body = json.dumps({"pipeline": [{"path": path}] * 50}).encode()

    with Wire(gateway.data) as wire:
        wire.send(head(body), body)
        upstream.wait_requests(2)

    upstream.wait(lambda upstream: upstream.open == 0)
    upstream.behaviour = each(lambda _: ok())
    assert gateway.reply(path)["status"] == 200
    assert len(upstream.requests) == 3


def test_slots_of_cancelled_items_are_free_again(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(stall)
    path = gateway.route(upstream, max_connections=4) + "/x"
    body = json.dumps({"pipeline": [{"path": path}] * 10}).encode()
    files = gateway.open_files()

    for turn in range(10):
        with Wire(gateway.data) as wire:
            wire.send(head(body), body)
            upstream.wait_requests(4 * (turn + 1))
    upstream.wait(lambda upstream: upstream.open == 0)
    upstream.behaviour = each(lambda _: ok())

    assert [reply["status"] for reply in gateway.replies([path] * 8)] == [200] * 8
    wait(lambda: gateway.open_files() <= files + 5, "few files open")


def test_a_client_that_leaves_before_its_batch_is_whole(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(lambda _: ok()))
    body = json.dumps({"pipeline": [{"path": gateway.route(upstream) + "/x"}]}).encode()

    for cut in (0, 1, len(body) - 1):
        with Wire(gateway.data) as wire:
            wire.send(head(body), body[:cut])
    with Wire(gateway.data) as wire:
        wire.send(head(body)[:30])

    assert gateway.healthy()
    assert upstream.accepted == 0


def test_pipelined_batches_are_answered_in_order(gateway: Gateway, scripted: StartScripted) -> None:
    def answer(request: object) -> bytes:
        target: str = request.target  # type: ignore[attr-defined] # a Received
        time.sleep(0.2 if target.endswith("/0") else 0)
        return ok(target.encode())

    prefix = gateway.route(scripted(each(answer)))
    bodies = [_batch_of(f"{prefix}/{number}") for number in range(3)]

    with Wire(gateway.data) as wire:
        wire.send(*(head(body) + body for body in bodies))
        answers = [wire.answer().json() for _ in bodies]

    assert [answer[0]["body"] for answer in answers] == [f"{prefix}/{number}" for number in range(3)]


def _batch_of(path: str) -> bytes:
    document: Document = {"pipeline": [{"path": path}]}
    return json.dumps(document).encode()
