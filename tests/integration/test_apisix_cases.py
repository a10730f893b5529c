"""What APISIX itself tests of this plugin: t/plugin/batch-requests.t and batch-requests2.t, retold.

Where its messages are those of its JSON Schema library, ours are compared word by word only where
users are known to see them.
"""

import json
import time

import pytest

from .conftest import StartScripted
from .gateway import Document, Gateway
from .nginx import Nginx
from .scripted import Peer, ok
from .waiting import in_time
from .wire import Wire

SIZE = 1024 * 1024


def headers_of(reply: Document) -> dict[str, str]:
    headers: dict[str, str] = reply["headers"]
    return headers


def delayed(peer: Peer) -> None:
    """`/<prefix>/<milliseconds>/<status>`: that status after that time."""
    while True:
        _, _, milliseconds, status = peer.read().target.split("/")
        time.sleep(int(milliseconds) / 1000)
        peer.send(ok(status=f"{status} Fine"))


def test_merging_of_headers_and_query(gateway: Gateway, nginx: Nginx) -> None:
    prefix = gateway.route(nginx)
    batch = {
        "query": {"a": "base_query", "b": "query_value"},
        "headers": {"A": "base", "B": "header_value", "C": "common_value"},
        "pipeline": [
            {"path": f"{prefix}/b", "headers": {"Cookie": "hello", "B": "b-header-value"}},
            {"path": f"{prefix}/status/201", "method": "PUT"},
            {"path": f"{prefix}/status/202", "query": {"one": "thing", "b": "d_value"}},
        ],
    }

    first, second, third = gateway.replies(batch, {"B": "outer_header", "C": "outer_conflict"})

    assert (first["status"], second["status"], third["status"]) == (200, 201, 202)
    for reply in (first, second, third):
        assert headers_of(reply)["X-Seen-A"] == "base"
        assert headers_of(reply)["X-Arg-A"] == "base_query"
        assert headers_of(reply)["X-Seen-C"] == "common_value"
    assert headers_of(first)["X-Seen-B"] == "b-header-value"
    assert headers_of(first)["X-Seen-Cookie"] == "hello"
    assert headers_of(first)["X-Arg-B"] == "query_value"
    assert headers_of(second)["X-Seen-B"] == "header_value"
    assert headers_of(second)["X-Method"] == "PUT"
    assert "X-Seen-Cookie" not in headers_of(second)
    assert headers_of(third)["X-Arg-B"] == "d_value"
    assert "one=thing" in headers_of(third)["X-Args"]


def test_all_outer_headers_but_content_are_copied(gateway: Gateway, nginx: Nginx) -> None:
    prefix = gateway.route(nginx)
    outer = {"Cookie": "request-cookies", "A": "request-header", "Content-Type": "text/x-outer"}

    replies = gateway.replies([f"{prefix}/b", f"{prefix}/status/201", f"{prefix}/status/202"], outer)

    for reply in replies:
        assert headers_of(reply)["X-Seen-Cookie"] == "request-cookies"
        assert headers_of(reply)["X-Seen-A"] == "request-header"
        assert "X-Seen-Content-Type" not in headers_of(reply)


def test_different_response_times(gateway: Gateway, scripted: StartScripted) -> None:
    prefix = gateway.route(scripted(delayed))
    paths = [f"{prefix}/20/200", f"{prefix}/50/201", f"{prefix}/300/202"]

    replies = gateway.replies({"timeout": 20_000, "pipeline": [{"path": path} for path in paths]})

    assert [reply["status"] for reply in replies] == [200, 201, 202]


@pytest.mark.parametrize("late", [0, 1, 2])
def test_one_request_times_out(gateway: Gateway, scripted: StartScripted, late: int) -> None:
    def serve(peer: Peer) -> None:
        while True:
            status = peer.read().target.rpartition("/")[2]
            if status == str(200 + late):
                peer.stall()
            peer.send(ok(status=f"{status} Fine"))

    prefix = gateway.route(scripted(serve))
    items = [{"path": f"{prefix}/{200 + index}"} for index in range(3)]
    expected = [504 if index == late else 200 + index for index in range(3)]

    replies = in_time(
        lambda timeout_ms: gateway.replies({"timeout": timeout_ms, "pipeline": items}),
        lambda replies: [reply["status"] for reply in replies] == expected,
    )

    assert [reply["status"] for reply in replies] == expected
    assert replies[late] == {"status": 504, "reason": "upstream timeout"}


