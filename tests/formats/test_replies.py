"""Replies as JSON: whatever an upstream sends, the response is valid and says what it said."""

import gzip
import json
import tracemalloc
from base64 import b64decode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.errors import BatchwayError, DeadlineExceeded, RouteNotFound
from batchway.formats import apisix
from batchway.model import Budget, Response

MIB = 1024 * 1024

REASON = st.text(st.characters(max_codepoint=255), max_size=10)
HEADER = st.tuples(
    st.sampled_from([b"Set-Cookie", b"set-cookie", b"X-A", b"Content-Length"]) | st.binary(max_size=8),
    st.binary(max_size=12),
).filter(lambda pair: pair[0].lower() != b"content-encoding")
RESPONSES = st.builds(
    Response,
    st.integers(min_value=200, max_value=999),
    REASON,
    st.lists(HEADER, max_size=6),
    st.none() | st.binary(max_size=40) | st.text(max_size=20).map(str.encode),
)
ERRORS = st.sampled_from([DeadlineExceeded(), RouteNotFound("404 Route Not Found")])


def plenty() -> Budget:
    return Budget(max_reply_size=10 * MIB, max_response_size=64 * MIB)


def read(reply: bytes) -> dict[str, Any]:
    document = msgspec.json.decode(reply, type=dict[str, Any])
    assert document == json.loads(reply)
    return document


def text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


@given(RESPONSES)
def test_any_response_can_be_read_back(response: Response) -> None:
    reply = read(apisix.encode_reply(response, plenty()))
    assert (reply["status"], reply["reason"]) == (response.status, response.reason)
    sent: dict[str, list[str]] = {}
    for name, value in response.headers:
        sent.setdefault(name.decode("latin-1"), []).append(text(value))
    assert reply["headers"] == {
        name: values[0] if len(values) == 1 else values for name, values in sent.items()
    }
    if response.body is None:
        assert "body" not in reply
        assert "body_encoding" not in reply
    elif "body_encoding" in reply:
        assert reply["body_encoding"] == "base64"
        assert b64decode(reply["body"], validate=True) == response.body
    else:
        assert reply["body"].encode() == response.body


@given(st.lists(RESPONSES | ERRORS, max_size=5))
def test_replies_make_one_valid_array_in_their_order(results: list[Response | BatchwayError]) -> None:
    whole = apisix.encode([apisix.encode_reply(result, plenty()) for result in results])
    statuses = [reply["status"] for reply in msgspec.json.decode(whole)]
    assert statuses == [result.status for result in results]


@given(st.lists(RESPONSES, max_size=8), st.integers(min_value=0, max_value=600))
def test_replies_together_stay_within_the_limit(responses: list[Response], limit: int) -> None:
    """Only the short 502s that stand for what did not fit come on top."""
    budget = Budget(max_reply_size=MIB, max_response_size=limit)
    spent = 0
    for response in responses:
        body = response.body if isinstance(response.body, bytes) else b""
        if len(body) > budget.remaining:
            continue  # the target would have failed
        budget.take(len(body))
        reply = apisix.encode_reply(response, budget)
        if b"max_response_size" not in reply:
            spent += len(reply)
        assert budget.remaining == limit - spent
    assert spent <= limit


@pytest.mark.parametrize(
    "result",
    [
        Response(200, "OK", [(b"X-A", b"b")], b"hi"),
        Response(200, "OK", [(b"Content-Encoding", b"gzip")], b"broken"),
        DeadlineExceeded(),
        RouteNotFound("no"),
    ],
    ids=["response", "broken_response", "deadline", "error"],
)
def test_duration_is_added_where_it_is_known(result: Response | BatchwayError) -> None:
    without = read(apisix.encode_reply(result, plenty()))
    assert read(apisix.encode_reply(result, plenty(), 1.25)) == {**without, "duration_ms": 1.25}
    assert "duration_ms" not in without


def test_duration_counts_towards_the_limit() -> None:
    response = Response(200, "OK", [], b"")
    size = len(apisix.encode_reply(response, plenty()))
    budget = Budget(max_reply_size=MIB, max_response_size=size)
    assert read(apisix.encode_reply(response, budget, 1.25))["status"] == 502
    assert read(apisix.encode_reply(response, budget))["status"] == 200


def test_reply_that_does_not_fit_leaves_its_room_to_the_next() -> None:
    budget = Budget(max_reply_size=MIB, max_response_size=150)
    budget.take(100)
    large = Response(200, "OK", [], b"\n" * 100)  # twice as long as JSON
    assert read(apisix.encode_reply(large, budget))["status"] == 502
    budget.take(90)
    fits = Response(200, "OK", [], b"x" * 90)
    assert read(apisix.encode_reply(fits, budget))["status"] == 200


def test_bomb_is_bounded_by_what_is_left_for_the_batch() -> None:
    coded = gzip.compress(bytes(32 * MIB))
    budget = Budget(max_reply_size=10 * MIB, max_response_size=64 * MIB)
    budget.take(63 * MIB)
    budget.take(len(coded))
    left = budget.remaining
    response = Response(200, "OK", [(b"Content-Encoding", b"gzip")], coded)
    tracemalloc.start()
    try:
        reply = apisix.encode_reply(response, budget)
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    assert read(reply)["status"] == 502
    assert budget.remaining == left + len(coded)


def test_broken_reply_gives_its_bytes_back() -> None:
    budget = Budget(max_reply_size=MIB, max_response_size=MIB)
    budget.take(5)
    response = Response(200, "OK", [(b"Content-Encoding", b"gzip")], b"nogzi")
    assert read(apisix.encode_reply(response, budget))["status"] == 502
    assert budget.remaining == MIB


def test_header_names_that_never_come_again_are_not_remembered_for_ever() -> None:
    for number in range(3 * apisix._MAX_NAMES):
        apisix.encode_reply(Response(200, "OK", [(b"X-%d" % number, b"")], None), plenty())
    assert len(apisix._names) <= apisix._MAX_NAMES


@pytest.mark.parametrize("spelled", [b"Content-Encoding", b"content-encoding", b"CONTENT-encoding"])
def test_coding_is_found_however_it_is_spelled(spelled: bytes) -> None:
    response = Response(200, "OK", [(spelled, b"gzip")], gzip.compress(b"hello"))
    assert read(apisix.encode_reply(response, plenty())) == {
        "status": 200, "reason": "OK", "body": "hello", "headers": {},
    }  # fmt: skip
