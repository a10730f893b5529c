"""What refuses a batch, and what only an item: before anything has run, and naming the item."""

import json

import pytest

from .conftest import StartScripted
from .gateway import BATCH, Document, Gateway
from .scripted import Scripted, each, echo


@pytest.fixture
def upstream(scripted: StartScripted) -> Scripted:
    return scripted(each(echo))


@pytest.mark.parametrize(
    "path",
    [
        "/a b",
        "/a\r\n",
        "/a\nb",
        "/a\0",
        "/\x7f",
        "/a\tb",
        "/a#b",
        "/a<b",
        "/a>b",
        "/a`b",
        "/a?b c",
        "/a?b\r\n",
    ],
)
def test_a_bad_character_in_a_path_refuses_the_batch(
    gateway: Gateway, upstream: Scripted, path: str
) -> None:
    check_refused(gateway, upstream, {"path": path}, "path")


@pytest.mark.parametrize(
    "headers",
    [
        {"X Name": "1"},
        {"": "1"},
        {"X:": "1"},
        {"X\r\nY": "1"},
        {"zürich": "1"},
        {"X": "a\r\nY: b"},
        {"X": "a\nb"},
        {"X": "a\0"},
        {"X": "a\x7f"},
        {"X": ["fine", "a\rb"]},
        {"X": {"deep": 1}},
        {"X": [["deep"]]},
    ],
)
def test_a_bad_header_refuses_the_batch(gateway: Gateway, upstream: Scripted, headers: Document) -> None:
    check_refused(gateway, upstream, {"headers": headers}, "header")

    answer = gateway.batch({"headers": headers, "pipeline": [{"path": "/x"}]})
    assert answer.status == 400
    assert '"headers"' in answer.json()["error_msg"]


@pytest.mark.parametrize("query", [{"a": {"deep": 1}}, {"a": [[1]]}])
def test_a_bad_query_refuses_the_batch(gateway: Gateway, upstream: Scripted, query: Document) -> None:
    check_refused(gateway, upstream, {"query": query}, "query")


@pytest.mark.parametrize(
    "item",
    [
        {"method": "get"},
        {"method": "BREW"},
        {"method": None},
        {"body": {"json": 1}},
        {"body": 1},
        {"body": None},
        {"version": 2},
        {"version": "1.2"},
        {"version": "HTTP/1.1"},
        {"ssl_verify": "true"},
        {"unknown": 1},
        {"headers": []},
        {"headers": None},
        {"query": "a=1"},
        {"path": 1},
    ],
)
def test_a_wrong_item_refuses_the_batch(gateway: Gateway, upstream: Scripted, item: Document) -> None:
    check_refused(gateway, upstream, item, next(iter(item)))


def check_refused(gateway: Gateway, upstream: Scripted, wrong: Document, named: str) -> None:
    """With `wrong` in the third item nothing is sent, and the error says where it stands."""
    good = {"path": gateway.route(upstream) + "/good"}
    items = [good, good, good | wrong, good]

    answer = gateway.batch({"pipeline": items})

    assert answer.status == 400
    message = answer.json()["error_msg"]
    assert message.startswith("bad request body: ")
    assert "item 3" in message
    assert named in message
    assert upstream.accepted == 0


@pytest.mark.parametrize(
    "path", ["x", "a/b", "http://127.0.0.1/", "https://evil.test/x", "?a=1", "*", "localhost:80", "\\x"]
)
def test_a_path_without_a_slash_is_that_items_error(
    gateway: Gateway, upstream: Scripted, path: str
) -> None:
    good = gateway.route(upstream) + "/good"

    before, wrong, after = gateway.replies([good, path, good])

    assert (before["status"], wrong["status"], after["status"]) == (200, 400, 200)
    assert "slash" in json.loads(wrong["body"])["error_msg"]


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_a_method_that_is_never_sent_is_that_items_error(
    gateway: Gateway, upstream: Scripted, method: str
) -> None:
    path = gateway.route(upstream) + "/x"

    good, wrong = gateway.replies([path, {"path": path, "method": method}])

    assert (good["status"], wrong["status"]) == (200, 405)
    assert [request.method for request in upstream.requests] == ["GET"]


def test_no_route_is_that_items_error(gateway: Gateway, upstream: Scripted) -> None:
    path = gateway.route(upstream) + "/x"

    good, wrong = gateway.replies([path, "/no/such/route"])

    assert good["status"] == 200
    assert wrong["status"] == 404
    assert wrong["reason"] == "Not Found"
    assert json.loads(wrong["body"]) == {"error_msg": "404 Route Not Found"}


@pytest.mark.parametrize(
    "path", [BATCH, BATCH + "?a=1", "/apisix/%62atch-requests", "/apisix//batch-requests", "/x/.." + BATCH]
)
def test_a_batch_inside_a_batch_is_refused(gateway: Gateway, upstream: Scripted, path: str) -> None:
    good = gateway.route(upstream) + "/x"
    inner = json.dumps({"pipeline": [{"path": good}]})

    before, nested, after = gateway.replies([good, {"method": "POST", "path": path, "body": inner}, good])

    assert (before["status"], after["status"]) == (200, 200)
    assert nested["status"] in (400, 404)
    assert len(upstream.requests) == 2


def test_a_batch_inside_a_batch_by_another_uri(gateway: Gateway, unique: str) -> None:
    alias = f"/{unique}"
    gateway.put("routes", unique, {"uri": alias, "plugins": {"public-api": {"uri": BATCH}}})

    reply = gateway.reply({"method": "POST", "path": alias, "body": '{"pipeline": [{"path": "/"}]}'})

    assert reply["status"] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.test", "Content-Type": "text/plain"}, 415),
        ({"Origin": "null", "Content-Type": "text/plain;charset=x"}, 415),
        ({"Origin": "https://evil.test", "Content-Type": "application/json"}, 200),
        ({"Origin": "http://shop.test", "Host": "shop.test", "Content-Type": "text/plain"}, 200),
        ({"Content-Type": "text/plain"}, 200),
    ],
)
def test_a_page_of_another_site_cannot_send_a_batch(
    gateway: Gateway, headers: dict[str, str], status: int
) -> None:
    """Not without a browser's asking first: and to that question batchway has no route."""
    assert gateway.batch(["/none"], headers).status == status


def test_limits_of_the_metadata(gateway: Gateway) -> None:
    gateway.put("plugin_metadata", "batch-requests", {"max_pipeline_items": 3})
    try:
        assert gateway.batch(["/x"] * 3).status == 200
        answer = gateway.batch(["/x"] * 4)
        wrong_too = gateway.batch(["/x"] * 3 + ["/ "])
    finally:
        gateway.delete("plugin_metadata", "batch-requests")

    assert answer.status == 400
    assert answer.json() == {"error_msg": "too many pipeline requests, 4 exceeds the maximum of 3"}
    assert wrong_too.json()["error_msg"].startswith("too many pipeline requests")


def test_a_thousand_items_are_the_default_limit(gateway: Gateway) -> None:
    assert gateway.batch(["/x"] * 1000).status == 200
    assert gateway.batch(["/x"] * 1001).status == 400
