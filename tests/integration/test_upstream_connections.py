"""Connections to upstreams: kept and reused, never trusted when stale, bounded, shared out in turns."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import StartGateway, StartNginx, StartScripted
from .gateway import TRACEBACK, Gateway
from .nginx import Nginx
from .scripted import Gate, Peer, Received, each, ok, slowly, together


def target(request: Received) -> bytes:
    return ok(request.target.encode())


# --- kept


def test_connections_are_reused(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(target))
    prefix = gateway.route(upstream)

    for number in range(20):
        assert gateway.fetch(f"{prefix}/{number}").status == 200
        assert gateway.reply(f"{prefix}/{number}")["status"] == 200

    assert upstream.accepted == 1


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_connection_is_reused_after_an_answer_without_a_body(
    gateway: Gateway, nginx: Nginx, method: str
) -> None:
    prefix = gateway.route(nginx, max_connections=1)
    paths = {"HEAD": ["/x"], "GET": ["/status/204", "/status/304", "/x"]}[method]
    items = [{"path": prefix + path, "method": method} for path in paths * 10]

    replies = gateway.replies(items)

    assert len({reply["headers"]["X-Connection"] for reply in replies}) == 1


def test_requests_of_one_connection_are_counted(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(target))
    prefix = gateway.route(upstream, max_connections=1, keepalive_pool={"requests": 7})

    replies = gateway.replies([f"{prefix}/{number}" for number in range(35)])

    assert [reply["status"] for reply in replies] == [200] * 35
    assert upstream.accepted == 5


def test_only_so_many_idle_connections_are_kept(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(together(20))
    prefix = gateway.route(upstream, keepalive_pool={"size": 3})

    gateway.replies([prefix + "/x"] * 20)

    assert upstream.most == 20
    upstream.wait(lambda upstream: upstream.open == 3)


def test_the_worker_says_what_the_upstream_does_not(
    start_gateway: StartGateway, scripted: StartScripted
) -> None:
    limits = {"upstream_keepalive": 3, "upstream_idle_timeout_s": 2.5}
    gateway = start_gateway({"batchway": {"limits": limits}})
    upstream = scripted(together(20))
    prefix = gateway.route(upstream)

    gateway.replies([prefix + "/x"] * 20)

    assert upstream.most == 20
    upstream.wait(lambda upstream: upstream.open == 3)
    upstream.wait(lambda upstream: upstream.open == 0)


def test_idle_connections_are_closed_in_time(gateway: Gateway, scripted: StartScripted) -> None:
    kept_s: list[float] = []

    def serve(peer: Peer) -> None:
        answered = time.monotonic()
        try:
            while True:
                request = peer.read()
                answered = time.monotonic()
                peer.send(target(request))
        finally:
            kept_s.append(time.monotonic() - answered)

    upstream = scripted(serve)
    prefix = gateway.route(upstream, keepalive_pool={"idle_timeout": 0.5})

    gateway.replies([prefix + "/x"] * 5)
    upstream.wait(lambda upstream: upstream.open == 0)
    assert min(kept_s) > 0.49
    assert gateway.reply(prefix + "/x")["status"] == 200


def test_idle_connections_may_not_be_kept_at_all(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(target))
    prefix = gateway.route(upstream, keepalive_pool={"idle_timeout": 0})
    log = gateway.log()

    for _ in range(5):
        assert [reply["status"] for reply in gateway.replies([prefix + "/x"] * 100)] == [200] * 100
    upstream.wait(lambda upstream: upstream.open == 0)
    assert TRACEBACK not in gateway.log().removeprefix(log)


def test_timeouts_beside_answers_are_timeouts(gateway: Gateway, scripted: StartScripted) -> None:
    """Many times run out while others begin."""

    def serve(peer: Peer) -> None:
        while True:
            request = peer.read()
            if request.target.endswith("/stall"):
                peer.stall()
            peer.send(ok())

    timeout = {"connect": 5, "send": 5, "read": 0.02}
    prefix = gateway.route(scripted(serve), timeout=timeout)
    statuses: set[int] = set()

    def run() -> None:
        for _ in range(50):
            replies = gateway.replies([f"{prefix}/stall", f"{prefix}/x"] * 6)
            statuses.update(reply["status"] for reply in replies)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == {200, 504}


def test_connection_close_is_obeyed(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(lambda _: ok(b"", "Connection: close")))
    prefix = gateway.route(upstream, max_connections=2)

    replies = gateway.replies([{"path": prefix + "/x", "method": "POST"}] * 10)

    assert [reply["status"] for reply in replies] == [200] * 10
    assert upstream.accepted == 10


# --- stale


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_was_restarted(gateway: Gateway, scripted: StartScripted, method: str) -> None:
    upstream = scripted(together(20))
    prefix = gateway.route(upstream)
    items = [{"path": f"{prefix}/{number}", "method": method} for number in range(20)]
    gateway.replies(items)
    assert upstream.open == 20

    for _ in range(3):
        upstream.restart()
        assert [reply["status"] for reply in gateway.replies(items)] == [200] * 20
    assert len(upstream.requests) == 80


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nginx_that_was_restarted(gateway: Gateway, start_nginx: StartNginx, method: str) -> None:
    nginx = start_nginx()
    prefix = gateway.route(nginx)
    items = [{"path": f"{prefix}/{number}", "method": method} for number in range(50)]
    gateway.replies(items)

    for _ in range(3):
        nginx.restart()
        assert [reply["status"] for reply in gateway.replies(items)] == [200] * 50


def test_nginx_that_closes_idle_connections_early(gateway: Gateway, start_nginx: StartNginx) -> None:
    prefix = gateway.route(start_nginx(server="keepalive_timeout 100ms;"))

    for number in range(12):
        time.sleep(0.09 + number / 500)
        assert gateway.reply({"path": prefix + "/x", "method": "GET"})["status"] == 200


def test_a_get_on_a_connection_that_closes_unseen_is_sent_again(
    gateway: Gateway, scripted: StartScripted
) -> None:
    """The upstream closes when it has the second request of a connection."""

    def serve(peer: Peer) -> None:
        peer.send(target(peer.read()))
        peer.read()

    upstream = scripted(serve)
    prefix = gateway.route(upstream, max_connections=1)

    assert gateway.reply(prefix + "/1")["status"] == 200
    assert gateway.reply(prefix + "/2")["status"] == 200
    assert [request.target[-2:] for request in upstream.requests] == ["/1", "/2", "/2"]
    post = gateway.reply({"path": prefix + "/3", "method": "POST", "body": "b"})
    assert post["status"] == 502  # it may have run
    assert len(upstream.requests) == 4


# --- bounded


def test_no_more_connections_than_allowed(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(slowly(0.005))
    prefix = gateway.route(upstream, max_connections=4)
    threads = [threading.Thread(target=gateway.replies, args=[[prefix + "/x"] * 50]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        gateway.fetch(prefix + "/x")
    for thread in threads:
        thread.join()

    assert upstream.most == 4
    assert len(upstream.requests) == 260


def test_no_more_items_at_once_than_allowed(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(slowly(0.02))
    prefix = gateway.route(upstream)
    gateway.put("plugin_metadata", "batch-requests", {"concurrency": 7})
    try:
        gateway.replies([prefix + "/x"] * 50)
    finally:
        gateway.delete("plugin_metadata", "batch-requests")

    assert upstream.most == 7


def test_a_wait_for_a_connection_ends(gateway: Gateway, scripted: StartScripted) -> None:
    gate = Gate()
    upstream = scripted(gate)
    timeout = {"connect": 1, "send": 25, "read": 25}
    prefix = gateway.route(upstream, max_connections=1, timeout=timeout)
    with ThreadPoolExecutor(1) as aside:
        first = aside.submit(gateway.fetch, prefix + "/x")
        try:
            upstream.wait_requests()
            replies = gateway.replies([prefix + "/x"] * 4)
            assert len(upstream.requests) == 1
        finally:
            gate.open()

    assert [reply["status"] for reply in replies] == [504] * 4
    assert first.result().status == 200
    assert gateway.reply(prefix + "/x")["status"] == 200


def test_a_small_batch_is_not_starved_by_a_large_one(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(slowly(0.01))
    prefix = gateway.route(upstream, max_connections=4)
    large = threading.Thread(target=gateway.replies, args=[[prefix + "/large"] * 500])
    large.start()
    try:
        upstream.wait_requests(20)
        for _ in range(5):
            assert gateway.reply(prefix + "/small")["status"] == 200
        served = len(upstream.requests)
    finally:
        large.join()

    assert served < 400, "most of the large one came before it"
    assert len(upstream.requests) == 505


def test_a_plain_request_is_not_starved_by_a_large_batch(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(slowly(0.01))
    prefix = gateway.route(upstream, max_connections=4)
    large = threading.Thread(target=gateway.replies, args=[[prefix + "/large"] * 300])
    large.start()
    try:
        upstream.wait_requests(20)
        assert gateway.fetch(prefix + "/small").status == 200
        served = len(upstream.requests)
    finally:
        large.join()

    assert served < 240, "most of the batch came before it"


def test_one_upstream_does_not_hold_up_another(gateway: Gateway, scripted: StartScripted) -> None:
    gate = Gate()
    stalled, healthy = scripted(gate), scripted(each(target))
    slow, fast = gateway.route(stalled, max_connections=1), gateway.route(healthy)
    paths = [f"{slow}/x"] * 50 + [f"{fast}/x"] * 50
    with ThreadPoolExecutor(1) as aside:
        replies = aside.submit(gateway.replies, paths)
        try:
            healthy.wait_requests(50)
            stalled.wait_requests()
            assert len(stalled.requests) == 1
        finally:
            gate.open()

    assert [reply["status"] for reply in replies.result()] == [200] * 100
