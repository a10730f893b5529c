"""Which node is asked, as whom, for how long, and what happens when it does not answer."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import StartScripted
from .gateway import Document, Gateway, nodes
from .ports import free_port
from .scripted import PATIENCE_S, Gate, Peer, Scripted, each, echo, ok
from .waiting import wait
from .wire import Address

QUICK = {"connect": 0.3, "send": 0.3, "read": 0.3}


def saying(name: str) -> Scripted:
    return Scripted(each(lambda _: ok(name.encode())))


def refusing() -> Address:
    """An address that refuses connections."""
    return ("127.0.0.1", free_port())


def bodies(gateway: Gateway, prefix: str, count: int) -> list[str]:
    return [reply.get("body", "") for reply in gateway.replies([prefix + "/x"] * count)]


# --- turns


@pytest.mark.parametrize("as_list", [False, True])
def test_weights(gateway: Gateway, as_list: bool) -> None:
    with saying("a") as a, saying("b") as b, saying("c") as c:
        weights = [(a, 3), (b, 1), (c, 0)]
        if as_list:
            listed = [{"host": s.address[0], "port": s.address[1], "weight": w} for s, w in weights]
            prefix = gateway.route({"nodes": listed})
        else:
            prefix = gateway.route({"nodes": {f"127.0.0.1:{s.address[1]}": w for s, w in weights}})

        assert Counter(bodies(gateway, prefix, 400)) == {"a": 300, "b": 100}
        plain = [gateway.fetch(prefix + "/x").body for _ in range(8)]
        assert Counter(plain) == {b"a": 6, b"b": 2}
        assert c.accepted == 0


def test_turns_are_smooth(gateway: Gateway) -> None:
    with saying("a") as a, saying("b") as b:
        prefix = gateway.route({"nodes": {f"127.0.0.1:{a.address[1]}": 3, f"127.0.0.1:{b.address[1]}": 1}})

        order = b"".join(gateway.fetch(prefix + "/x").body for _ in range(8))

    assert b"aaaa" not in order
    assert b"bb" not in order


def test_new_node_of_least_conn_is_asked_first_while_the_others_are_busy(
    gateway: Gateway, scripted: StartScripted, unique: str
) -> None:
    """What is under way counts beyond a change of the nodes. Source: t/node/least_conn3.t of APISIX, 7."""
    gate = Gate()
    busy, fresh = [scripted(gate), scripted(gate)], scripted(each(lambda _: ok(b"fresh")))
    gateway.put("upstreams", unique, {"type": "least_conn", "nodes": nodes(*busy)})
    gateway.put("routes", unique, {"uri": f"/{unique}", "upstream_id": unique})
    with ThreadPoolExecutor(4) as pool:
        held = [pool.submit(gateway.fetch, f"/{unique}") for _ in range(4)]
        try:
            wait(lambda: [len(one.requests) for one in busy] == [2, 2], "two each")
            gateway.put("upstreams", unique, {"type": "least_conn", "nodes": nodes(*busy, fresh)})
            assert [gateway.fetch(f"/{unique}").body for _ in range(2)] == [b"fresh"] * 2
        finally:
            gate.open()
    assert [one.result().status for one in held] == [200] * 4


def test_an_upstream_resource_is_shared(gateway: Gateway, unique: str) -> None:
    with saying("a") as a, saying("b") as b:
        gateway.put("upstreams", unique, {"nodes": nodes(a, b)})
        for name in ("one", "two"):
            gateway.put("routes", f"{unique}-{name}", {"uri": f"/{unique}/{name}", "upstream_id": unique})

        order = [gateway.fetch(f"/{unique}/{name}").body for name in ("one", "two", "one", "two")]
        assert order in ([b"a", b"b"] * 2, [b"b", b"a"] * 2)

        gateway.put("upstreams", unique, {"nodes": nodes(b)})
        assert gateway.fetch(f"/{unique}/one").body == b"b"


# --- hosts


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "client.test"),
        ({"pass_host": "pass"}, "client.test"),
        ({"pass_host": "node"}, "{node}"),
        ({"pass_host": "rewrite", "upstream_host": "api.test:8080"}, "api.test:8080"),
    ],
)
def test_the_host_that_the_upstream_sees(
    gateway: Gateway, scripted: StartScripted, settings: Document, expected: str
) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream, **settings) + "/x"

    gateway.fetch(path, headers={"Host": "client.test"})
    gateway.reply(path, {"Host": "client.test"})

    for request in upstream.requests:
        assert request.all("host") == [expected.format(node=f"127.0.0.1:{upstream.address[1]}")]
        assert request.header("x-forwarded-host") == "client.test"


def test_a_node_without_a_port(gateway: Gateway) -> None:
    prefix = gateway.route({"nodes": {"127.0.0.99": 1}})

    assert gateway.reply(prefix + "/x")["status"] == 502


# --- no answer


def test_a_refused_connection_is_502(gateway: Gateway) -> None:
    reply = gateway.reply(gateway.route(refusing_upstream()) + "/x")

    assert (reply["status"], reply["reason"]) == (502, "Bad Gateway")
    assert "error_msg" in json.loads(reply["body"])


def refusing_upstream() -> Document:
    return {"nodes": nodes(refusing())}


@pytest.mark.parametrize("none", [{}, [], {"127.0.0.1:1": 0}])
def test_no_node_is_503(gateway: Gateway, none: object) -> None:
    prefix = gateway.route({"nodes": none})

    assert gateway.reply(prefix + "/x")["status"] == 503
    plain = gateway.fetch(prefix + "/x")
    assert plain.status == 503
    assert "error_msg" in plain.json()


def test_a_node_that_never_answers_is_504_after_read(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    prefix = gateway.route(upstream, timeout=QUICK)
    started = time.monotonic()

    replies = gateway.replies([prefix + "/x"] * 3)

    assert 0.29 <= time.monotonic() - started < 15  # by default it would be 60, the batch's end at 30
    assert [reply["status"] for reply in replies] == [504] * 3
    assert [reply["reason"] for reply in replies] == ["Gateway Timeout"] * 3
    upstream.wait(lambda upstream: upstream.open == 0)
    assert gateway.fetch(prefix + "/x").status == 504


def test_read_is_from_one_piece_to_the_next(gateway: Gateway, scripted: StartScripted) -> None:
    def drip(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            time.sleep(0.5)
            peer.send(b"x")

    prefix = gateway.route(scripted(drip), timeout={"connect": 10, "send": 10, "read": 2.3})
    with ThreadPoolExecutor(2) as at_once:
        item = at_once.submit(gateway.reply, prefix + "/x")
        plain = at_once.submit(gateway.fetch, prefix + "/x")

    assert item.result()["body"] == "xxxxx"
    assert plain.result().body == b"xxxxx"


def test_a_node_that_does_not_read_is_504_after_send(gateway: Gateway, scripted: StartScripted) -> None:
    release = threading.Event()
    timeout = {"connect": 25, "send": 0.3, "read": 25}
    prefix = gateway.route(scripted(lambda peer: release.wait(PATIENCE_S)), timeout=timeout)
    started = time.monotonic()
    try:
        answer = gateway.fetch(prefix + "/x", "POST", bytes(20_000_000))
    finally:
        release.set()

    assert answer.status == 504
    assert time.monotonic() - started < 15


def test_a_node_that_does_not_accept_is_504_after_connect(gateway: Gateway) -> None:
    """An address of TEST-NET-1: nobody answers there, or says at once that it is unreachable."""
    prefix = gateway.route({"nodes": {"192.0.2.1:80": 1}, "timeout": QUICK})
    started = time.monotonic()

    assert gateway.reply(prefix + "/x")["status"] in (502, 504)
    assert time.monotonic() - started < 15


def test_the_routes_timeout_comes_before_the_upstreams(
    gateway: Gateway, scripted: StartScripted, unique: str
) -> None:
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    route = {"uri": f"/{unique}", "upstream": {"nodes": nodes(upstream)}, "timeout": QUICK}
    gateway.put("routes", unique, route)

    assert gateway.reply(f"/{unique}")["status"] == 504


# --- the next node


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_next_node_is_asked_when_one_refuses(gateway: Gateway, method: str) -> None:
    """Nothing was sent, so that is safe for any method."""
    with saying("up") as up:
        prefix = gateway.route({"nodes": nodes(refusing(), up, refusing())})

        replies = gateway.replies([{"path": prefix + "/x", "method": method, "body": "b"}] * 12)

    assert [reply["body"] for reply in replies] == ["up"] * 12


@pytest.mark.parametrize(("retries", "statuses"), [(0, {200, 502}), (1, {200}), (None, {200})])
def test_retries(gateway: Gateway, retries: int | None, statuses: set[int]) -> None:
    with saying("up") as up:
        upstream: Document = {"nodes": nodes(refusing(), up)}
        prefix = gateway.route(upstream if retries is None else upstream | {"retries": retries})

        replies = gateway.replies([prefix + "/x"] * 10)

    assert {reply["status"] for reply in replies} == statuses


@pytest.mark.parametrize(
    ("method", "statuses"),
    [("GET", [200] * 6), ("PUT", [200] * 6), ("DELETE", [200] * 6), ("POST", [200, 502] * 3)],
)
def test_what_may_have_run_is_repeated_only_if_that_is_no_harm(
    gateway: Gateway, scripted: StartScripted, method: str, statuses: list[int]
) -> None:
    broken = scripted(lambda peer: peer.read())
    with saying("up") as up:
        prefix = gateway.route({"nodes": nodes(broken, up)})

        replies = gateway.replies([{"path": prefix + "/x", "method": method, "body": "b"}] * 6)

    assert sorted(reply["status"] for reply in replies) == sorted(statuses)
    assert len(broken.requests) == 3


@pytest.mark.parametrize("body", ["", "b"])
def test_patch_is_not_repeated(gateway: Gateway, scripted: StartScripted, body: str) -> None:
    broken = scripted(lambda peer: peer.read())
    prefix = gateway.route(broken, retries=3)

    assert gateway.reply({"path": prefix + "/x", "method": "PATCH", "body": body})["status"] == 502
    assert len(broken.requests) == 1


def test_an_answer_that_has_begun_is_not_asked_for_again(gateway: Gateway, scripted: StartScripted) -> None:
    def cut_off(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    broken = scripted(cut_off)
    with saying("up") as up:
        prefix = gateway.route({"nodes": nodes(broken, up)})
        replies = gateway.replies([prefix + "/x"] * 6)

    assert Counter(reply["status"] for reply in replies) == {200: 3, 502: 3}
    assert len(broken.requests) == 3


def test_retries_end_at_the_deadline(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    prefix = gateway.route(upstream, retries=50, timeout=QUICK)
    started = time.monotonic()

    replies = gateway.replies({"timeout": 500, "pipeline": [{"path": prefix + "/x"}]})

    assert replies == [{"status": 504, "reason": "upstream timeout"}]
    assert time.monotonic() - started < 10  # all tries would take 15
