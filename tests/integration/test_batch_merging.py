"""What an item asks of the upstream: method, path, query, headers and body, byte for byte."""

import json

import pytest

from .conftest import StartScripted
from .gateway import Document, Gateway
from .scripted import Received, Scripted, each, echo
from .wire import Headers

Seen = dict[str, list[str]]


class Echo:
    """A route to an upstream that notes what it gets."""

    def __init__(self, gateway: Gateway, upstream: Scripted) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.prefix = gateway.route(upstream)

    def sent(
        self, item: Document, common: Document | None = None, outer: Headers | None = None
    ) -> Received:
        """What the upstream gets for one item; its path stands below the prefix."""
        path = self.prefix + item.pop("path", "/x")
        batch = {"pipeline": [{"path": path} | item]} | (common or {})
        (reply,) = self.gateway.replies(batch, outer)
        assert reply["status"] == 200, reply
        return self.upstream.requests[-1]

    def target(self, item: Document, common: Document | None = None) -> str:
        """Path and query that the upstream gets, without the prefix."""
        return self.sent(item, common).target.removeprefix(self.prefix)


@pytest.fixture
def upstream(gateway: Gateway, scripted: StartScripted) -> Echo:
    return Echo(gateway, scripted(each(echo)))


# --- headers


def test_headers_of_the_item_come_before_the_batchs_before_the_outer(upstream: Echo) -> None:
    item = {"headers": {"One": "item"}}
    common = {"headers": {"one": "batch", "Two": "batch"}}
    outer = {"ONE": "outer", "TWO": "outer", "Three": "outer"}

    sent = upstream.sent(item, common, outer)

    assert (sent.header("one"), sent.header("two"), sent.header("three")) == ("item", "batch", "outer")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("text", ["text"]),
        ("", [""]),
        ("  padded\t", ["padded"]),
        ("a\tb", ["a\tb"]),
        (7, ["7"]),
        (2.0, ["2"]),
        (0.1, ["0.1"]),
        (True, ["true"]),
        (False, ["false"]),
        (None, []),
        (["a", "b"], ["a", "b"]),
        (["a", None, 3], ["a", "3"]),
        ([], []),
    ],
)
def test_values_of_a_header(upstream: Echo, value: object, sent: list[str]) -> None:
    outer = {"X-Name": "inherited"}

    assert upstream.sent({"headers": {"X-Name": value}}, None, outer).all("x-name") == sent
    assert upstream.sent({}, {"headers": {"X-Name": value}}, outer).all("x-name") == sent


def test_a_header_of_the_batch_comes_back_for_one_item(upstream: Echo) -> None:
    common = {"headers": {"X-Name": None}}

    assert upstream.sent({"headers": {"X-Name": "mine"}}, common, {"X-Name": "o"}).all("x-name") == ["mine"]


def test_text_beyond_ascii_is_utf8(upstream: Echo) -> None:
    sent = upstream.sent({"headers": {"X-Name": "zürich"}})

    assert sent.head.count("zürich".encode()) == 1


@pytest.mark.parametrize("name", ["Content-Type", "Content-Language", "content-foo", "CONTENT-DISPOSITION"])
def test_outer_content_headers_are_not_inherited_but_may_be_given(upstream: Echo, name: str) -> None:
    outer = {name: "outer"}

    assert upstream.sent({}, None, outer).header(name) is None
    assert upstream.sent({}, {"headers": {name: "batch"}}, outer).header(name) == "batch"
    assert upstream.sent({"headers": {name: "item"}}, None, outer).header(name) == "item"


def test_accept_encoding_is_not_inherited_but_may_be_given(upstream: Echo) -> None:
    outer = {"Accept-Encoding": "identity, x"}

    assert upstream.sent({}, None, outer).header("accept-encoding") is None
    assert upstream.sent({"headers": {"Accept-Encoding": "gzip"}}).header("accept-encoding") == "gzip"


def test_host_is_inherited_and_may_be_given(upstream: Echo) -> None:
    assert upstream.sent({}, None, {"Host": "outer.test"}).header("host") == "outer.test"
    given = upstream.sent({"headers": {"Host": "item.test:81"}}, None, {"Host": "outer.test"})
    assert given.all("host") == ["item.test:81"]


