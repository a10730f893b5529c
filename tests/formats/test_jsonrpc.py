"""Envelopes of JSON-RPC: which are calls, and what the others are told."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from batchway.errors import TooManyItems
from batchway.formats.jsonrpc import NO_ID, NO_PARAMS, Batch, Call, Dialect, Malformed, Unreadable

DIALECT = Dialect()
PING = '{"jsonrpc":"2.0","method":"ping","id":1}'


def decode(body: str | bytes, max_items: int = 100, max_depth: int = 8) -> Batch:
    body = body.encode() if isinstance(body, str) else body
    return DIALECT.decode(body, max_items=max_items, max_depth=max_depth)


def seen(body: str | bytes) -> list[Any]:
    """Each entry: method, params and id of a call, or code and id of what is none."""
    return [
        (entry.method, bytes(entry.params), bytes(entry.id))
        if isinstance(entry, Call)
        else (entry.error.code, bytes(entry.id))
        for entry in decode(body).entries
    ]


def with_id(id: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"ping","id":{id}}}'


# --- what is read


def test_call_is_read_as_it_was_sent() -> None:
    batch = decode(' {"jsonrpc": "2.0", "method": "a@b", "params": {"x": 1.0}, "id": 7}\r\n')
    assert batch.single
    (call,) = batch.entries
    assert isinstance(call, Call)
    assert (call.method, bytes(call.params), bytes(call.id)) == ("a@b", b'{"x": 1.0}', b"7")


def test_batch_keeps_the_order() -> None:
    batch = decode(f"[{with_id('3')}, {with_id('1')}, {with_id('2')}]")
    assert not batch.single
    assert [bytes(entry.id) for entry in batch.entries] == [b"3", b"1", b"2"]


def test_array_of_one_is_no_single_call() -> None:
    assert not decode(f"\t[{PING}]").single


def test_members_that_are_missing_are_told_from_empty_ones() -> None:
    missing, empty = decode(
        '[{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","method":"a","params":[],"id":null}]'
    ).entries
    assert isinstance(missing, Call)
    assert isinstance(empty, Call)
    assert missing.id is NO_ID
    assert missing.params is NO_PARAMS
    assert empty.id is not NO_ID
    assert empty.params is not NO_PARAMS


def test_order_of_members_is_nothing() -> None:
    assert seen('{"id":1,"params":[2],"method":"a","jsonrpc":"2.0"}') == [("a", b"[2]", b"1")]


def test_other_members_are_not_looked_at() -> None:
    assert seen('{"jsonrpc":"2.0","method":"a","id":1,"meta":{"id":2,"id":3},"x":"a:b"}') == [
        ("a", b"[]", b"1")
    ]


# --- ids


@pytest.mark.parametrize(
    "id",
    [
        "1", "0", "-1", "-0", "1.0", "1.50", "1e2", "1E-7", "18446744073709551616", "-9" + "9" * 60,
        "9" * 5000, '""', '"1"', '"a\\u00e9\\n"', '"é"', '"\U0001f600"', '"{"', '":"', "null",
    ],
)  # fmt: skip
def test_id_is_kept_as_it_came(id: str) -> None:
    assert [bytes(entry.id) for entry in decode(with_id(id)).entries] == [id.encode()]
    assert [bytes(entry.id) for entry in decode(f"[{PING},{with_id(id)}]").entries] == [b"1", id.encode()]


@pytest.mark.parametrize("id", ["true", "false", "[]", "[1]", "{}", '{"a":1}', "1e400", "-1e999"])
def test_id_that_is_none_is_answered_with_null(id: str) -> None:
    assert seen(with_id(id)) == [(-32600, b"null")]
    assert seen(f"[{PING},{with_id(id)},{PING}]") == [
        ("ping", b"[]", b"1"),
        (-32600, b"null"),
        ("ping", b"[]", b"1"),
    ]


# --- what is no call


NO_CALLS = {
    "a number": "1",
    "a string": '"ping"',
    "null": "null",
    "true": "true",
    "an empty object": "{}",
    "an array": "[[]]",
    "no version": '{"method":"a"}',
    "another version": '{"jsonrpc":"1.0","method":"a"}',
    "a version that is a number": '{"jsonrpc":2.0,"method":"a"}',
    "a version that is null": '{"jsonrpc":null,"method":"a"}',
    "no method": '{"jsonrpc":"2.0"}',
    "a method that is a number": '{"jsonrpc":"2.0","method":1}',
    "a method that is null": '{"jsonrpc":"2.0","method":null}',
    "a method that is an array": '{"jsonrpc":"2.0","method":["a"]}',
    "a response": '{"jsonrpc":"2.0","result":1}',
    "names in capitals": '{"JSONRPC":"2.0","METHOD":"a"}',
}


@pytest.mark.parametrize("entry", NO_CALLS.values(), ids=NO_CALLS.keys())
def test_what_is_no_call_keeps_its_neighbours(entry: str) -> None:
    assert seen(f"[{PING},{entry},{PING}]") == [
        ("ping", b"[]", b"1"),
        (-32600, b"null"),
        ("ping", b"[]", b"1"),
    ]


@pytest.mark.parametrize(
    "entry",
    [
        '{"jsonrpc":"2.0","method":1,"id":"mine"}',
        '{"id":"mine"}',
        '{"jsonrpc":"3.0","method":"a","id":"mine"}',
    ],
)
def test_what_is_no_call_is_told_so_under_its_id(entry: str) -> None:
    assert seen(entry) == [(-32600, b'"mine"')]


def test_what_is_no_call_and_has_no_id_is_told_so_all_the_same() -> None:
    assert seen('[{"jsonrpc":"2.0","method":1}]') == [(-32600, b"null")]


REPEATED = {
    "method": '{"jsonrpc":"2.0","method":"a","method":"b","id":1}',
    "version": '{"jsonrpc":"2.0","jsonrpc":"2.0","method":"a","id":1}',
    "params": '{"jsonrpc":"2.0","method":"a","params":[1],"params":[2],"id":1}',
    "method, in a disguise": '{"jsonrpc":"2.0","method":"a","\\u006dethod":"b","id":1}',
    "method, where params are missing": '{"jsonrpc":"2.0","method":"b","id":1,"method":"a"}',
    "method, beside colons": '{"jsonrpc":"2.0","method":"a:b","id":1,"params":{"x":":"},"method":"a::"}',
    "a member that is none of ours": '{"jsonrpc":"2.0","method":"a","id":1,"x":1,"x":2}',
}


@pytest.mark.parametrize("entry", REPEATED.values(), ids=REPEATED.keys())
def test_member_that_comes_twice_makes_it_no_call(entry: str) -> None:
    assert seen(entry) == [(-32600, b"1")]
    assert seen(f"[{PING},{entry}]") == [("ping", b"[]", b"1"), (-32600, b"1")]


def test_id_that_comes_twice_is_none() -> None:
    assert seen('{"jsonrpc":"2.0","method":"a","id":1,"id":2}') == [(-32600, b"null")]


def test_notification_with_a_method_that_comes_twice_is_told_so() -> None:
    """As many members as a call has: the count alone does not show it."""
    assert seen('[{"jsonrpc":"2.0","method":"a","params":[1],"method":"b"}]') == [(-32600, b"null")]


@pytest.mark.parametrize(
    "entry",
    [
        '{"jsonrpc":"2.0","method":"a::b","params":{"x":{"y":"c:d"},"z":":"},"id":"e:f"}',
        '{"jsonrpc":"2.0","method":"a\\u003ab","params":[{"x":1}],"id":"\\u003a"}',
        '{"jsonrpc":"2.0","method":"a","params":{"id":1,"method":"b","jsonrpc":"1"},"id":"x"}',
    ],
)
def test_colons_and_names_elsewhere_repeat_nothing(entry: str) -> None:
    expected = json.loads(entry)
    ((method, params, id),) = seen(entry)
    assert (method, json.loads(params), json.loads(id)) == (
        expected["method"],
        expected["params"],
        expected["id"],
    )


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}"), ('[{"]":', "}]")])  # noqa: PT006
def test_params_may_be_nested_so_deep_and_no_deeper(opening: str, closing: str) -> None:
    def nested(count: int) -> str:
        params = opening * count + " " * 20 + "1" + closing * count
        return f'{{"jsonrpc":"2.0","method":"a","params":{params},"id":1}}'

    levels = opening.count("[") + opening.count("{")
    assert [code for code, *_ in seen(nested(8 // levels))] == ["a"]
    assert [code for code, *_ in seen(nested(8 // levels + 1))] == [-32600]
    assert seen(f"[{PING},{nested(9)}]") == [("ping", b"[]", b"1"), (-32600, b"1")]


def test_brackets_in_strings_nest_nothing() -> None:
    params = json.dumps(["[" * 50, '\\"[[[[[[[[[[{{{{{{"', {"[[[[[[[[[[": "]"}])
    ((method, *_),) = seen(f'{{"jsonrpc":"2.0","method":"a","params":{params}}}')
    assert method == "a"


# --- what is no batch


NO_JSON = {
    "nothing": b"",
    "a space": b" ",
    "an open array": b"[",
    "an open object": b'{"jsonrpc":"2.0"',
    "a comma too much": f"[{PING},]".encode(),
    "two values": f"{PING}{PING}".encode(),
    "lines": f"{PING}\n{PING}".encode(),
    "a comment": f"/* */{PING}".encode(),
    "single quotes": b"{'jsonrpc':'2.0'}",
    "NaN": with_id("1").replace("1}", "NaN}").encode(),
    "NaN in params": b'{"jsonrpc":"2.0","method":"a","params":[NaN],"id":1}',
    "Infinity in params": b'{"jsonrpc":"2.0","method":"a","params":[-Infinity],"id":1}',
    "a byte order mark": b"\xef\xbb\xbf" + PING.encode(),
    "UTF-16": PING.encode("utf-16"),
    "a byte that is no UTF-8, in a method": b'{"jsonrpc":"2.0","method":"\xff","id":1}',
    "a byte that is no UTF-8, in params": b'{"jsonrpc":"2.0","method":"a","params":["\xc3"],"id":1}',
    "a byte that is no UTF-8, in an id": b'{"jsonrpc":"2.0","method":"a","id":"\xed\xa0\x80"}',
    "a byte that is no UTF-8, in what is not looked at": b'{"jsonrpc":"2.0","method":"a","x":"\xff"}',
    "half a surrogate pair": b'{"jsonrpc":"2.0","method":"a","id":"\\ud800"}',
    "a control character": b'{"jsonrpc":"2.0","method":"a","id":"\x01"}',
    "a leading zero": with_id("01").encode(),
    "a plus": with_id("+1").encode(),
    "a hundred thousand brackets": b"[" * 100_000,
    "a hundred thousand brackets that are closed": b"[" * 100_000 + b"]" * 100_000,
    "deep params": b'{"jsonrpc":"2.0","method":"a","params":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    "an error behind a wrong entry": b"[1, {]",
    "an error behind a wrong member": b'{"jsonrpc":1, "method"',
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_what_is_no_json_is_one_parse_error(body: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(body)
    assert (caught.value.error.code, caught.value.error.message) == (-32700, "Parse error")
    assert caught.value.status == 400


def test_empty_array_is_one_invalid_request() -> None:
    for body in ("[]", " [ ] "):
        with pytest.raises(Unreadable) as caught:
            decode(body)
        assert (caught.value.error.code, caught.value.error.message) == (-32600, "Invalid Request")


@pytest.mark.parametrize("entry", [PING, "1"])
def test_too_many_entries_are_refused_whole(entry: str) -> None:
    assert len(decode(f"[{','.join([entry] * 3)}]", max_items=3).entries) == 3
    with pytest.raises(TooManyItems):
        decode(f"[{','.join([entry] * 4)}]", max_items=3)


# --- what is written


def encode(*responses: Any, single: bool = False) -> bytes | None:
    return DIALECT.encode(responses, msgspec.json.encode, single=single)


def test_answers_are_written_as_in_the_specification() -> None:
    answer = DIALECT.answer([1, "é"], Raw(b"1.0"))
    assert encode(answer, single=True) == '{"jsonrpc":"2.0","result":[1,"é"],"id":1.0}'.encode()
    assert encode(answer) == '[{"jsonrpc":"2.0","result":[1,"é"],"id":1.0}]'.encode()


def test_failure_has_data_only_if_there_is_some() -> None:
    (entry,) = decode("1").entries
    assert isinstance(entry, Malformed)
    failure = DIALECT.failure(entry.error, entry.id)
    assert encode(failure, single=True) == (
        b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}'
    )
    with_data = DIALECT.failure(msgspec.structs.replace(entry.error, data=None), entry.id)
    assert encode(with_data, single=True) == (
        b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":null},"id":null}'
    )


def test_notifications_leave_no_gap_and_no_empty_array() -> None:
    answer = DIALECT.answer(1, Raw(b"2"))
    one = b'{"jsonrpc":"2.0","result":1,"id":2}'
    assert encode(None, answer, None, answer) == b"[" + one + b"," + one + b"]"
    assert encode(None, None) is None
    assert encode(None, single=True) is None


def test_call_whose_params_are_none_is_told_under_its_id() -> None:
    with_one, without = decode(f"[{PING}," + '{"jsonrpc":"2.0","method":"a"}]').entries
    assert isinstance(with_one, Call)
    assert isinstance(without, Call)
    assert bytes(DIALECT.unfit(with_one).id) == b"1"
    assert bytes(DIALECT.unfit(without).id) == b"null"
    assert DIALECT.unfit(with_one, "why").error.data == "why"


# --- anything at all


def check(body: bytes) -> None:
    """Whatever comes: a batch of entries that can be answered, or one of two errors."""
    code: int | None = None
    try:
        batch = decode(body)
    except Unreadable as refusal:
        code = refusal.error.code
    else:
        check_entries(body, batch)
    assert code in (None, -32700, -32600)


def check_entries(body: bytes, batch: Batch) -> None:
    sent = json.loads(body)
    sent = [sent] if batch.single else sent
    assert len(batch.entries) == len(sent)
    for entry, was in zip(batch.entries, sent, strict=True):
        if isinstance(entry, Call):
            assert entry.method == was["method"]
            assert was["jsonrpc"] == "2.0"
            assert ("id" in was) == (entry.id is not NO_ID)
            assert entry.id is NO_ID or json.loads(bytes(entry.id)) == was["id"]
            assert json.loads(bytes(entry.params)) == was.get("params", [])
        else:
            id = json.loads(bytes(entry.id))
            assert id is None or id == was["id"]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    check(body)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
members = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | values,
        "method": st.text(max_size=5) | values,
        "params": values,
        "id": values,
        "x": values,
    },
)


@given(st.lists(members | values, max_size=5) | members | values)
def test_any_json_is_read_or_refused(document: Any) -> None:
    check(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
    check(json.dumps(document, separators=(",", ":")).encode())
