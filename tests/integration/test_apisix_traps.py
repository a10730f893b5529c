"""The eleven faults of APISIX that batchway must not have. Source: shared/dialects.md, section 0.1."""

import json
import threading
import time

import pytest

from .conftest import StartGateway, StartNginx, StartScripted
from .gateway import BATCH, Document, Gateway
from .nginx import Nginx
from .scripted import PATIENCE_S, Peer, Received, each, echo, ok
from .waiting import in_time
from .wire import Wire


def named(request: Received) -> str:
    return request.target.rpartition("/")[2]


def test_1_a_late_answer_is_nobody_elses(gateway: Gateway, scripted: StartScripted) -> None:
    released = threading.Event()

    def answer(request: Received) -> bytes:
        if named(request) == "ZERO":
            released.wait(PATIENCE_S)
        return ok(named(request).encode())

    prefix = gateway.route(scripted(each(answer)))
    items = [{"path": f"{prefix}/{name}"} for name in ("ZERO", "ONE", "TWO", "THREE")]

    zero, *others = in_time(
        lambda timeout_ms: gateway.replies({"timeout": timeout_ms, "pipeline": items}),
        lambda replies: [reply["status"] for reply in replies] == [504, 200, 200, 200],
    )
    released.set()
    again = gateway.replies(items)

    assert [reply["body"] for reply in again] == ["ZERO", "ONE", "TWO", "THREE"]
    assert zero == {"status": 504, "reason": "upstream timeout"}
    assert [reply["body"] for reply in others] == ["ONE", "TWO", "THREE"]


FRAMING = {
    "Content-Length": "3",
    "Transfer-Encoding": "chunked",
    "Connection": "close, X-Other",
    "Keep-Alive": "timeout=1",
    "TE": "trailers",
    "Trailer": "X",
    "Upgrade": "websocket",
    "Expect": "100-continue",
    "Proxy-Connection": "close",
    "Proxy-Authorization": "Basic x",
    "Proxy-Anything": "x",
}


@pytest.mark.parametrize("where", ["item", "batch"])
def test_2_an_item_does_not_decide_its_framing(
    gateway: Gateway, scripted: StartScripted, where: str
) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    body = "abcdef\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    item: Document = {"method": "POST", "path": path, "body": body}
    batch: Document = {"pipeline": [item, {"path": path}]}
    (batch if where == "batch" else item)["headers"] = FRAMING

    replies = gateway.replies(batch)

    assert [reply["status"] for reply in replies] == [200, 200]
    assert len(upstream.requests) == 2
    posted = next(request for request in upstream.requests if request.method == "POST")
    assert posted.body.decode() == body
    assert posted.header("content-length") == str(len(body))
    for request in upstream.requests:
        for name in FRAMING.keys() - {"Content-Length"}:
            assert request.header(name) is None
    got = next(request for request in upstream.requests if request.method == "GET")
    assert got.header("content-length") is None