def test_credentials_are_inherited(upstream: Echo) -> None:
    outer = {"Authorization": "Bearer x", "Cookie": "a=1"}

    sent = upstream.sent({}, None, outer)

    assert (sent.header("authorization"), sent.header("cookie")) == ("Bearer x", "a=1")


# --- query


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ({"a": "1"}, "?a=1"),
        ({"a": ""}, "?a="),
        ({"a": 1, "b": 2.5, "c": 2.0}, "?a=1&b=2.5&c=2"),
        ({"a": True}, "?a"),
        ({"a": False}, ""),
        ({"a": None}, ""),
        ({"a": ["x", "y", True, None, 3]}, "?a=x&a=y&a&a=3"),
        ({"a": []}, ""),
        ({"a b&c": "d e=f+g/h?#%"}, "?a%20b%26c=d%20e%3Df%2Bg%2Fh%3F%23%25"),
        ({"ü": "é"}, "?%C3%BC=%C3%A9"),
        ({"a": "\r\nX: y"}, "?a=%0D%0AX%3A%20y"),
        ({"": "x"}, "?=x"),
    ],
)
def test_values_of_a_query(upstream: Echo, query: Document, sent: str) -> None:
    assert upstream.target({"query": query}) == "/x" + sent
    assert upstream.target({}, {"query": query}) == "/x" + sent


def test_query_of_the_item_comes_before_the_path_before_the_batchs(upstream: Echo) -> None:
    item = {"path": "/x?two=path&three=path", "query": {"two": "item"}}
    common = {"query": {"three": "batch", "four": "batch"}}

    assert upstream.target(item, common) == "/x?three=path&two=item&four=batch"


@pytest.mark.parametrize("drop", [None, False])
def test_an_argument_is_dropped(upstream: Echo, drop: object) -> None:
    item = {"path": "/x?a=path", "query": {"a": drop, "b": drop}}

    assert upstream.target(item, {"query": {"b": "batch", "c": "batch"}}) == "/x?c=batch"


@pytest.mark.parametrize(
    "path",
    [
        "/x?",
        "/x?a=1",
        "/x?a=1&a=2&b",
        "/x?a=%2F&b=%zz&c=+",
        "/x?a?b=c?d",
        "/x?&&=",
        "/a%2Fb/%7Euser/;p=1/(x)/!$&'*+,:@",
        "/x//y/./z",
        "/x%20y",
        '/[1]{2}|^\\"',
    ],
)
def test_what_stands_in_a_path_stays_as_it_is(upstream: Echo, path: str) -> None:
    expected = path.removesuffix("?") if path == "/x?" else path

    assert upstream.target({"path": path}) == expected


def test_text_beyond_ascii_in_a_path_is_percent_encoded(upstream: Echo) -> None:
    assert upstream.target({"path": "/zürich?q=größe"}) == "/z%C3%BCrich?q=gr%C3%B6%C3%9Fe"


# --- method and body


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("body", [None, "", "text", "zürich ☃ \0 \r\n\r\n", "x" * 100_000])
def test_a_body_arrives_as_it_is(upstream: Echo, method: str, body: str | None) -> None:
    sent = upstream.sent({"method": method} | ({} if body is None else {"body": body}))

    assert sent.method == method
    assert sent.body == (body or "").encode()
    counts = body or method in ("POST", "PUT", "PATCH")
    assert sent.header("content-length") == (str(len(sent.body)) if counts else None)
    assert sent.header("transfer-encoding") is None


def test_a_batch_may_come_as_any_content_type(gateway: Gateway, nginx: object) -> None:
    prefix = gateway.route(nginx)
    body = json.dumps({"pipeline": [{"path": prefix + "/x"}], "unknown": {"keys": "are fine"}})

    for content_type in ("application/x-www-form-urlencoded", "text/plain", "application/json; charset=x"):
        answer = gateway.post_batch(body, {"Content-Type": content_type})
        assert answer.json()[0]["status"] == 200


@pytest.mark.parametrize("version", [1.0, 1.1, "1.0", "1.1"])
def test_a_version_is_taken_and_has_no_effect(upstream: Echo, version: object) -> None:
    assert upstream.sent({"version": version}).head.splitlines()[0].endswith(b" HTTP/1.1")
