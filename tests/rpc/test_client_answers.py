"""Which answer belongs to which call, whatever a server sends."""

from typing import Any

import pytest
from msgspec import Raw
from structlog.testing import capture_logs

from batchway.rpc import BadAnswer, HttpError, InternalError, MethodNotFound, RpcError
from batchway.rpc.client.answers import Said, key_of, settle
from batchway.rpc.client.calls import CallMaker, PendingCall
from batchway.rpc.client.settings import Hooks


def calls(count: int, *, notifications: int = 0) -> list[PendingCall]:
    """Calls with the ids 1, 2, ..., then notifications."""
    make = CallMaker(Hooks())
    made = [make.make(f"m{number}", None) for number in range(1, count + 1)]
    return made + [make.make("n", None, is_notification=True) for _ in range(notifications)]


def outcomes(pending: list[PendingCall]) -> list[Any]:
    """Of each call its result, or its error as text."""
    return [one.reply.result if one.reply.error is None else str(one.reply.error) for one in pending]


def told(body: bytes, count: int = 2, notifications: int = 0) -> list[Any]:
    """What becomes of calls that are answered with `body`, which is an answer to speak of."""
    pending = calls(count, notifications=notifications)
    assert settle(pending, Said(body)) is None
    return outcomes(pending)


def test_order_says_nothing() -> None:
    assert told(b'[{"id":2,"result":"b"},{"id":1,"result":"a"}]') == ["a", "b"]


def test_ids_as_strings_are_the_same_as_numbers() -> None:
    assert told(b'[{"id":"2","result":"b","jsonrpc":"2.0"},{"id":"1","result":"a"}]') == ["a", "b"]


@pytest.mark.parametrize(
    ("id", "key"),
    [
        (b"1", "1"),
        (b'"1"', "1"),
        (b"1.0", "1"),
        (b"1.5", "1.5"),
        (b"null", None),
        (b'"a\\u0062"', "ab"),
        (b"[1]", "[1]"),
        (b"true", "true"),
        (b"1e400", "1e400"),
        (b"1" * 400, "1" * 400),
    ],
)
def test_ids_are_compared_as(id: bytes, key: str | None) -> None:
    assert key_of(Raw(id)) == key


def test_a_call_without_an_answer_fails_alone() -> None:
    a, b = told(b'[{"id":1,"result":"a"}]')
    assert (a, b) == ("a", "m2: there is no answer to this call")


def test_a_call_with_two_answers_has_none() -> None:
    a, b = told(b'[{"id":1,"result":"x"},{"id":2,"result":"b"},{"id":"1","result":"y"}]')
    assert (a, b) == ("m1: there are 2 answers to this call", "b")


def test_an_answer_to_no_call_is_named_where_one_is_missing() -> None:
    a, b = told(b'[{"id":1,"result":"a"},{"id":99,"result":"x"}]')
    assert a == "a"
    assert b == "m2: there is no answer to this call; there is one with the id 99, which no call has"


def test_an_answer_to_no_call_is_logged_where_none_is_missing() -> None:
    with capture_logs() as logs:
        assert told(b'[{"id":1,"result":"a"},{"id":99,"result":"x"},{"id":2,"result":"b"}]') == ["a", "b"]
    assert ["answers to no call" in one["event"] for one in logs] == [True]


@pytest.mark.parametrize("in_array", [False, True])
def test_one_error_for_all_is_the_error_of_each(in_array: bool) -> None:
    body = b'{"id":null,"error":{"code":-32000,"message":"Too many"},"jsonrpc":"2.0"}'
    pending = calls(2)
    assert settle(pending, Said(b"[" + body + b"]" if in_array else body)) is None
    errors = [one.reply.error for one in pending]
    assert [str(error) for error in errors] == ["Too many (-32000)"] * 2
    assert errors[0] is not errors[1]  # each is raised with a traceback of its own


def test_a_parse_error_without_an_id_is_the_error_of_the_call() -> None:
    assert told(b'{"error":{"code":-32700,"message":"Parse error"}}', 1) == ["Parse error (-32700)"]


def test_an_error_without_an_id_is_that_of_the_call_that_has_no_answer() -> None:
    a, b = told(b'[{"id":null,"error":{"code":-32600,"message":"Bad"}},{"id":1,"result":"a"}]')
    assert (a, b) == ("a", "Bad (-32600)")


def test_several_errors_without_an_id_are_told_and_not_guessed() -> None:
    body = b'[{"id":null,"error":{"code":1,"message":"x"}},{"id":null,"error":{"code":2,"message":"y"}}]'
    expected = (
        "there is no answer to this call; of calls that it does not name, the server says: x (1); y (2)"
    )
    assert told(body) == [f"m1: {expected}", f"m2: {expected}"]


