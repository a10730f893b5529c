import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from batchway.errors import BatchTooLarge, BodyTooLarge, ReplyTooLarge, RouteNotFound
from batchway.model import (
    Body,
    Budget,
    Headers,
    Limits,
    Response,
    end_to_end,
    error_response,
    json_response,
    read_body,
)


class Pieces:
    """A body in pieces that remembers how many of them were asked for."""

    def __init__(self, *pieces: bytes, length: int | None = None) -> None:
        self.pieces = pieces
        self.length = length
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.read += 1
            yield piece


def read(body: bytes | Body, max_bytes: int) -> bytes:
    return asyncio.run(read_body(body, max_bytes))


# --- headers


@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "content-length",
        "EXPECT",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    ]
    + ["Proxy-Authorization", "Proxy-Connection", "proxy-"]
    + ["Content_Length", "keep_alive", "Transfer_Encoding"],
)
def test_framing_and_hop_by_hop_headers_do_not_travel_on(name: str) -> None:
    assert end_to_end([(name.encode(), b"x"), (b"X-A", b"b")]) == [(b"X-A", b"b")]


def test_headers_that_connection_names_do_not_travel_on() -> None:
    """RFC 9110, section 7.6.1."""
    pairs = [
        (b"X-Hop", b"1"),
        (b"Connection", b"close, x-hop"),
        (b"x-other", b"2"),
        (b"CONNECTION", b" X-OTHER\t,"),
        (b"X-Kept", b"3"),
        (b"x-hop", b"4"),
    ]
    assert end_to_end(pairs) == [(b"X-Kept", b"3")]


def test_connection_close_and_keep_alive_name_no_header() -> None:
    pairs = [(b"Connection", b"close, Keep-Alive"), (b"Close", b"1"), (b"X-A", b"2")]
    assert end_to_end(pairs) == [(b"Close", b"1"), (b"X-A", b"2")]


def test_spelling_order_and_repetition_are_kept() -> None:
    pairs = [(b"X-b", b"1"), (b"x-A", b"2"), (b"X-b", b"3"), (b"te-x", b""), (b"proxyx", b"")]
    assert end_to_end(pairs) == pairs


def test_first_header_of_a_name_is_found() -> None:
    headers = Headers([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert headers.get(b"a") == b"1"
    assert headers.get(b"b") == b"2"
    assert headers.get(b"c") is None
    assert headers.pairs == ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"))


def test_headers_are_equal_by_their_pairs_alone() -> None:
    first, second = Headers([(b"a", b"1")]), Headers(iter([(b"a", b"1")]))
    first.get(b"a")
    first.memo = ("something",)
    assert first == second
    assert hash(first) == hash(second)
    assert first != Headers([(b"a", b"2")])
    assert first != ((b"a", b"1"),)
    assert repr(first) == "Headers([(b'a', b'1')])"


# --- limits and budgets


@pytest.mark.parametrize(
    "document", [{"timeout": 0}, {"concurrency": -1}, {"max_body_size": 1.5}, {"x": 1}]
)
def test_limit_that_makes_no_sense_is_refused(document: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(document, Limits)


def test_default_limits_are_those_of_the_design() -> None:
    assert msgspec.to_builtins(Limits()) == {
        "max_body_size": 1024**2,
        "max_pipeline_items": 1000,
        "timeout": 30_000,
        "max_timeout": 300_000,
        "concurrency": 100,
        "max_reply_size": 10 * 1024**2,
        "max_response_size": 64 * 1024**2,
    }


def test_budget_is_spent_to_the_last_byte_and_no_further() -> None:
    budget = Budget(max_reply_size=5, max_response_size=10)
    budget.take(4)
    budget.take(6)
    with pytest.raises(ReplyTooLarge):
        budget.take(1)
    assert budget.remaining == 0
    budget.give_back(6)
    with pytest.raises(ReplyTooLarge):
        budget.take(7)
    budget.take(6)
    assert budget.remaining == 0


# --- bodies


@pytest.mark.parametrize(
    "body", [b"", b"12345", Pieces(), Pieces(b"12", b"345"), Pieces(b"12345", length=5)]
)
def test_body_up_to_the_limit_is_read_whole(body: bytes | Body) -> None:
    whole = body if isinstance(body, bytes) else b"".join(body.pieces) if isinstance(body, Pieces) else None
    assert read(body, 5) == whole


def test_body_that_is_there_is_checked() -> None:
    with pytest.raises(BodyTooLarge, match="^request size 6 is greater than the maximum size 5 allowed$"):
        read(b"123456", 5)


def test_announced_body_over_the_limit_is_not_read() -> None:
    body = Pieces(b"1", length=6)
    with pytest.raises(BodyTooLarge, match="^request size 6 is greater than the maximum size 5 allowed$"):
        read(body, 5)
    assert body.read == 0


@pytest.mark.parametrize("length", [None, 3], ids=["unannounced", "more_than_announced"])
def test_counted_body_over_the_limit_is_read_no_further(length: int | None) -> None:
    body = Pieces(b"123", b"456", b"789", length=length)
    with pytest.raises(BodyTooLarge, match="^request size 6 "):
        read(body, 5)
    assert body.read == 2


def test_caller_chooses_the_error() -> None:
    with pytest.raises(BatchTooLarge):
        asyncio.run(read_body(b"123456", 5, BatchTooLarge))


# --- responses


def test_error_becomes_json_with_its_status_and_reason() -> None:
    response = error_response(RouteNotFound('no "route"'))
    assert response == Response(
        404,
        "Not Found",
        [(b"Content-Type", b"application/json")],
        b'{"error_msg":"no \\"route\\""}',
    )


@pytest.mark.parametrize(
    ("status", "reason", "expected"), [(201, "", "Created"), (299, "", ""), (200, "Fine", "Fine")]
)
def test_reason_is_the_registered_one_unless_it_is_given(status: int, reason: str, expected: str) -> None:
    assert json_response(status, {}, reason).reason == expected
