"""The sajya profile: what a client of that server gets, and what it gets that is better."""

import json
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from batchway.rpc import Context, InternalError, InvalidParams, Procedure, Proxy, RpcApp, RpcError, method

from .asking import raw_answer


class Address(Struct):
    street: str


class Fixture(Procedure):
    name = "fixture"

    @method
    async def ping(self) -> str:
        return "pong"

    @method
    async def nothing(self) -> None: ...

    @method
    async def sum(self, a: int, b: int) -> int:
        return a + b

    @method
    async def all_kinds(
        self,
        text: str,
        number: float,
        flag: bool,
        items: list[int],
        home_address: Address,
        count: Annotated[int, Meta(ge=1)] = 1,
    ) -> None: ...

    @method
    async def fail(self) -> None:
        raise InternalError

    @method
    async def refuse(self, code: int) -> None:
        raise RpcError(code, "Refused", {"foo": "bar"})

    @method
    async def invalid(self) -> None:
        raise InvalidParams(data={"a": ["wrong"]})


class FixtureProxy(Proxy):
    name = "proxy"

    async def forward(self, method: str, params: Any, context: Context) -> Any:
        return [method, context.id]


@pytest.fixture(scope="module")
def app() -> RpcApp:
    return RpcApp([Fixture, FixtureProxy], profile="sajya")


def said(app: RpcApp, document: Any) -> Any:
    """The answer, with its members in order."""
    body = document if isinstance(document, str) else json.dumps(document)
    answer = raw_answer(app, body)
    assert answer is not None
    return json.loads(answer, object_pairs_hook=list)


def call(name: str, params: Any = None, **members: Any) -> dict[str, Any]:
    made = {"jsonrpc": "2.0", "method": f"fixture@{name}", "id": 1}
    return made | ({} if params is None else {"params": params}) | members


def note(name: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": f"fixture@{name}"}


def result(id: Any, value: Any) -> list[Any]:
    return [("id", id), ("result", value), ("jsonrpc", "2.0")]


def failure(id: Any, code: int, message: str, data: Any = None) -> list[Any]:
    return [
        ("id", id),
        ("error", [("code", code), ("message", message), ("data", data)]),
        ("jsonrpc", "2.0"),
    ]


def test_exchange_of_the_documentation(app: RpcApp) -> None:
    assert said(app, [call("ping"), call("ping", id=2)]) == [result("1", "pong"), result("2", "pong")]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (call("ping", id="uuid"), result("uuid", "pong")),
        (call("nothing"), result("1", None)),
        (call("sum", {"a": 1, "b": 2}), result("1", 3)),
        (call("sum", [1, 2]), result("1", 3)),
        (call("none"), failure("1", -32601, "Method not found")),
        (call("fail"), failure("1", -32603, "Internal error")),
        (call("refuse", [403]), failure("1", 403, "Refused", [("foo", "bar")])),
        (call("invalid"), failure("1", -32602, "Invalid params", [("a", ["wrong"])])),
        ({"jsonrpc": "2.0", "method": "proxy@any", "id": 7}, result("7", ["any", "7"])),
        ("[]", failure(None, -32600, "Invalid Request")),
        ("[1, 2]", [failure(None, -32600, "Invalid Request")] * 2),
        ("1", failure(None, -32600, "Invalid Request")),
        ("{", failure(None, -32700, "Parse error")),
        ("", failure(None, -32700, "Parse error")),
        (
            call("ping", jsonrpc="12.0"),
            failure(None, -32602, "Invalid params", [("jsonrpc", ["The selected jsonrpc is invalid."])]),
        ),
        (
            call("ping", id=["test"]),
            failure(None, -32602, "Invalid params", [("id", ["The id must be a string or integer."])]),
        ),
        (
            call("ping", "text"),
            failure(None, -32602, "Invalid params", [("params", ["The params field must be an array."])]),
        ),
        (
            '{"jsonrpc": "2.0", "id": 1}',
            failure(None, -32602, "Invalid params", [("method", ["The method field is required."])]),
        ),
    ],
)
def test_answers_as_that_server_does(app: RpcApp, sent: Any, expected: Any) -> None:
    assert said(app, sent) == expected


def test_params_are_told_in_its_words(app: RpcApp) -> None:
    assert said(app, call("sum")) == failure(
        "1",
        -32602,
        "Invalid params",
        [("a", ["The a field is required."]), ("b", ["The b field is required."])],
    )
    wrong = {
        "text": 1, "number": "x", "flag": 0, "items": 1, "home_address": {"street": None},
        "count": 0, "x": 1,
    }  # fmt: skip
    assert said(app, call("all_kinds", wrong)) == failure(
        "1",
        -32602,
        "Invalid params",
        [
            ("text", ["The text field must be a string."]),
            ("number", ["The number field must be a number."]),
            ("flag", ["The flag field must be true or false."]),
            ("items", ["The items field must be an array."]),
            ("home_address.street", ["The home address.street field must be a string."]),
            ("count", ["The count field is invalid."]),
            ("x", ["The x field is not expected."]),
        ],
    )


def test_notifications_are_answered_with_nothing_of_their_kind(app: RpcApp) -> None:
    assert raw_answer(app, json.dumps(note("ping"))) == b"{}"
    assert raw_answer(app, json.dumps([note("ping"), note("fail")])) == b"[]"
    assert said(app, [note("ping"), call("ping")]) == [result("1", "pong")]


def test_thirty_calls_and_no_more(app: RpcApp) -> None:
    assert len(said(app, [call("ping")] * 30)) == 30
    assert said(app, [call("ping")] * 31) == failure(None, -32000, "Maximum batch size exceeded.")
    larger = RpcApp([Fixture], profile="sajya", max_items=50)
    assert len(said(larger, [call("ping")] * 31)) == 31


# --- what it does wrong


def test_id_of_zero_is_no_notification(app: RpcApp) -> None:
    assert said(app, call("ping", id=0)) == result("0", "pong")


def test_arguments_that_are_falsy_are_there(app: RpcApp) -> None:
    assert said(app, call("sum", {"a": 0, "b": 0})) == result("1", 0)


def test_notifications_of_a_batch_have_their_own_params() -> None:
    app = RpcApp(profile="sajya")
    seen = []

    @app.method
    async def see(value: int) -> None:
        seen.append(value)

    notes = [{"jsonrpc": "2.0", "method": "see", "params": [value]} for value in (1, 2, 3)]
    assert raw_answer(app, json.dumps(notes)) == b"[]"
    assert seen == [1, 2, 3]


def test_exceptions_show_no_message_and_no_path() -> None:
    app = RpcApp(profile="sajya")

    @app.method
    async def leak() -> None:
        raise KeyError("/home/me/secret.py")

    answer = raw_answer(app, '{"jsonrpc":"2.0","method":"leak","id":1}')
    assert answer is not None
    assert b"secret" not in answer
    assert b"KeyError" not in answer
