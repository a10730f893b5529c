"""Envelopes as Sajya has them: the cases of its own tests, and those that it gets wrong."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from batchway.formats.jsonrpc import NO_ID, Call, Error, Malformed
from batchway.formats.sajya import SajyaDialect

DIALECT = SajyaDialect()

VERSION = {"jsonrpc": ["The jsonrpc field is required."]}
WRONG_VERSION = {"jsonrpc": ["The selected jsonrpc is invalid."]}
METHOD = {"method": ["The method field is required."]}
WRONG_METHOD = {"method": ["The method field must be a string."]}
WRONG_PARAMS = {"params": ["The params field must be an array."]}
WRONG_ID = {"id": ["The id must be a string or integer."]}


def entry(body: str) -> Call | Malformed:
    (found,) = DIALECT.decode(body.encode(), max_items=10, max_depth=8).entries
    return found


def sent(**members: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "method": "a@b", "id": 1} | members)


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("1", '"1"'),
        ("0", '"0"'),
        ("-7", '"-7"'),
        ("1.5", '"1.5"'),
        ('"1"', '"1"'),
        ('"uuid"', '"uuid"'),
        ("null", "null"),
    ],
)
def test_ids_become_strings(id: str, expected: str) -> None:
    call = entry(f'{{"jsonrpc":"2.0","method":"a","id":{id}}}')
    assert isinstance(call, Call)
    assert bytes(call.id) == expected.encode()


def test_ids_of_calls_beside_malformed_ones_become_strings() -> None:
    body = f"[{sent(id=3)}, 1]".encode()
    call, malformed = DIALECT.decode(body, max_items=10, max_depth=8).entries
    assert bytes(call.id) == b'"3"'
    assert isinstance(malformed, Malformed)


def test_id_0_is_no_notification_and_no_id_is_one() -> None:
    assert entry(sent(id=0)).id is not NO_ID
    assert entry('{"jsonrpc":"2.0","method":"a"}').id is NO_ID


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (sent(jsonrpc="12.0"), WRONG_VERSION),
        (sent(jsonrpc=None), VERSION),
        (sent(jsonrpc=""), VERSION),
        (sent(jsonrpc=2.0), WRONG_VERSION),
        ('{"method":"a"}', VERSION),
        ('{"jsonrpc":"2.0","id":1}', METHOD),
        (sent(method=""), METHOD),
        (sent(method=" \t"), METHOD),
        (sent(method=[]), METHOD),
        ('{"jsonrpc":"2.0","method":{ }}', METHOD),
        (sent(jsonrpc="2.0 "), WRONG_VERSION),
        ('{"jsonrpc":"2.\\u0030"}', METHOD),
        (sent(method=1), WRONG_METHOD),
        (sent(method=["a"]), WRONG_METHOD),
        (sent(id=["test"]), WRONG_ID),
        (sent(id=True), WRONG_ID),
        ('{"x":1}', VERSION | METHOD),
        (
            sent(jsonrpc="1", method=None, params="x", id={}),
            WRONG_VERSION | METHOD | WRONG_PARAMS | WRONG_ID,
        ),
    ],
)
def test_bad_envelope_is_told_what_is_wrong_with_each_member(body: str, data: Any) -> None:
    found = entry(body)
    assert isinstance(found, Malformed)
    assert found.error == Error(-32602, "Invalid params", data)
    assert bytes(found.id) == b"null"


def test_calls_beside_one_without_a_name_are_calls() -> None:
    body = f"[{sent(method='')},{sent(id=2)}]".encode()
    nameless, call = DIALECT.decode(body, max_items=10, max_depth=8).entries
    assert isinstance(nameless, Malformed)
    assert isinstance(call, Call)
    assert bytes(call.id) == b'"2"'


@pytest.mark.parametrize("body", ["{}", "1", '"x"', "null", "[[]]", "[1]"])
def test_what_is_no_object_is_an_invalid_request(body: str) -> None:
    found = entry(body)
    assert isinstance(found, Malformed)
    assert (found.error.code, bytes(found.id)) == (-32600, b"null")


def test_params_that_are_no_array_are_told_as_any_member() -> None:
    call = entry(sent(params="x"))
    assert isinstance(call, Call)
    assert DIALECT.unfit(call).error == Error(-32602, "Invalid params", WRONG_PARAMS)
    assert DIALECT.unfit(call, "why").error.code == -32600


def test_member_that_comes_twice_is_an_invalid_request() -> None:
    found = entry('{"jsonrpc":"2.0","method":"a","method":"b","id":1}')
    assert isinstance(found, Malformed)
    assert (found.error.code, bytes(found.id)) == (-32600, b'"1"')


def encode(*responses: Any, single: bool) -> bytes | None:
    return DIALECT.encode(responses, msgspec.json.encode, single=single)


def test_members_come_in_its_order() -> None:
    answer = DIALECT.answer("pong", Raw(b'"1"'))
    assert encode(answer, single=True) == b'{"id":"1","result":"pong","jsonrpc":"2.0"}'


def test_data_is_always_there() -> None:
    failure = DIALECT.failure(Error(-32700, "Parse error"), Raw(b"null"))
    assert encode(failure, single=False) == (
        b'[{"id":null,"error":{"code":-32700,"message":"Parse error","data":null},"jsonrpc":"2.0"}]'
    )


def test_notifications_are_answered_with_nothing_of_their_kind() -> None:
    assert encode(None, single=True) == b"{}"
    assert encode(None, None, single=False) == b"[]"