def test_errors_have_their_code_message_and_data() -> None:
    pending = calls(3)
    body = (
        b'[{"id":1,"error":{"code":-32601,"message":"no","data":{"a":[1]}}},'
        b'{"id":2,"error":{"code":5,"message":"five","data":null}},'
        b'{"id":3,"error":{"code":-32603,"message":"ours"}}]'
    )
    settle(pending, Said(body))
    first, second, third = (one.reply.error for one in pending)
    assert isinstance(first, MethodNotFound)
    assert first.data == {"a": [1]}
    assert type(second) is RpcError
    assert (second.code, second.message, second.data) == (5, "five", None)
    assert isinstance(third, InternalError)


@pytest.mark.parametrize("error", [b'"no"', b"{}", b'{"code":"x","message":"y"}', b"[1]"])
def test_an_error_that_is_none_is_a_bad_answer(error: bytes) -> None:
    (said,) = told(b'{"id":1,"error":' + error + b"}", 1)
    assert said == "the server answered with an error that is none of JSON-RPC's"


def test_both_members_where_one_is_null_are_one() -> None:
    body = (
        b'[{"id":1,"result":5,"error":null},{"id":2,"result":null,"error":{"code":1,"message":"x"}},'
        b'{"id":3,"result":null,"error":null}]'
    )
    assert told(body, 3) == [5, "x (1)", None]


def test_a_result_beside_an_error_is_a_bad_answer() -> None:
    assert told(b'{"id":1,"result":5,"error":{"code":1,"message":"x"}}', 1) == [
        "m1: the answer has a result and an error"
    ]


def test_neither_result_nor_error_is_a_bad_answer() -> None:
    assert told(b'[{"id":1}]', 1) == ["m1: the answer has neither a result nor an error"]


@pytest.mark.parametrize("body", [b"", b"  ", b"[]", b"{}"])
def test_nothing_at_all(body: bytes) -> None:
    assert told(body, 1) == ["m1: there is no answer to this call"]
    assert told(body, 0, notifications=2) == [None, None]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "the answer is not JSON"),
        (b'[{"id":1,"result":', "the answer is not JSON"),
        (b"5", "the answer is JSON, but not JSON-RPC"),
        (b'["x"]', "the answer is JSON, but not JSON-RPC"),
        (b'[{"id":1,"result":' + b"[" * 100_000, "the answer is not JSON"),
    ],
)
def test_what_is_no_answer_fails_all_calls(body: bytes, said: str) -> None:
    pending = calls(2, notifications=1)
    error = settle(pending, Said(body))
    assert isinstance(error, BadAnswer)
    assert outcomes(pending) == [said] * 3


def test_a_result_without_an_id_is_told_as_one() -> None:
    (found,) = told(b'{"jsonrpc":"2.0","result":1}', count=1)
    assert str(found) == "the server sent a result without an id"


def test_a_result_that_cannot_be_decoded_fails_its_call_alone() -> None:
    a, b = told(b'[{"id":1,"result":"\xff"},{"id":2,"result":2}]')
    assert b == 2
    assert a.startswith("m1: the result is not what was expected")


def test_a_notification_that_is_refused_alone_fails() -> None:
    pending = calls(0, notifications=1)
    settle(pending, Said(b'{"id":null,"error":{"code":-32600,"message":"Bad"}}'))
    assert str(pending[0].reply.error) == "Bad (-32600)"


def test_a_status_that_is_no_success_fails_all_calls() -> None:
    pending = calls(2)
    refusal = HttpError("the server answered 502", status=502, body=b"<html>")
    error = settle(pending, Said(b"<html>", refusal))
    assert error is refusal
    found = pending[1].reply.error
    assert isinstance(found, HttpError)
    assert (found.status, found.body, found.message) == (502, b"<html>", "the server answered 502")
    assert found is not refusal


def test_a_status_that_is_no_success_may_have_words_in_json_rpc() -> None:
    pending = calls(1)
    body = b'{"id":null,"error":{"code":-32053,"message":"Request too large"}}'
    error = settle(pending, Said(body, HttpError("the server answered 413", status=413)))
    assert isinstance(error, HttpError)
    assert str(error) == "the server answered 413: Request too large (-32053)"
    assert error.error is not None
    assert error.error.code == -32053


def test_an_answer_to_a_call_counts_whatever_the_status_is() -> None:
    pending = calls(1)
    body = b'{"id":1,"result":null,"error":{"code":-32601,"message":"no"}}'
    assert settle(pending, Said(body, HttpError("500", status=500))) is None
    assert isinstance(pending[0].reply.error, MethodNotFound)
