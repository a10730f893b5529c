"""What clients are told of failures: what was meant for them, and an id for all else."""

from typing import Any

import pytest
import structlog

from batchway import rpc
from batchway.errors import RouteNotFound
from batchway.rpc import Context, InternalError, InvalidParams, RpcApp, RpcError
from batchway.rpc.errors import HttpMethodRefused, UnsupportedMediaType

from .asking import answer, call, error, raw_answer, run

SECRET = "/home/me/secret.py"


class OutOfStock(RpcError):
    code = 1001
    message = "Out of stock"


def app_that_raises(failure: BaseException, **options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def prompt() -> None:
        raise failure

    @app.method
    async def suspending() -> None:
        async def inner() -> None:
            raise failure

        await inner()

    @app.method(inline=True)
    def inline() -> None:
        raise failure

    @app.method
    def threaded() -> None:
        raise failure

    return app


KINDS = ["prompt", "suspending", "inline", "threaded"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (RpcError(7, "Seven"), {"code": 7, "message": "Seven"}),
        (RpcError(7, "Seven", {"a": [1]}), {"code": 7, "message": "Seven", "data": {"a": [1]}}),
        (RpcError(7, "Seven", None), {"code": 7, "message": "Seven", "data": None}),
        (RpcError(0, ""), {"code": 0, "message": ""}),
        (OutOfStock(), {"code": 1001, "message": "Out of stock"}),
        (OutOfStock(data=3), {"code": 1001, "message": "Out of stock", "data": 3}),
        (OutOfStock(message="Gone"), {"code": 1001, "message": "Gone"}),
        (
            InvalidParams(data={"a": ["no"]}),
            {"code": -32602, "message": "Invalid params", "data": {"a": ["no"]}},
        ),
        (InternalError(), {"code": -32603, "message": "Internal error"}),
    ],
)
def test_errors_for_clients_reach_them(kind: str, failure: RpcError, expected: dict[str, Any]) -> None:
    with structlog.testing.capture_logs() as logs:
        assert error(app_that_raises(failure), kind) == expected
    assert logs == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "failure", [KeyError(SECRET), RouteNotFound(SECRET), TimeoutError(SECRET), RecursionError()]
)
def test_of_other_exceptions_clients_learn_an_id_that_the_log_has(kind: str, failure: Exception) -> None:
    with structlog.testing.capture_logs() as logs:
        found = error(app_that_raises(failure), kind)
    error_id = found["data"]["error_id"]
    assert found == {"code": -32603, "message": "Internal error", "data": {"error_id": error_id}}
    assert len(error_id) == 16
    (entry,) = logs
    assert entry["event"] == "call failed"
    assert (entry["error_id"], entry["method"], repr(entry["exc_info"])) == (error_id, kind, repr(failure))


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_cannot_end_the_server(kind: str) -> None:
    app = app_that_raises(SystemExit(3))
    app.method("fine")(lambda: 1)
    failed, fine = answer(app, [call(kind, None, 1), call("fine", None, 2)])
    assert (failed["error"]["code"], fine["result"]) == (-32603, 1)


def test_neither_can_middleware_or_work_put_off() -> None:
    async def leave(*_: object) -> None:
        raise SystemExit

    app = RpcApp()

    @app.method
    async def put_off(context: Context) -> str:
        context.after(leave)
        return "soon"

    async def ask() -> bytes | None:
        said = await app.handle(b'{"jsonrpc":"2.0","method":"put_off","id":1}')
        await app.aclose()
        return said

    assert run(ask()) == b'{"jsonrpc":"2.0","result":"soon","id":1}'
    assert error(RpcApp(batch_middleware=[leave]), "any")["code"] == -32603
    caller = Context(middleware=[leave])
    assert error(app_that_raises(ValueError()), "none", context=caller)["code"] == -32603


def test_each_failure_has_an_id_of_its_own() -> None:
    app = app_that_raises(KeyError())
    said = answer(app, [call("prompt"), call("prompt")])
    assert len({one["error"]["data"]["error_id"] for one in said}) == 2


def test_debug_tells_all() -> None:
    found = error(app_that_raises(KeyError(SECRET), debug=True), "prompt")
    assert found["data"]["exception"] == f"KeyError: '{SECRET}'"
    assert any(__file__ in line for line in found["data"]["trace"])
    assert "error_id" in found["data"]


@pytest.mark.parametrize("kind", KINDS)
def test_failing_notification_is_logged_and_not_answered(kind: str) -> None:
    with structlog.testing.capture_logs() as logs:
        assert answer(app_that_raises(KeyError(SECRET)), call(kind, id=...)) is None
    assert [entry["event"] for entry in logs] == ["call failed"]


@pytest.mark.parametrize(
    "value", [object(), {1: object()}, "\ud800", 10**5000], ids=["object", "inside", "surrogate", "long"]
)
def test_result_that_json_does_not_have_is_an_internal_error(value: Any) -> None:
    app = RpcApp()

    @app.method
    async def prompt() -> Any:
        return value

    @app.method
    def threaded() -> Any:
        return value

    @app.method
    async def fine() -> int:
        return 1

    said = answer(app, [call("prompt"), call("threaded"), call("fine")])
    assert [one["error"]["code"] for one in said[:2]] == [-32603, -32603]
    assert said[2]["result"] == 1


def test_data_that_json_does_not_have_is_an_internal_error() -> None:
    app = app_that_raises(RpcError(7, "Seven", object()))
    assert [error(app, kind)["code"] for kind in KINDS] == [-32603] * 4


def test_codes_are_stable() -> None:
    """They are documented: a change breaks clients."""
    names = [name for name in rpc.__all__ if isinstance(getattr(rpc, name), type)]
    kinds = [getattr(rpc, name) for name in names]
    codes = {
        kind.__name__: kind.code for kind in kinds if issubclass(kind, RpcError) and kind is not RpcError
    }
    assert codes == {
        "BatchTimedOut": -32050,
        "Busy": -32055,
        "CallTimedOut": -32051,
        "InternalError": -32603,
        "InvalidParams": -32602,
        "LimitExceeded": -32005,
        "MethodNotFound": -32601,
        "RequestTooLarge": -32053,
        "ResponseTooLarge": -32052,
        "TooHeavy": -32054,
    }
    assert (UnsupportedMediaType.code, HttpMethodRefused.code) == (-32056, -32057)


def test_error_reads_well_in_a_log() -> None:
    assert str(OutOfStock()) == "Out of stock (1001)"
    assert repr(RpcError(7, "Seven")) == "RpcError(7, 'Seven')"


def test_error_of_a_call_stands_under_its_id_as_it_came() -> None:
    said = raw_answer(app_that_raises(OutOfStock()), '{"jsonrpc":"2.0","method":"prompt","id":1.50}')
    assert said == b'{"jsonrpc":"2.0","error":{"code":1001,"message":"Out of stock"},"id":1.50}'


class Careless(RpcError):
    code = 1002
    message = "Careless"

    def __init__(self, court: int) -> None:  # and no word to RpcError
        self.court = court


@pytest.mark.parametrize("kind", KINDS)
def test_error_that_does_not_begin_as_one_reaches_clients_too(kind: str) -> None:
    assert error(app_that_raises(Careless(3)), kind) == {"code": 1002, "message": "Careless"}


def test_code_and_message_are_a_number_and_a_text() -> None:
    for wrong in (("Only a message",), (1, 2)):
        with pytest.raises(TypeError, match="RpcError: expected a number as the code and a text"):
            RpcError(*wrong)