BAD = "bad request body: "
WRONG = BAD + 'property "pipeline" validation failed: failed to validate item 1: '


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "no request body, you should give at least one pipeline setting"),
        (
            '{"timeout": "200", "pipeline": [{"path": "/b"}]}',
            BAD + 'property "timeout" validation failed: wrong type: expected integer, got string',
        ),
        (
            '{"pipeline": [{"path": ""}]}',
            WRONG + 'property "path" validation failed: string too short, expected at least 1, got 0',
        ),
        (
            '{"pipeline": [{"path": "/c", "method": "put"}]}',
            WRONG + 'property "method" validation failed: matches none of the enum values',
        ),
        (
            '{"pipeline": [{"path": "/d", "ssl_verify": 1.2}]}',
            WRONG + 'property "ssl_verify" validation failed: wrong type: expected boolean, got number',
        ),
        (
            '{"pipeline": []}',
            BAD + 'property "pipeline" validation failed: expect array to have at least 1 items',
        ),
    ],
)
def test_what_is_wrong_is_said_as_apisix_says_it(gateway: Gateway, body: str, message: str) -> None:
    answer = gateway.post_batch(body)

    assert answer.status == 400
    assert answer.header("content-type") == "application/json"
    assert answer.json() == {"error_msg": message}


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ('{"pipeline1": [{"path": "/b"}]}', ["bad request body: ", '"pipeline"']),
        ("invalid json string", ["invalid request body: "]),
        (
            '{"pipeline": [{"path": "/d", "version": 1.2}]}',
            ["bad request body: ", "item 1", '"version" validation failed', "enum"],
        ),
    ],
)
def test_what_is_wrong_is_said(gateway: Gateway, body: str, parts: list[str]) -> None:
    answer = gateway.post_batch(body)

    assert answer.status == 400
    for part in parts:
        assert part in answer.json()["error_msg"]


# --- the limit of the body


def test_default_limit_by_content_length(gateway: Gateway) -> None:
    answer = gateway.post_batch("1234" * SIZE)

    assert answer.status == 413
    expected = "request size 4194304 is greater than the maximum size 1048576 allowed"
    assert answer.json() == {"error_msg": expected}


def test_default_limit_of_a_chunked_body(gateway: Gateway) -> None:
    with Wire(gateway.data) as wire:
        wire.send(b"POST /apisix/batch-requests HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"1000\r\n" + b"1" * 4096 + b"\r\n"
        wire.send(chunk * 257 + b"0\r\n\r\n")
        answer = wire.answer()

    assert answer.status == 413
    assert "is greater than the maximum size 1048576 allowed" in answer.json()["error_msg"]


@pytest.fixture
def small_body(gateway: Gateway) -> object:
    """With `max_body_size` 2048 while the test runs."""
    gateway.put("plugin_metadata", "batch-requests", {"max_body_size": 2048})
    yield
    gateway.delete("plugin_metadata", "batch-requests")


@pytest.mark.usefixtures("small_body")
def test_limit_from_the_metadata(gateway: Gateway, nginx: Nginx) -> None:
    prefix = gateway.route(nginx)
    fits = json.dumps({"pipeline": [{"path": prefix + "/a", "headers": {"A": "1"}}]}).ljust(2048)

    answer = gateway.post_batch("1234" * 1024)
    assert answer.status == 413
    assert answer.json() == {"error_msg": "request size 4096 is greater than the maximum size 2048 allowed"}
    assert gateway.post_batch(fits + " ").status == 413
    accepted = gateway.post_batch(fits)
    assert accepted.status == 200
    assert accepted.json()[0]["headers"]["X-Seen-A"] == "1"


@pytest.mark.usefixtures("small_body")
def test_a_body_that_is_too_large_is_not_asked_for(gateway: Gateway) -> None:
    with Wire(gateway.data) as wire:
        wire.send(b"POST /apisix/batch-requests HTTP/1.1\r\nHost: a\r\n")
        wire.send(b"EXPECT: 100-CONTINUE\r\nContent-Length: 4096\r\n\r\n")
        answer = wire.answer()  # no 100 comes first

    assert answer.status == 413
    assert answer.json()["error_msg"].startswith("request size 4096 is greater than")


@pytest.mark.parametrize("size", [0, -1, "1", 1.5, None])
def test_wrong_sizes_are_refused(gateway: Gateway, size: object) -> None:
    answer = gateway.admin("PUT", "/plugin_metadata/batch-requests", {"max_body_size": size})

    assert answer.status == 400
    assert "max_body_size" in answer.json()["error_msg"]


def test_empty_metadata_is_the_defaults(gateway: Gateway) -> None:
    gateway.put("plugin_metadata", "batch-requests", {})

    assert gateway.batch(["/nowhere"]).status == 200
    gateway.delete("plugin_metadata", "batch-requests")


# --- the client's address

SPELLINGS = ["x-real-ip", "X-Real-IP", "x_real_ip", "x_real-ip", "X-REAL_ip"]


@pytest.mark.parametrize("name", SPELLINGS)
def test_nobody_forges_the_real_ip(gateway: Gateway, nginx: Nginx, name: str) -> None:
    """Which names are one to nginx, and to CGI: all that differ in case, dashes and underscores only."""
    item = {"path": gateway.route(nginx) + "/c", "method": "PUT"}
    forged = {name: "127.0.0.2"}

    by_batch = gateway.replies({"headers": forged, "pipeline": [item]})
    by_item = gateway.replies({"headers": {}, "pipeline": [item | {"headers": forged}]})
    by_outer = gateway.replies([item], forged)

    for (reply,) in (by_batch, by_item, by_outer):
        assert headers_of(reply)["X-Seen-Real-IP"] == "127.0.0.1"
