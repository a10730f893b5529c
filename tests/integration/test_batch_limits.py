"""A batch against limits that count its items, and against plugins that act on each of them."""

import pytest

from .conftest import StartScripted
from .gateway import BATCH, Gateway
from .scripted import Received, each, echo, ok
from .wire import Wire


def number(request: Received) -> bytes:
    return ok(request.target.rsplit("/", 1)[1].encode())


def test_thousand_items_and_ten_of_them_may_go_through(
    gateway: Gateway, scripted: StartScripted, unique: str
) -> None:
    upstream = scripted(each(number))
    document = {"nodes": {"{}:{}".format(*upstream.address): 1}}
    plugins = {"limit-count": {"count": 10, "time_window": 3600}}
    gateway.put("routes", unique, {"uri": f"/{unique}/*", "upstream": document, "plugins": plugins})

    replies = gateway.replies([f"/{unique}/{index}" for index in range(1000)])

    assert len(replies) == 1000
    through = [index for index, reply in enumerate(replies) if reply["status"] == 200]
    assert len(through) == len(upstream.requests) == 10
    for index in through:
        assert replies[index]["body"] == str(index), "each in its slot"
    remaining = {replies[index]["headers"]["X-RateLimit-Remaining"] for index in through}
    assert remaining == {str(left) for left in range(10)}
    for index in set(range(1000)).difference(through):
        headers = replies[index]["headers"]
        assert replies[index]["status"] == 429
        assert 0 < int(headers["Retry-After"]) <= 3600
        assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("10", "0")


def test_limit_on_the_batch_endpoint_counts_batches(
    gateway: Gateway, scripted: StartScripted, unique: str
) -> None:
    prefix = gateway.route(scripted(each(number)))
    limit = {"count": 2, "time_window": 3600, "rejected_code": 429}
    uri = f"/{unique}"
    gateway.put(
        "routes", unique, {"uri": uri, "plugins": {"public-api": {"uri": BATCH}, "limit-count": limit}}
    )

    answers = [gateway.batch([f"{prefix}/{index}" for index in range(5)], uri=uri) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].header("retry-after") is not None


@pytest.mark.parametrize("name", ["mocking", "fault-injection", "redirect"])
@pytest.mark.parametrize("status", [200, 204, 304, 503])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_answer_of_a_plugin_is_framed(
    gateway: Gateway, scripted: StartScripted, unique: str, name: str, status: int, method: str
) -> None:
    """Another request on the same connection finds its own answer."""
    prefix = gateway.route(scripted(each(echo)))
    configs = {
        "mocking": {"response_example": "mock", "response_status": status},
        "fault-injection": {"abort": {"http_status": status, "body": "fault"}},
        "redirect": {"uri": "/elsewhere", "ret_code": status},
    }
    gateway.put("routes", unique, {"uri": f"/{unique}", "plugins": {name: configs[name]}})

    with Wire(gateway.data) as wire:
        wire.send(f"{method} /{unique} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
        first = wire.answer(bodiless=method == "HEAD")
        wire.get(f"{prefix}/next")
        following = wire.answer()

    assert first.status == status
    assert f"GET {prefix}/next".encode() in following.body
    reply = gateway.reply({"path": f"/{unique}", "method": method})
    assert ("body" in reply) == (method != "HEAD" and status not in (204, 304))


@pytest.mark.parametrize(
    ("rewritten", "asked"), [("GET", "HEAD"), ("HEAD", "GET"), ("HEAD", "POST"), ("POST", "HEAD")]
)
def test_method_is_rewritten_and_the_answer_fits_the_clients(
    gateway: Gateway, scripted: StartScripted, unique: str, rewritten: str, asked: str
) -> None:
    def answer(request: Received) -> bytes:
        head, body = ok(b"x" * 1000).split(b"\r\n\r\n")
        return head + b"\r\n\r\n" + (b"" if request.method == "HEAD" else body)

    upstream = scripted(each(answer))
    document = {"nodes": {"{}:{}".format(*upstream.address): 1}}
    plugins = {"proxy-rewrite": {"method": rewritten}}
    gateway.put("routes", unique, {"uri": f"/{unique}", "upstream": document, "plugins": plugins})

    with Wire(gateway.data) as wire:
        for _ in range(2):
            wire.send(f"{asked} /{unique} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode())
            found = wire.answer(bodiless=asked == "HEAD")
            assert (found.status, found.body) == (200, b"")
    assert [request.method for request in upstream.requests] == [rewritten] * 2
    assert ("body" in gateway.reply({"path": f"/{unique}", "method": asked})) == (asked != "HEAD")


@pytest.mark.parametrize("status", [200, 204, 304])
@pytest.mark.parametrize("original", ["200 OK", "204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("more", [{}, {"body": "new"}, {"filters": [{"regex": "x", "replace": "yy"}]}])
def test_rewritten_answer_is_framed(
    gateway: Gateway,
    scripted: StartScripted,
    unique: str,
    status: int,
    original: str,
    more: dict[str, object],
) -> None:
    def answer(_: Received) -> bytes:
        if original.startswith("200"):
            return ok(b"x" * 200_000)
        return f"HTTP/1.1 {original}\r\nContent-Length: 77\r\n\r\n".encode()

    upstream = scripted(each(answer))
    document = {"nodes": {"{}:{}".format(*upstream.address): 1}}
    plugins = {"response-rewrite": {"status_code": status, **more}}
    gateway.put("routes", unique, {"uri": f"/{unique}", "upstream": document, "plugins": plugins})

    with Wire(gateway.data) as wire:
        for _ in range(3):
            wire.get(f"/{unique}")
            found = wire.answer()
            assert found.status == status
            assert status == 200 or (found.body, found.header("content-length")) == (b"", None)
