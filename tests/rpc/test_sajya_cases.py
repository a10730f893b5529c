"""What Sajya's own tests send to it, sent to a service of ours in its profile.

Each case is named as the one of sajya/server 7 (tests/Unit) that it stands for, and was answered there as
`expected`, in any order of members; where it is answered otherwise here, the case is under DEVIATIONS.
"""

import json
from typing import Annotated, Any

import pytest

from batchway.rpc import Bind, Context, InternalError, Procedure, Proxy, RpcApp, RpcError, method

from .asking import call, raw_answer


class Site(Procedure):
    name = "site"

    def __init__(self) -> None:
        self.noted: list[int] = []

    @method
    async def greet(self) -> str:
        return "Hello"

    @method
    async def nothing(self) -> None: ...

    @method
    async def setting(self, name: str) -> str:
        return {"site.title": "Example"}[name]

    @method
    async def difference(self, a: int, b: int) -> int:
        return a - b

    @method
    async def add(self, a: int, b: int) -> int:
        self.noted.append(a + b)
        return a + b

    @method
    async def quotient(self, a: int, b: int) -> float:
        return a / b

    @method
    async def stop(self, *_: Any) -> None:
        raise RpcError(404, "No such page")

    @method
    async def break_down(self) -> None:
        raise InternalError

    @method
    async def refuse(self) -> None:
        raise RpcError(-32600, "Invalid Request", {"one": "1", "two": "2"})

    @method
    async def unclear(self) -> None:
        raise RpcError(-1, "Unknown")

    @method
    async def worded(self) -> None:
        raise RpcError(0, "", {"message": "There is none.", "locale": "en"})

    @method
    async def count(self, *_: Any, **more: Any) -> int:
        return len(more)

    async def hidden(self) -> str:
        return "never said"


class Person:
    def __init__(self, name: str) -> None:
        self.name = name


def person(id: int) -> Person | None:
    return None if id == 9 else Person(f"Person {id}")


def person_at(address: str) -> Person:
    return Person(f"Person at {address}")


def as_it_is(text: str) -> str:
    return text


class Loaded(Procedure):
    name = "loaded"

    @method
    async def by_key(self, person: Annotated[Person, Bind(person)]) -> str:
        return person.name

    @method
    async def by_address(self, person: Annotated[Person, Bind(person_at, "address")]) -> str:
        return person.name

    @method
    async def within(self, person: Annotated[Person, Bind(person, "customer.person")]) -> str:
        return person.name

    @method
    async def if_any(self, person: Annotated[Person | None, Bind(person)]) -> str:
        return person.name if person else "nobody"

    @method
    async def deep(self, value: Annotated[str, Bind(as_it_is, "a.b.c", inline=True)]) -> str:
        return value


class Anything(Proxy):
    name = "anything"

    async def forward(self, method: str, params: Any, context: Context) -> Any:
        return params


def answered(id: str | None, result: Any) -> dict[str, Any]:
    return {"id": id, "result": result, "jsonrpc": "2.0"}


def failed(id: str | None, code: int, message: str, data: Any = None) -> dict[str, Any]:
    return {"id": id, "error": {"code": code, "message": message, "data": data}, "jsonrpc": "2.0"}


def required(*names: str) -> dict[str, list[str]]:
    return {name: [f"The {name} field is required."] for name in names}


def whole_number(*names: str) -> dict[str, list[str]]:
    return {name: [f"The {name} field must be an integer."] for name in names}


NO_CALL = failed(None, -32600, "Invalid Request")
NO_JSON = failed(None, -32700, "Parse error")
LARGE = {f"field{number}": "x" * 10 for number in range(15_000)}

