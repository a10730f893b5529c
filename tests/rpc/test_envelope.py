"""Edge cases of the envelope, byte by byte: what a client sends, and what it gets."""

import json

import pytest

from batchway.rpc import RpcApp

from .asking import raw_answer

PARSE_ERROR = '{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'
INVALID = '{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}'


def pong(id: str) -> str:
    return f'{{"jsonrpc":"2.0","result":"pong","id":{id}}}'


def ping(id: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"ping","id":{id}}}'


def invalid(id: str, data: str = "") -> str:
    data = data and f',"data":"{data}"'
    return f'{{"jsonrpc":"2.0","error":{{"code":-32600,"message":"Invalid Request"{data}}},"id":{id}}}'


CASES: dict[str, tuple[str | bytes, str | None]] = {
    "id of zero": (ping("0"), pong("0")),
    "negative id": (ping("-5"), pong("-5")),
    "id with a fraction": (ping("1.0"), pong("1.0")),
    "id with an exponent": (ping("1e3"), pong("1e3")),
    "id of more than 64 bits": (
        ping("123456789012345678901234567890"),
        pong("123456789012345678901234567890"),
    ),
    "id that is empty": (ping('""'), pong('""')),
    "id that is a number in a string": (ping('"1"'), pong('"1"')),
    "id with escapes": (ping('"\\u00e9\\n\\""'), pong('"\\u00e9\\n\\""')),
    "id that is not ASCII": (ping('"é\u2028"'), pong('"é\u2028"')),
    "id of null": (ping("null"), pong("null")),
    "no id": ('{"jsonrpc":"2.0","method":"ping"}', None),
    "id of true": (ping("true"), INVALID),
    "id that is an array": (ping("[1]"), INVALID),
    "id that is an object": (ping('{"a":1}'), INVALID),
    "id that no float holds": (ping("1e400"), INVALID),
    "duplicate ids": (f"[{ping('1')},{ping('1')}]", f"[{pong('1')},{pong('1')}]"),
    "empty body": ("", PARSE_ERROR),
    "white space": (" \r\n\t", PARSE_ERROR),
    "white space around": (f" \r\n{ping('1')}\t", pong("1")),
    "white space around a batch": (f"\n [ {ping('1')} ] ", f"[{pong('1')}]"),
    "byte order mark": (b"\xef\xbb\xbf" + ping("1").encode(), PARSE_ERROR),
    "invalid UTF-8": (b'{"jsonrpc":"2.0","method":"ping","id":"\xff"}', PARSE_ERROR),
    "UTF-16": (ping("1").encode("utf-16-le"), PARSE_ERROR),
    "NaN": ('{"jsonrpc":"2.0","method":"ping","params":[NaN],"id":1}', PARSE_ERROR),
    "two documents": (f"{ping('1')}{ping('2')}", PARSE_ERROR),
    "trailing comma": (f"[{ping('1')},]", PARSE_ERROR),
    "deep array": ("[" * 100_000 + "]" * 100_000, PARSE_ERROR),
    "deep params": (
        f'{{"jsonrpc":"2.0","method":"ping","params":{"[" * 200}{"]" * 200},"id":1}}',
        invalid("1", "params are nested deeper than 128"),
    ),
    "number that no float holds": (
        '{"jsonrpc":"2.0","method":"echo","params":[1e400],"id":1}',
        invalid("1", "a number is out of range"),
    ),
    "empty array": ("[]", INVALID),
    "empty object": ("{}", INVALID),
    "empty object in a batch": ("[{}]", f"[{INVALID}]"),
    "array in a batch": (f"[[{ping('1')}]]", f"[{INVALID}]"),
    "null": ("null", INVALID),
    "string": ('"ping"', INVALID),
    "number": ("1", INVALID),
    "true": ("true", INVALID),
    "version of 1.0": ('{"jsonrpc":"1.0","method":"ping","id":1}', invalid("1")),
    "version that is a number": ('{"jsonrpc":2.0,"method":"ping","id":1}', invalid("1")),
    "no version": ('{"method":"ping","id":1}', invalid("1")),
    "no method": ('{"jsonrpc":"2.0","id":1}', invalid("1")),
    "method of null": ('{"jsonrpc":"2.0","method":null,"id":1}', invalid("1")),
    "params that are a string": ('{"jsonrpc":"2.0","method":"ping","params":"x","id":1}', invalid("1")),
    "params of null": ('{"jsonrpc":"2.0","method":"ping","params":null,"id":1}', invalid("1")),
    "params of an unknown method that are a string": (
        '{"jsonrpc":"2.0","method":"none","params":"x","id":1}',
        invalid("1"),
    ),
    "notification with params that are a string": (
        '{"jsonrpc":"2.0","method":"ping","params":"x"}',
        INVALID,
    ),
    "method twice": (
        '{"jsonrpc":"2.0","method":"none","method":"ping","id":1}',
        invalid("1", "a member occurs twice"),
    ),
    "id twice": (
        '{"jsonrpc":"2.0","method":"ping","id":1,"id":2}',
        invalid("null", "a member occurs twice"),
    ),
    "member that is unknown": ('{"jsonrpc":"2.0","method":"ping","id":1,"auth":"x"}', pong("1")),
    "members in another order": ('{"id":1,"params":{},"method":"ping","jsonrpc":"2.0"}', pong("1")),
    "empty params": ('{"jsonrpc":"2.0","method":"ping","params":[],"id":1}', pong("1")),
    "broken entry keeps its neighbours": (
        f"[{ping('1')},1,{ping('2')},{{}},{ping('3')}]",
        f"[{pong('1')},{INVALID},{pong('2')},{INVALID},{pong('3')}]",
    ),
    "method name with escapes": ('{"jsonrpc":"2.0","method":"p\\u0069ng","id":1}', pong("1")),
}


@pytest.mark.parametrize(("sent", "expected"), CASES.values(), ids=CASES.keys())
def test_case(sent: str | bytes, expected: str | None) -> None:
    app = RpcApp()

    @app.method
    async def ping() -> str:
        return "pong"

    @app.method
    async def echo(value: float) -> float:
        return value

    said = raw_answer(app, sent)
    assert said == (None if expected is None else expected.encode())


def test_every_expectation_is_json() -> None:
    for _, expected in CASES.values():
        if expected is not None:
            json.loads(expected)