def test_2_every_spelling_of_a_framing_header(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    for name in ("content-length", "CONTENT-LENGTH", "transfer-encoding", "Transfer-ENCODING"):
        gateway.reply({"method": "POST", "path": path, "body": "abc", "headers": {name: ["1", "2"]}})

    for request in upstream.requests:
        assert request.all("content-length") == ["3"]
        assert request.all("transfer-encoding") == []


@pytest.mark.parametrize(
    "header", ["Connection: close", "Expect: 100-continue", "Connection: X-Keep, close"]
)
def test_3_outer_hop_by_hop_headers_stay_outside(
    gateway: Gateway, scripted: StartScripted, header: str
) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    body = json.dumps({"pipeline": [{"method": "POST", "path": path, "body": "abc"}] * 5}).encode()

    with Wire(gateway.data) as wire:
        head = f"POST {BATCH} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n{header}\r\n\r\n"
        wire.send(head.encode())
        if "Expect" in header:
            assert wire.head().status == 100
        wire.send(body)
        replies = wire.answer().json()

    assert [reply["status"] for reply in replies] == [200] * 5
    for request in upstream.requests:
        assert request.body == b"abc"
        assert request.header(header.partition(":")[0]) is None


def test_3_an_outer_chunked_body(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    body = json.dumps({"pipeline": [{"method": "POST", "path": path, "body": "abc"}] * 5}).encode()

    with Wire(gateway.data) as wire:
        wire.send(f"POST {BATCH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for at in range(0, len(body), 7):
            piece = body[at : at + 7]
            wire.send(b"%x;ext=1\r\n%b\r\n" % (len(piece), piece))
        wire.send(b"0\r\n\r\n")
        replies = wire.answer().json()

    assert [reply["status"] for reply in replies] == [200] * 5
    assert all(request.header("transfer-encoding") is None for request in upstream.requests)


def test_4_large_bodies_both_ways_do_not_lock(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gateway = start_gateway()
    gateway.put(
        "plugin_metadata",
        "batch-requests",
        {"max_body_size": 16 * 2**20, "max_response_size": 256 * 2**20},
    )
    large = ok(b"y" * 2_000_000)
    prefix = gateway.route(scripted(each(lambda request: large)))
    items = [{"method": "POST", "path": f"{prefix}/{n}", "body": "x" * 200_000} for n in range(50)]

    replies = gateway.replies({"pipeline": items, "timeout": 60_000})

    assert [(reply["status"], len(reply["body"])) for reply in replies] == [(200, 2_000_000)] * 50


def test_5_a_refused_batch_has_sent_nothing(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    good: list[Document] = [{"path": path}] * 5

    answer = gateway.batch({"pipeline": [*good, {"path": path + "/\r\n"}, *good]})

    assert answer.status == 400
    assert "item 6" in answer.json()["error_msg"]
    assert upstream.requests == []
    assert upstream.accepted == 0


def test_6_more_items_than_a_connection_may_serve(gateway: Gateway, start_nginx: StartNginx) -> None:
    nginx = start_nginx(keepalive_requests=5)
    prefix = gateway.route(nginx, max_connections=2)

    replies = gateway.replies([f"{prefix}/{n}" for n in range(1000)])

    assert [reply["body"] for reply in replies] == [f"GET {prefix}/{n}" for n in range(1000)]


@pytest.mark.parametrize("item", [{"version": 1.0}, {"headers": {"Connection": "close"}}])
def test_6_an_item_does_not_end_the_connection_of_others(
    gateway: Gateway, nginx: Nginx, item: Document
) -> None:
    path = gateway.route(nginx, max_connections=1) + "/x"

    replies = gateway.replies({"pipeline": [{"path": path} | item, *[{"path": path}] * 5]})

    assert [reply["status"] for reply in replies] == [200] * 6


def test_7_a_binary_body_is_valid_json(gateway: Gateway, nginx: Nginx) -> None:
    answer = gateway.batch([gateway.route(nginx) + "/files/bytes.bin"])

    (reply,) = json.loads(answer.body.decode())
    assert reply["body_encoding"] == "base64"


def test_7_the_clients_accept_encoding_is_not_the_items(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/gzip/hello.txt"

    answer = gateway.batch([path], {"Accept-Encoding": "identity;q=1, gzip;q=0"})

    assert answer.json()[0]["body"].startswith("hello, world")


def test_8_the_timeout_is_for_the_whole_batch(gateway: Gateway, scripted: StartScripted) -> None:
    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(ok())
        peer.stall()

    prefix = gateway.route(scripted(serve), max_connections=1)
    items = [{"path": f"{prefix}/{n}"} for n in range(20)]
    expected = [200] + [504] * 19

    def statuses(timeout_ms: int) -> list[int]:
        started = time.monotonic()
        replies = gateway.replies({"timeout": timeout_ms, "pipeline": items})
        assert time.monotonic() - started < timeout_ms / 1000 * 15  # were it for each item, 19 times
        return [reply["status"] for reply in replies]

    assert in_time(statuses, expected.__eq__) == expected


def test_8_items_end_with_the_client(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    body = json.dumps({"pipeline": [{"path": gateway.route(upstream) + "/x"}] * 3}).encode()

    with Wire(gateway.data) as wire:
        wire.send(f"POST {BATCH} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode(), body)
        upstream.wait_requests(3)

    upstream.wait(lambda upstream: upstream.open == 0)


def test_9_batches_do_not_nest(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/x"
    inner = json.dumps({"pipeline": [{"path": path}] * 100})
    nested = {"method": "POST", "path": BATCH, "body": inner}

    before, refused, after = gateway.replies([path, nested, path])

    assert (before["status"], after["status"]) == (200, 200)
    assert refused["status"] == 400
    assert "batch" in json.loads(refused["body"])["error_msg"]


def test_9_replies_have_a_cap(gateway: Gateway, scripted: StartScripted) -> None:
    def endless(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            peer.send(b"x" * 65536)

    upstream = scripted(endless)
    path = gateway.route(upstream) + "/x"
    before_kb = gateway.resident_kb()

    replies = gateway.replies([path] * 10)

    assert [reply["status"] for reply in replies] == [502] * 10
    assert "max_reply_size" in replies[0]["body"] or "max_response_size" in replies[0]["body"]
    assert gateway.resident_kb() - before_kb < 150_000
    upstream.wait(lambda upstream: upstream.open == 0)


@pytest.mark.parametrize("timeout", [1_000_000_000_000, 1e300])
def test_10_a_huge_timeout(gateway: Gateway, nginx: Nginx, timeout: float) -> None:
    batch = {"timeout": timeout, "pipeline": [{"path": gateway.route(nginx) + "/x"}]}

    assert gateway.replies(batch)[0]["status"] == 200


def test_10_null_in_query_and_headers(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    nothing = {"n": None}
    path = gateway.route(upstream) + "/x"

    assert gateway.replies({"query": nothing, "headers": nothing, "pipeline": [{"path": path}]})
    assert gateway.reply({"path": path, "query": nothing, "headers": nothing})["status"] == 200
    for request in upstream.requests:
        assert request.target == path
        assert b"NULL" not in request.head
        assert request.header("n") is None


def test_11_a_closed_connection_is_no_timeout(gateway: Gateway, scripted: StartScripted) -> None:
    prefix = gateway.route(scripted(lambda peer: peer.read()))
    started = time.monotonic()

    reply = gateway.reply(prefix + "/x")

    assert reply["status"] == 502
    assert reply["reason"] == "Bad Gateway"
    assert time.monotonic() - started < 15  # the timeout is 30 s