CASES: dict[str, tuple[Any, Any]] = {
    # ExpectedTest
    "testAbort": (call("site@stop", ["a"]), failed("1", 404, "No such page")),
    "testUuidOk": (
        [
            call("site@greet", id="3d1fe5e6-55a9-4d1c-9d5c-c7a2a0b4a1f0"),
            call("site@greet", id="d8f0b6a4-f5b1-11eb-9a03-0242ac130003"),
        ],
        [
            answered("3d1fe5e6-55a9-4d1c-9d5c-c7a2a0b4a1f0", "Hello"),
            answered("d8f0b6a4-f5b1-11eb-9a03-0242ac130003", "Hello"),
        ],
    ),
    "testValidationId": (
        call("site@greet", id=["x"]),
        failed(None, -32602, "Invalid params", {"id": ["The id must be a string or integer."]}),
    ),
    "testBatchInvalid": ('[{"jsonrpc":"2.0","method":"site@add","params":[1,2],"id":1},{"x"]', NO_JSON),
    "testBatchNotificationSum": (
        [call("site@add", {"a": 1, "b": 2}, ...), call("site@add", {"a": 1, "b": 3})],
        [answered("1", 4)],
    ),
    "testBatchOneError": (
        [call("site@add", {"a": 1, "b": 2}), call("site@add", id=2)],
        [answered("1", 3), failed("2", -32602, "Invalid params", required("a", "b"))],
    ),
    "testBatchSum": (
        [call("site@add", {"a": 1, "b": 2}), call("site@add", {"a": 3, "b": 4}, 2)],
        [answered("1", 3), answered("2", 7)],
    ),
    "testDependencyInjection": (call("site@setting", ["site.title"]), answered("1", "Example")),
    "testFindProcedure": (call("site@difference", [42, 23]), answered("1", 19)),
    "testInvalidParams": (
        {"jsonrpc": "2.0", "method": 1, "params": "x"},
        failed(
            None,
            -32602,
            "Invalid params",
            {
                "method": ["The method field must be a string."],
                "params": ["The params field must be an array."],
            },
        ),
    ),
    "testNotificationSum": (call("site@add", {"a": 1, "b": 2}, ...), {}),
    "testNullResult": (call("site@nothing", []), answered("1", None)),
    "testParseError": ('{"jsonrpc":"2.0","method":"site@greet,"params":"x"]', NO_JSON),
    "testSimpleInValidationSum": (
        call("site@add", {"a": "x", "b": "y"}),
        failed("1", -32602, "Invalid params", whole_number("a", "b")),
    ),
    "testSimpleValidationSum": (call("site@add", {"a": 1, "b": 2}), answered("1", 3)),
    "testWithAnEmptyArray": ([], NO_CALL),
    "testWithAnInvalidBatchButNotEmpty": ([1], [NO_CALL]),
    "testWithInvalidBatch": ([1, 2, 3], [NO_CALL, NO_CALL, NO_CALL]),
    "testUnknownVersion": (
        call("site@nothing", []) | {"jsonrpc": "12.0"},
        failed(None, -32602, "Invalid params", {"jsonrpc": ["The selected jsonrpc is invalid."]}),
    ),
    "testInternalError": (call("site@break_down"), failed("1", -32603, "Internal error")),
    "testCallCloseMethod": (call("site@hidden"), failed("1", -32601, "Method not found")),
    "testRuntimeError": (call("site@unclear"), failed("1", -1, "Unknown")),
    "testInvalidRequestException": (
        call("site@refuse"),
        failed("1", -32600, "Invalid Request", {"one": "1", "two": "2"}),
    ),
    "testCallNoExistMethod": (call("site@none"), failed("1", -32601, "Method not found")),
    "testRenderException": (
        call("site@worded"),
        failed("1", 0, "", {"message": "There is none.", "locale": "en"}),
    ),
    "testProxyMethod": (
        call("anything@at_all", {"first": "A", "last": "B"}, "1"),
        answered("1", {"first": "A", "last": "B"}),
    ),
    "testPayloadLargeFile": (call("site@count", LARGE), answered("1", 15_000)),
    "testBindDeepValue": (
        call("loaded@deep", {"a": {"b": {"c": "found"}}}),
        answered("1", "found"),
    ),
    "testBindSubtract": (call("site@difference", {"a": 5, "b": 2}), answered("1", 3)),
    # BindingTest, BindingRequestTest, BindingGlobalTest
    "testModelBindingSimpleDefaultKey": (call("loaded@by_key", {"person": 1}), answered("1", "Person 1")),
    "testModelBindingSimpleCustomKey": (
        call("loaded@by_address", {"address": "a@b.example"}),
        answered("1", "Person at a@b.example"),
    ),
    "testModelBindingSimpleNestedParameter": (
        call("loaded@within", {"customer": {"title": "Dr.", "person": 6}}),
        answered("1", "Person 6"),
    ),
    "testModelBindingCustomLogicNullable": (call("loaded@if_any", {"person": 9}), answered("1", "nobody")),
    # AppTest
    "testBaseUsage": (call("site@greet"), answered("1", "Hello")),
    "testNotFoundMethodProcedure": (call("none", [42, 23]), failed("1", -32601, "Method not found")),
    "testTerminateUsage": (call("site@add", {"a": 100_500, "b": 300}, ...), {}),
}


