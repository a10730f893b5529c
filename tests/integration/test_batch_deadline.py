"""The time of a batch: what is there at the deadline is returned, the rest is 504, nothing comes late."""

import http.client
import json
import threading
import time
from contextlib import closing

import pytest

from .conftest import StartScripted
from .gateway import BATCH, Document, Gateway
from .scripted import PATIENCE_S, Peer, Received, each, ok
from .waiting import in_time

LATE = {"status": 504, "reason": "upstream timeout"}


def stalling(peer: Peer) -> None:
    """Answers all but what ends in `stall`."""
    while True:
        request = peer.read()
        if request.target.endswith("/stall"):
            peer.stall()
        peer.send(ok(request.target.encode()))


def test_finished_replies_are_returned_close_to_the_timeout(
    gateway: Gateway, scripted: StartScripted
) -> None:
    upstream = scripted(stalling)
    prefix = gateway.route(upstream)
    paths = [f"{prefix}/{'stall' if number % 3 == 0 else number}" for number in range(30)]
    stalling_ones = paths[::3]
    asked = 0

    def ask(timeout_ms: int) -> list[Document]:
        nonlocal asked
        asked += 1
        started = time.monotonic()
        batch = {"timeout": timeout_ms, "pipeline": [{"path": path} for path in paths]}
        replies = gateway.replies(batch)
        late_s = time.monotonic() - started - timeout_ms / 1000
        assert -0.1 <= late_s < 13  # by default it would be 30 s
        return replies

    replies = in_time(ask, lambda replies: replies.count(LATE) == len(stalling_ones))

    for path, reply in zip(paths, replies, strict=True):
        assert (reply == LATE) if path in stalling_ones else (reply["body"] == path)
    # Those that stall are closed. Of the others, one that was answered early may have served two.
    closed = asked * len(stalling_ones)
    upstream.wait(lambda upstream: upstream.open <= upstream.accepted - closed)


def test_items_that_never_started_are_504_too(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(stalling)
    prefix = gateway.route(upstream, max_connections=2)

    replies = gateway.replies({"timeout": 200, "pipeline": [{"path": f"{prefix}/stall"}] * 300})

    assert replies == [LATE] * 300
    assert len(upstream.requests) <= 2


def test_an_upstream_that_stalls_mid_body(gateway: Gateway, scripted: StartScripted) -> None:
    def stall(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.stall()

    upstream = scripted(stall)
    path = gateway.route(upstream) + "/x"

    assert gateway.replies({"timeout": 200, "pipeline": [{"path": path}] * 2}) == [LATE, LATE]
    upstream.wait(lambda upstream: upstream.open == 0)


def test_an_upstream_that_does_not_read(gateway: Gateway, scripted: StartScripted) -> None:
    release = threading.Event()
    upstream = scripted(lambda peer: release.wait(PATIENCE_S))
    item = {"path": gateway.route(upstream) + "/x", "method": "POST", "body": "x" * 900_000}
    started = time.monotonic()
    try:
        assert gateway.replies({"timeout": 200, "pipeline": [item]}) == [LATE]
        assert time.monotonic() - started < 15  # by default it would be 30
    finally:
        release.set()


def test_a_late_answer_is_in_no_later_batch(gateway: Gateway, scripted: StartScripted) -> None:
    """On the client's same connection, while the late answers come in."""

    over = [threading.Event() for _ in range(8)]

    def answer(request: Received) -> bytes:
        kind, _, number = request.target.rpartition("/")[2].partition("-")
        if kind == "late":
            over[int(number[0])].wait(PATIENCE_S)
        return ok(f"{kind}-{number}".encode())

    prefix = gateway.route(scripted(each(answer)), max_connections=8)
    with closing(http.client.HTTPConnection(*gateway.data, timeout=30)) as connection:
        for turn in range(8):
            kind = "late" if turn % 2 == 0 else "fresh"
            names = [f"{kind}-{turn}{number}" for number in range(8)]
            items = [{"path": f"{prefix}/{name}"} for name in names]
            timeout = 100 if kind == "late" else 30_000
            connection.request("POST", BATCH, json.dumps({"timeout": timeout, "pipeline": items}))
            replies = json.loads(connection.getresponse().read())
            over[turn].set()
            if kind == "late":
                assert replies == [LATE] * 8
            else:
                assert [reply["body"] for reply in replies] == names


def test_the_default_and_the_most_come_from_the_metadata(gateway: Gateway, scripted: StartScripted) -> None:
    path = gateway.route(scripted(stalling)) + "/stall"

    def took_s(metadata: Document, **asked: int) -> float:
        gateway.put("plugin_metadata", "batch-requests", metadata)
        started = time.monotonic()
        assert gateway.replies({"pipeline": [{"path": path}]} | asked) == [LATE]
        return time.monotonic() - started

    try:
        by_default = took_s({"timeout": 200, "max_timeout": 25_000})
        by_cap = took_s({"timeout": 200, "max_timeout": 1500}, timeout=25_000)
    finally:
        gateway.delete("plugin_metadata", "batch-requests")

    assert 0.19 <= by_default < 15  # not the cap
    assert 1.4 <= by_cap < 15  # neither what was asked for nor what is the default


@pytest.mark.parametrize("timeout", [1, 1.0])
def test_the_shortest_timeout(gateway: Gateway, scripted: StartScripted, timeout: float) -> None:
    path = gateway.route(scripted(stalling)) + "/stall"

    assert gateway.replies({"timeout": timeout, "pipeline": [{"path": path}]}) == [LATE]


def test_errors_that_need_no_upstream_are_not_504(gateway: Gateway, scripted: StartScripted) -> None:
    path = gateway.route(scripted(stalling)) + "/stall"

    replies = gateway.replies({"timeout": 500, "pipeline": [{"path": p} for p in (path, "bad", "/none")]})

    assert [reply["status"] for reply in replies] == [504, 400, 404]
