"""The example exchanges of the specification. Source: JSON-RPC 2.0 Specification, section 7."""

import json
from typing import Any

import pytest

from batchway.rpc import RpcApp

from .asking import raw_answer

PARSE_ERROR = '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}'
INVALID = '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}'

EXCHANGES = {
    "positional parameters": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
        '{"jsonrpc": "2.0", "result": 19, "id": 1}',
    ),
    "positional parameters, the other way round": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
        '{"jsonrpc": "2.0", "result": -19, "id": 2}',
    ),
    "named parameters": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
        '{"jsonrpc": "2.0", "result": 19, "id": 3}',
    ),
    "named parameters, the other way round": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
        '{"jsonrpc": "2.0", "result": 19, "id": 4}',
    ),
    "a notification": ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    "a notification for no method": ('{"jsonrpc": "2.0", "method": "foobar"}', None),
    "a call of no method": (
        '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
        '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}',
    ),
    "a call that is no JSON": ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', PARSE_ERROR),
    "a call that is no call": ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID),
    "a batch that is no JSON": (
        """[
          {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
          {"jsonrpc": "2.0", "method"
        ]""",
        PARSE_ERROR,
    ),
    "an empty array": ("[]", INVALID),
    "a batch of one that is no call": ("[1]", f"[{INVALID}]"),
    "a batch of three that are no calls": ("[1,2,3]", f"[{INVALID}, {INVALID}, {INVALID}]"),
    "a batch": (
        """[
          {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
          {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
          {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
          {"foo": "boo"},
          {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
          {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
        ]""",
        """[
          {"jsonrpc": "2.0", "result": 7, "id": "1"},
          {"jsonrpc": "2.0", "result": 19, "id": "2"},
          {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
          {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
          {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
        ]""",
    ),
    "a batch of notifications": (
        """[
          {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
          {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
        ]""",
        None,
    ),
}


# What the sajya profile says where it says more than the same in its own shape.
NO_CALL = {
    "jsonrpc": ["The jsonrpc field is required."],
    "method": ["The method field is required."],
}
WRONG_CALL = {
    "method": ["The method field must be a string."],
    "params": ["The params field must be an array."],
}
SAJYA_DATA = {"a call that is no call": {0: WRONG_CALL}, "a batch": {2: NO_CALL}}
"""Of an exchange, the positions of responses that tell what is wrong with each member."""
SAJYA_SILENCE = {"a batch of notifications": "[]"}


def service(profile: str) -> RpcApp:
    app = RpcApp(profile=profile)

    @app.method
    async def subtract(minuend: int, subtrahend: int) -> int:
        return minuend - subtrahend

    @app.method("sum")
    async def total(*numbers: int) -> int:
        return sum(numbers)

    @app.method
    async def get_data() -> list[Any]:
        return ["hello", 5]

    async def ignore(*_: int) -> None: ...

    for name in ("update", "notify_hello", "notify_sum"):
        app.method(name)(ignore)
    return app


def in_sajya(response: dict[str, Any], data: dict[str, Any] | None) -> dict[str, Any]:
    """The response as that profile has it."""
    id = None if response["id"] is None else str(response["id"])
    if "result" in response:
        return {"id": id, "result": response["result"], "jsonrpc": "2.0"}
    code, message = response["error"]["code"], response["error"]["message"]
    if data:
        code, message = -32602, "Invalid params"
    return {"id": id, "error": {"code": code, "message": message, "data": data}, "jsonrpc": "2.0"}


def compact(document: Any) -> str:
    """Members in the same order, too; only the spaces are none of ours."""
    return json.dumps(document, separators=(",", ":"))


def test_all_examples_are_here() -> None:
    assert len(EXCHANGES) == 15


@pytest.mark.parametrize(("sent", "expected"), EXCHANGES.values(), ids=EXCHANGES.keys())
def test_exchange(sent: str, expected: str | None) -> None:
    said = raw_answer(service("standard"), sent)
    assert (said and said.decode()) == (expected and compact(json.loads(expected)))


@pytest.mark.parametrize("name", EXCHANGES)
def test_exchange_in_the_sajya_profile(name: str) -> None:
    sent, expected = EXCHANGES[name]
    said = raw_answer(service("sajya"), sent)
    assert said is not None
    if expected is None:
        assert said.decode() == SAJYA_SILENCE.get(name, "{}")
        return
    found = json.loads(expected)
    responses = found if isinstance(found, list) else [found]
    data = SAJYA_DATA.get(name, {})
    turned = [in_sajya(response, data.get(index)) for index, response in enumerate(responses)]
    assert said.decode() == compact(turned if isinstance(found, list) else turned[0])
