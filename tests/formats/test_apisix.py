"""What the golden cases cannot show: what is shared, what is large, and any input at all."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchway.errors import BatchRefused, MalformedBatch, TooManyItems
from batchway.formats import apisix
from batchway.model import Headers, Limits, Origin, Ready, Request

from . import wire

ORIGIN = Origin("192.0.2.7")
MIB = 1024 * 1024


def decode(body: bytes, outer: Headers | None = None, limits: Limits | None = None) -> apisix.Batch:
    return apisix.decode(body, outer or Headers(), ORIGIN, limits or Limits())


def requests(body: bytes, outer: Headers | None = None) -> list[Request]:
    items = decode(body, outer).items
    made = [item for item in items if isinstance(item, Request)]
    assert len(made) == len(items)
    return made


# --- what is shared


def test_items_without_headers_share_the_merged_ones() -> None:
    outer = Headers([(b"cookie", b"a=1")])
    batch = (
        b'{"headers":{"b":"2"},"pipeline":[{"path":"/a"},{"path":"/b","headers":{"c":"3"}},{"path":"/c"}]}'
    )
    first, second, third = requests(batch, outer)
    assert first.headers is third.headers
    assert first.headers is not second.headers


def test_items_share_the_budget_of_their_batch_and_where_it_came_from() -> None:
    limits = Limits(max_reply_size=7, max_response_size=9)
    batch = decode(b'{"pipeline":[{"path":"/a"},{"path":"/b"}]}', limits=limits)
    assert (batch.budget.max_reply_size, batch.budget.remaining) == (7, 9)
    for item in batch.items:
        assert isinstance(item, Request)
        assert item.batch is batch.budget
        assert item.origin is ORIGIN


def test_ssl_verify_asks_for_verification() -> None:
    batch = b'{"pipeline":[{"path":"/a","ssl_verify":true},{"path":"/a","ssl_verify":false},{"path":"/a"}]}'
    assert [item.verify_tls for item in requests(batch)] == [True, False, False]


def test_body_is_sent_byte_for_byte() -> None:
    body = "\r\n\tä\x00 \n"
    (item,) = requests(json.dumps({"pipeline": [{"path": "/", "body": body}]}).encode())
    assert item.body == body.encode()


# --- what is large


def test_a_thousand_items_are_allowed_and_no_more() -> None:
    items = [{"path": f"/{number}"} for number in range(1001)]
    made = requests(msgspec.json.encode({"pipeline": items[:1000]}))
    assert [item.path for item in made] == [item["path"] for item in items[:1000]]
    with pytest.raises(TooManyItems):
        decode(msgspec.json.encode({"pipeline": items}))


@pytest.mark.parametrize("count", [100, 5_000, 100_000])
@pytest.mark.parametrize(
    "template",
    [
        "%s",
        '{"other":%s,"pipeline":[{"path":"/"}]}',
        '{"query":{"a":%s},"pipeline":[{"path":"/"}]}',
        '{"headers":{"a":%s},"pipeline":[{"path":"/"}]}',
        '{"pipeline":[{"path":"/","query":{"a":%s}}]}',
        '{"pipeline":[{"path":"/","headers":{"a":%s}}]}',
        '{"pipeline":%s}',
    ],
)
def test_deep_nesting_is_refused(template: str, count: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        nested = opening * count + "1" + closing * count
        if template.startswith('{"other"') and count < 100_000:
            continue  # what nobody reads may be nested as far as this Python can follow
        with pytest.raises(MalformedBatch):
            decode((template % nested).encode())


@pytest.mark.parametrize("digits", [400, 4300, 5000, 900_000])
@pytest.mark.parametrize(
    "template",
    [
        '{"timeout":%s,"pipeline":[{"path":"/"}]}',
        '{"query":{"a":%s},"pipeline":[{"path":"/"}]}',
        '{"headers":{"a":%s},"pipeline":[{"path":"/"}]}',
        '{"pipeline":[{"path":"/","headers":{"a":%s}}]}',
        '{"pipeline":[{"path":"/","version":%s}]}',
    ],
)
def test_huge_number_is_refused_or_written_out(template: str, digits: int) -> None:
    """Python refuses to write an integer of more than 4 300 digits; nobody must see that as a 500."""
    number = "9" * digits
    try:
        (item,) = requests((template % number).encode())
    except BatchRefused:
        assert digits > 300
    else:
        sent = item.query.encode() + b"".join(value for _, value in item.headers.pairs)
        assert sent in (b"", b"a=" + number.encode(), number.encode())


@pytest.mark.parametrize("host", ["a/b", "a b", "user@a", "a?b", ["a", "a#b"]])
def test_what_is_no_host_refuses_the_batch(host: object) -> None:
    """As a request from the wire is refused that says so."""
    for body in (
        {"headers": {"Host": host}, "pipeline": [{"path": "/"}]},
        {"pipeline": [{"path": "/", "headers": {"hOST": host}}]},
    ):
        with pytest.raises(MalformedBatch, match='invalid characters found in header value of "Host"'):
            requests(json.dumps(body).encode())


@pytest.mark.parametrize("host", ["a.test:8080", "[::1]:80", "a_b", "", None, 7])
def test_what_may_be_a_host_passes(host: object) -> None:
    body = {"pipeline": [{"path": "/", "headers": {"Host": host}}]}
    assert len(requests(json.dumps(body).encode())) == 1


def test_refusal_does_not_echo_the_body() -> None:
    secret = "hunter2-" + "x" * 2000
    for body in (
        {"pipeline": [{"path": f"/ {secret}"}]},
        {"pipeline": [{"path": "/", "headers": {"Authorization": f"{secret}\n"}}]},
        {"pipeline": [{"path": "/", "headers": {"Authorization": {secret: secret}}}]},
        {"pipeline": [{"path": "/", "body": [secret]}]},
        {"pipeline": [{"path": "/", "method": secret}]},
        {"pipeline": [{"path": "/", "version": secret}]},
        {"pipeline": [{"path": "/", "query": {secret: {}}}]},
        {"timeout": secret, "pipeline": [{"path": "/"}]},
        secret,
    ):
        with pytest.raises(BatchRefused) as refused:
            decode(json.dumps(body).encode())
        assert "hunter2" not in refused.value.message


def test_large_batch_takes_memory_in_proportion() -> None:
    body = msgspec.json.encode({"pipeline": [{"path": "/a", "body": "x" * 900} for _ in range(1000)]})
    tracemalloc.start()
    try:
        batch = decode(body)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body)
    finally:
        tracemalloc.stop()
    assert len(batch.items) == 1000


# --- any input at all

EVIL = st.sampled_from(
    ["\r\n", "\n", "\r", "\0", " ", "\t", "/", "//", "?", "#", "&", "=", "%", "%0a", "%", ":", '"', "\\"]
    + ["\x7f", "\x80", "é", "\u2028", "😀", "..", "http://", "`", "<", ">", "@", "\ufeff", "a"]
)
TEXT = st.lists(EVIL | st.text(max_size=4), max_size=6).map("".join)
SCALAR: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
)
VALUE: st.SearchStrategy[Any] = st.recursive(
    SCALAR,
    lambda value: st.lists(value, max_size=3) | st.dictionaries(TEXT, value, max_size=3),
    max_leaves=5,
)
ARGUMENT = SCALAR | st.lists(SCALAR, max_size=3)
NAME = (
    st.sampled_from(
        ["X-A", "x-a", "Host", "Content-Length", "Transfer-Encoding", "Connection", "X_Real-IP", "Cookie"]
        + ["X-Forwarded_For", "Proxy-X", "TE", "Expect", "Forwarded", "Accept-Encoding", "X-\u212aey"]
    )
    | st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
    | TEXT
)
PATH_TEXT = TEXT.map("/{}".format) | TEXT
SANE_ITEM = st.fixed_dictionaries(
    {"path": st.from_regex(r"/[a-z%é]{0,5}(\?[a-z=&%é]{0,9})?", fullmatch=True)},
    optional={
        "method": st.sampled_from(sorted(wire.METHODS)),
        "query": st.dictionaries(TEXT, ARGUMENT, max_size=3),
        "headers": st.dictionaries(st.from_regex(r"[A-Za-z_-]{1,8}", fullmatch=True), ARGUMENT, max_size=3),
        "body": TEXT,
        "version": st.sampled_from([1.0, 1.1, "1.0", "1.1"]),
        "ssl_verify": st.booleans(),
    },
)
WILD_ITEM = st.fixed_dictionaries(
    {"path": PATH_TEXT},
    optional={
        "method": st.sampled_from(sorted(wire.METHODS)) | VALUE,
        "query": st.dictionaries(TEXT, ARGUMENT | VALUE, max_size=3),
        "headers": st.dictionaries(NAME, ARGUMENT | VALUE, max_size=3),
        "body": TEXT | VALUE,
        "version": VALUE,
        "ssl_verify": VALUE,
        "extra": VALUE,
    },
)
COMMON = {
    "query": st.dictionaries(TEXT, ARGUMENT, max_size=3),
    "headers": st.dictionaries(NAME, ARGUMENT, max_size=3),
    "timeout": st.integers(min_value=1),
    "other": VALUE,
}
WILD = st.fixed_dictionaries(
    {"pipeline": st.lists(WILD_ITEM | SANE_ITEM, max_size=4) | VALUE},
    optional={**COMMON, "query": VALUE, "headers": VALUE, "timeout": VALUE},
)


def check_decoding(body: bytes) -> int:
    """Decode to requests that can be sent, or to a refusal; how many came out."""
    limits = Limits(max_pipeline_items=5)
    try:
        batch = decode(body, limits=limits)
    except BatchRefused as error:
        refused = error
    else:
        assert 1 <= len(batch.items) <= 5
        assert 0 < batch.timeout_s <= 300
        for item in batch.items:
            if not isinstance(item, Ready):
                wire.check(item)
        return len(batch.items)
    assert refused.status in (400, 413)
    msgspec.json.encode(refused.message)
    return 0


@given(st.one_of(WILD, VALUE), st.booleans())
@example({"pipeline": [{"path": "/\ud800"}]}, True)
def test_any_json_becomes_requests_that_can_be_sent_or_is_refused(batch: Any, escaped: bool) -> None:
    check_decoding(json.dumps(batch, ensure_ascii=escaped).encode())


@given(
    st.fixed_dictionaries(
        {"pipeline": st.lists(SANE_ITEM, min_size=1, max_size=4)},
        optional={**COMMON, "headers": st.dictionaries(st.sampled_from(["X-A", "Te", "x_real_ip"]), TEXT)},
    )
)
def test_sane_json_is_mostly_not_refused(batch: Any) -> None:
    """So that the test above does not hold because nothing ever gets through."""
    values = [batch.get("headers", {}), *(item.get("headers", {}) for item in batch["pipeline"])]
    clean = json.dumps(values, ensure_ascii=False).isascii() and "\\" not in json.dumps(values)
    count = check_decoding(json.dumps(batch).encode())
    if clean and "\x7f" not in json.dumps(values, ensure_ascii=False):
        assert count == len(batch["pipeline"])


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf{}")
@example(b'{"pipeline":[{"path":"/\xed\xa0\x80"}]}')
@example(b'{"pipeline":[{"path":"/\xc0\xaf"}]}')
def test_any_bytes_are_refused_or_decoded(body: bytes) -> None:
    check_decoding(body)


@given(st.binary(max_size=3), st.integers(min_value=0, max_value=90), st.integers(min_value=0, max_value=3))
def test_a_batch_with_some_bytes_changed(change: bytes, at: int, removed: int) -> None:
    body = b'{"query":{"a":"b"},"headers":{"X":"y"},"timeout":5,"pipeline":[{"path":"/a?b","body":"c"}]}'
    check_decoding(body[:at] + change + body[at + removed :])