def service(**options: Any) -> RpcApp:
    return RpcApp([Site, Loaded, Anything], profile="sajya", **options)


def said(app: RpcApp, document: Any) -> Any:
    body = document if isinstance(document, str) else json.dumps(document)
    answer = raw_answer(app, body)
    assert answer is not None
    return json.loads(answer)


@pytest.mark.parametrize(("sent", "expected"), CASES.values(), ids=CASES.keys())
def test_answered_as_there(sent: Any, expected: Any) -> None:
    assert said(service(), sent) == expected


def test_delimiter_is_a_setting() -> None:
    app = RpcApp([Site], profile="sajya", delimiter=".")
    assert said(app, call("site.setting", ["site.title"])) == answered("1", "Example")
    assert said(app, call("site@greet"))["error"]["code"] == -32601


def test_notifications_do_their_work() -> None:
    site = Site()
    app = RpcApp([site], profile="sajya")
    assert said(app, CASES["testBatchNotificationSum"][0]) == CASES["testBatchNotificationSum"][1]
    assert said(app, CASES["testNotificationSum"][0]) == {}
    assert site.noted == [3, 4, 3]


# --- DEVIATIONS: what is answered otherwise here, and how


@pytest.mark.parametrize(
    "sent",
    [
        # testDivisionException, testReportException: the code and message of any exception are sent there
        call("site@quotient", {"a": 4, "b": 0}),
        # testNoCodeTextErrorMessage: the like, with a code that is no number
        call("site@setting", ["no such setting"]),
        # testCutomLogicInvalidNull and its neighbours: -32000 to -32003 there for what a loader returns
        call("loaded@by_key", {"person": 9}),
    ],
)
def test_exception_that_nobody_meant_for_clients_is_an_internal_error(sent: Any) -> None:
    error = said(service(), sent)["error"]
    assert (error["code"], error["message"], list(error["data"])) == (
        -32603,
        "Internal error",
        ["error_id"],
    )


def test_arguments_that_nobody_asked_for_are_told_of() -> None:
    data = {"c": ["The c field is not expected."]}
    sent = call("site@add", {"a": 1, "b": 2, "c": 3})  # left out without a word there
    assert said(service(), sent) == failed("1", -32602, "Invalid params", data)


def test_numbers_in_strings_are_strings() -> None:
    sent = call("site@add", {"a": "1", "b": 2})  # taken for an integer there
    assert said(service(), sent) == failed("1", -32602, "Invalid params", whole_number("a"))


@pytest.mark.parametrize("id", ["1.0", "1e2", "12345678901234567890123"])
def test_ids_are_strings_of_what_was_sent(id: str) -> None:
    """There they are "1", "100" and "1.2345678901235E+22"."""
    answer = raw_answer(service(), f'{{"jsonrpc":"2.0","method":"site@greet","id":{id}}}')
    assert answer == f'{{"id":"{id}","result":"Hello","jsonrpc":"2.0"}}'.encode()


@pytest.mark.parametrize("id", [0, "0", "", None])
def test_call_with_an_id_that_is_falsy_is_no_notification(id: Any) -> None:
    expected = answered(str(id) if id == 0 else id, "Hello")
    assert said(service(), call("site@greet", id=id)) == expected
    assert said(service(), [call("site@greet", id=id)]) == [expected]


def test_members_that_come_twice_and_nesting_without_end_are_refused_with_the_calls_id() -> None:
    twice = '{"jsonrpc":"2.0","method":"site@greet","method":"site@stop","id":1}'
    assert said(service(), twice) == failed("1", -32600, "Invalid Request", "a member occurs twice")
    assert said(service(max_depth=2), call("site@count", [[[1]]])) == failed(
        "1", -32600, "Invalid Request", "params are nested deeper than 2"
    )
