"""From params to arguments: by position and by name, checked and converted by type hints."""

import dataclasses
import datetime
import decimal
import enum
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar

import msgspec
import pytest
from msgspec import Meta, Struct

from batchway.errors import ConfigError
from batchway.rpc import Context, RpcApp, method
from batchway.rpc.procedure import Procedure

from .asking import answer, call, error, result


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(Struct):
    x: int
    y: int = 0


class Strict(Struct, forbid_unknown_fields=True, rename="camel"):
    first_name: str
    tags: list[str] = []


@dataclasses.dataclass
class Size:
    width: int
    height: int = 1


class Named(TypedDict):
    name: str
    age: NotRequired[int]


class Node(Struct):
    value: int
    children: list["Node"] = []


T = TypeVar("T")
Counts = NewType("Counts", dict[str, int])


class Page(Struct, Generic[T]):
    items: list[T]
    first: T


class Pair(NamedTuple):
    left: int
    right: int = 0


class Written(Struct, array_like=True):
    name: str
    age: int = 0


class Echo(Procedure):
    """Each method returns its arguments."""

    name = "echo"

    @method
    async def none(self) -> list[Any]:
        return []

    @method
    async def two(self, a: int, b: str) -> list[Any]:
        return [a, b]

    @method
    async def defaults(self, a: int, b: str = "b", c: list[int] = [1]) -> list[Any]:  # noqa: B006
        return [a, b, c]

    @method
    async def rest(self, a: int, *rest: str) -> list[Any]:
        return [a, rest]

    @method
    async def more(self, a: int, **more: int) -> list[Any]:
        return [a, more]

    @method
    async def all_kinds(
        self, a: int, /, b: int = 2, *rest: int, c: int, d: int = 4, **more: int
    ) -> list[Any]:
        return [a, b, rest, c, d, more]

    @method
    async def keyword(self, a: int, *, b: int, c: int = 3) -> list[Any]:
        return [a, b, c]

    @method
    async def untyped(self, a, b=None):  # type: ignore[no-untyped-def]
        return [a, b]

    @method
    async def point(self, point: Point) -> Point:
        return point

    @method
    async def shapes(
        self, point: Point, strict: Strict, size: Size, named: Named, points: dict[str, list[Point]]
    ) -> list[Any]:
        return [point, strict, size, named, points]

    @method
    async def scalars(
        self,
        color: Color = Color.RED,
        mode: Literal["fast", 2] = "fast",
        day: datetime.date | None = None,
        at: datetime.datetime | None = None,
        id: uuid.UUID | None = None,
        price: decimal.Decimal = decimal.Decimal("0.10"),
        count: Annotated[int, Meta(ge=1, le=9)] = 1,
        word: Annotated[str, Meta(max_length=3, pattern="^[a-z]*$")] = "",
        either: int | str | None = None,
        number: float = 0.5,
        flag: bool = False,
        data: bytes = b"",
    ) -> list[Any]:
        return [color, mode, day, at, id, price, count, word, either, number, flag, data]

    @method
    async def tree(self, node: Node) -> Node:
        return node


@pytest.fixture(scope="module")
def app() -> RpcApp:
    return RpcApp([Echo])


GOOD: list[tuple[str, Any, Any]] = [
    ("none", None, []),
    ("none", [], []),
    ("none", {}, []),
    ("two", [1, "x"], [1, "x"]),
    ("two", {"a": 1, "b": "x"}, [1, "x"]),
    ("two", {"b": "x", "a": 1}, [1, "x"]),
    ("two", [2**70, "\u2028é"], [2**70, "\u2028é"]),
    ("defaults", [1], [1, "b", [1]]),
    ("defaults", [1, "x"], [1, "x", [1]]),
    ("defaults", {"a": 1, "c": []}, [1, "b", []]),
    ("defaults", [0, "", []], [0, "", []]),
    ("rest", [1], [1, []]),
    ("rest", [1, "x", "y"], [1, ["x", "y"]]),
    ("rest", {"a": 1}, [1, []]),
    ("more", [1], [1, {}]),
    ("more", {"a": 1, "x": 2, "y": 3}, [1, {"x": 2, "y": 3}]),
    ("all_kinds", {"a": 1, "c": 3}, [1, 2, [], 3, 4, {}]),
    ("all_kinds", {"a": 1, "b": 5, "c": 3, "d": 6, "e": 7}, [1, 5, [], 3, 6, {"e": 7}]),
    ("keyword", {"a": 1, "b": 2}, [1, 2, 3]),
    ("untyped", [{"any": [1, None]}], [{"any": [1, None]}, None]),
    ("point", {"point": {"x": 1, "unknown": 2}}, {"x": 1, "y": 0}),
    ("point", [{"x": 1, "y": 2}], {"x": 1, "y": 2}),
    (
        "shapes",
        [{"x": 1}, {"firstName": "Ann"}, {"width": 2, "height": 3}, {"name": "Bob"}, {"a": [{"x": 3}]}],
        [
            {"x": 1, "y": 0},
            {"firstName": "Ann", "tags": []},
            {"width": 2, "height": 3},
            {"name": "Bob"},
            {"a": [{"x": 3, "y": 0}]},
        ],
    ),
    (
        "scalars",
        {
            "color": "blue", "mode": 2, "day": "2026-02-28", "at": "2026-02-28T01:02:03Z", "price": "1.50",
            "id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "count": 9, "word": "abc", "either": "x",
            "number": 3, "flag": True, "data": "aGk=",
        },
        [
            "blue", 2, "2026-02-28", "2026-02-28T01:02:03Z", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "1.50",
            9, "abc", "x", 3.0, True, "aGk=",
        ],
    ),
    ("scalars", None, ["red", "fast", None, None, None, "0.10", 1, "", None, 0.5, False, ""]),
    (
        "tree",
        [{"value": 1, "children": [{"value": 2}]}],
        {"value": 1, "children": [{"value": 2, "children": []}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "params", "expected"), GOOD)
def test_params_become_arguments(app: RpcApp, name: str, params: Any, expected: Any) -> None:
    assert result(app, f"echo@{name}", params) == expected


BAD: list[tuple[str, Any, dict[str, list[str]]]] = [
    ("none", [1], {"[0]": ["not expected"]}),
    ("none", {"x": 1}, {"x": ["not expected"]}),
    ("two", None, {"a": ["required"], "b": ["required"]}),
    ("two", [1], {"b": ["required"]}),
    ("two", {"b": "x"}, {"a": ["required"]}),
    ("two", [1, "x", 2, 3], {"[2]": ["not expected"], "[3]": ["not expected"]}),
    ("two", {"a": 1, "b": "x", "c": 1}, {"c": ["not expected"]}),
    ("two", ["1", 2], {"a": ["expected integer, got string"], "b": ["expected string, got integer"]}),
    ("two", [True, None], {"a": ["expected integer, got boolean"], "b": ["expected string, got null"]}),
    ("two", {"a": 1.5, "c": 1}, {
        "a": ["expected integer, got number"], "b": ["required"], "c": ["not expected"],
    }),
    ("defaults", [], {"a": ["required"]}),
    ("defaults", [1, None], {"b": ["expected string, got null"]}),
    ("defaults", {"a": 1, "c": [1, "x", 2, None]}, {
        "c[1]": ["expected integer, got string"], "c[3]": ["expected integer, got null"],
    }),
    ("rest", ["x", 1, "y", 2], {
        "a": ["expected integer, got string"],
        "rest[0]": ["expected string, got integer"],
        "rest[2]": ["expected string, got integer"],
    }),
    ("rest", {"a": 1, "rest": ["x"]}, {"rest": ["not expected"]}),
    ("more", {"a": 1, "x": "y", "z": []}, {
        "x": ["expected integer, got string"], "z": ["expected integer, got array"],
    }),
    ("more", [1, 2], {"[1]": ["not expected"]}),
    ("keyword", [1, 2], {"[1]": ["not expected"], "b": ["required"]}),
    ("point", {"point": {"x": "1", "y": None}}, {
        "point.x": ["expected integer, got string"], "point.y": ["expected integer, got null"],
    }),
    ("point", [5], {"point": ["expected object, got integer"]}),
    (
        "shapes",
        [
            {}, {"first_name": "Ann", "tags": [1]}, {"height": "1"}, {"age": "x"},
            {"a": [{"x": 1}, {"x": ""}]},
        ],
        {
            "point.x": ["required"],
            "strict.firstName": ["required"],
            "strict.tags[0]": ["expected string, got integer"],
            "strict.first_name": ["not expected"],
            "size.width": ["required"],
            "size.height": ["expected integer, got string"],
            "named.name": ["required"],
            "named.age": ["expected integer, got string"],
            "points.a[1].x": ["expected integer, got string"],
        },
    ),
    (
        "scalars",
        {
            "color": "green", "mode": "slow", "day": "2026-02-30", "at": "now", "price": "x", "id": "x",
            "count": 10, "word": "ABC", "either": [], "number": "1", "flag": 0, "data": "?",
        },
        {
            "color": ['expected one of "red", "blue"'],
            "mode": ['expected one of "fast", 2'],
            "day": ["expected RFC3339 encoded date"],
            "at": ["expected RFC3339 encoded datetime"],
            "id": ["expected UUID"],
            "price": ["expected decimal string"],
            "count": ["expected integer <= 9"],
            "word": ["expected string matching regex '^[a-z]*$'"],
            "either": ["expected integer or string or null, got array"],
            "number": ["expected number, got string"],
            "flag": ["expected boolean, got integer"],
            "data": ["expected base64 encoded string"],
        },
    ),
    ("tree", [{"value": 1, "children": [{"value": "2", "children": [{"children": {}}]}]}], {
        "node.children[0].value": ["expected integer, got string"],
        "node.children[0].children[0].value": ["required"],
        "node.children[0].children[0].children": ["expected array, got object"],
    }),
]  # fmt: skip


@pytest.mark.parametrize(("name", "params", "expected"), BAD)
def test_all_fields_that_are_wrong_are_named(
    app: RpcApp, name: str, params: Any, expected: dict[str, list[str]]
) -> None:
    found = error(app, f"echo@{name}", params)
    assert (found["code"], found["message"]) == (-32602, "Invalid params")
    assert found["data"] == expected


def test_an_invalid_notification_is_not_answered(app: RpcApp) -> None:
    assert answer(app, call("echo@two", ["x"], id=...)) is None


@pytest.mark.parametrize("params", ["x", 1, True, 0])
@pytest.mark.parametrize("name", ["echo@two", "echo@rest", "echo@none", "echo@unknown"])
def test_params_that_are_no_params_make_it_no_call(app: RpcApp, name: str, params: Any) -> None:
    invalid = {"code": -32600, "message": "Invalid Request"}
    assert error(app, name, params) == invalid
    # As it is no call, it is no notification.
    expected = {"jsonrpc": "2.0", "error": invalid, "id": None}
    assert answer(app, call(name, params, id=...)) == expected


def test_null_params_are_no_params(app: RpcApp) -> None:
    body = b'{"jsonrpc":"2.0","method":"echo@none","params":null,"id":1}'
    assert answer(app, body)["error"]["code"] == -32600


@pytest.mark.parametrize("name", ["echo@untyped", "echo@rest"])
def test_number_that_no_float_holds_makes_it_no_call(app: RpcApp, name: str) -> None:
    body = f'{{"jsonrpc":"2.0","method":"{name}","params":[1e400],"id":1}}'.encode()
    assert answer(app, body)["error"] == {
        "code": -32600,
        "message": "Invalid Request",
        "data": "a number is out of range",
    }


def test_faults_that_are_told_have_a_bound(app: RpcApp) -> None:
    found = error(app, "echo@defaults", {"a": 1, "c": ["x"] * 5000})
    assert len(found["data"]) == 100
    found = error(app, "echo@two", [1, "x", *range(5000)])
    assert len(found["data"]) == 100
    found = error(app, "echo@more", {f"x{number}": "y" for number in range(5000)})
    assert len(found["data"]) <= 101


def test_fault_behind_many_items_that_are_right_is_found(app: RpcApp) -> None:
    found = error(app, "echo@defaults", {"a": 1, "c": [*range(5000), "x"]})
    assert found["data"] == {"c[5000]": ["expected integer, got string"]}


def test_default_that_can_change_is_shared_as_python_does() -> None:
    app = RpcApp()
    seen: list[int] = []

    @app.method
    async def add(to: list[int] = seen) -> list[int]:
        to.append(len(to))
        return to

    assert result(app, "add") == [0]
    assert result(app, "add", {}) == [0, 1]
    assert seen == [0, 1]


def test_hooks_of_msgspec_make_other_types_possible() -> None:
    class Money:
        def __init__(self, cents: int) -> None:
            self.cents = cents

    def read(kind: type, value: Any) -> Any:
        if kind is Money and isinstance(value, int):
            return Money(value)
        if value == "boom":
            raise KeyError(value)
        message = "expected cents"
        raise ValueError(message)

    def write(value: Any) -> Any:
        if isinstance(value, Money):
            return value.cents
        raise NotImplementedError

    app = RpcApp(dec_hook=read, enc_hook=write)

    @app.method
    async def double(money: Money) -> Money:
        return Money(money.cents * 2)

    assert result(app, "double", [21]) == 42
    assert error(app, "double", ["x"])["data"] == {"money": ["expected cents"]}
    assert error(app, "double", ["boom"])["code"] == -32603


def test_types_that_nothing_sent_can_become_are_refused_at_once() -> None:
    class Custom: ...

    async def takes_custom(value: Custom) -> None: ...

    async def takes_two_structs(value: Point | Strict) -> None: ...

    async def takes_unknown(value: "Unknown") -> None: ...  # type: ignore[name-defined] # noqa: F821

    for function in (takes_custom, takes_two_structs, takes_unknown):
        with pytest.raises(ConfigError, match=f"^{function.__name__}: "):
            RpcApp().method(function)


def test_post_init_that_refuses_is_told_as_a_fault() -> None:
    class Range(Struct):
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                message = "low is above high"
                raise ValueError(message)

    app = RpcApp()

    @app.method
    async def span(range: Range) -> int:
        return range.high - range.low

    assert result(app, "span", [{"low": 1, "high": 3}]) == 2
    assert error(app, "span", [{"low": 3, "high": 1}])["data"] == {"range": ["low is above high"]}


def test_results_are_encoded_by_their_types(app: RpcApp) -> None:
    service = RpcApp()

    @service.method
    async def all_kinds() -> dict[str, Any]:
        return {
            "struct": Point(1),
            "class": Size(1),
            "enum": Color.RED,
            "date": datetime.date(2026, 1, 2),
            "tuple": (1, 2),
            "raw": msgspec.Raw(b"[ 1 ]"),
            "nan": float("nan"),
            "big": 2**80,
        }

    assert result(service, "all_kinds") == {
        "struct": {"x": 1, "y": 0},
        "class": {"width": 1, "height": 1},
        "enum": "red",
        "date": "2026-01-02",
        "tuple": [1, 2],
        "raw": [1],
        "nan": None,
        "big": 2**80,
    }


class Inner(Struct, tag=True):
    value: int


class Outer(Struct, tag=True, forbid_unknown_fields=True):
    value: int


class Spelled(TypedDict):
    name: "Annotated[str, Meta(min_length=1)]"
    age: "NotRequired[int]"


def test_keys_that_need_not_be_there_where_hints_are_strings() -> None:
    app = RpcApp()

    @app.method
    async def take(value: Spelled) -> Any:
        return value

    assert result(app, "take", [{"name": "a"}]) == {"name": "a"}
    assert error(app, "take", [{}])["data"] == {"value.name": ["required"]}
    assert error(app, "take", [{"name": "", "age": "x"}])["data"] == {
        "value.name": ["expected string of length >= 1"],
        "value.age": ["expected integer, got string"],
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"type": "Else"}, {"value.type": ['expected one of "Inner", "Outer"']}),
        ({"type": 1}, {"value.type": ['expected one of "Inner", "Outer"']}),
        ({"value": 1}, {"value.type": ["required"]}),
        ({"type": "Inner"}, {"value.value": ["required"]}),
        ({"type": "Outer", "value": 1, "more": 1}, {"value.more": ["not expected"]}),
        (
            {"type": "Outer", "value": "x", "more": 1},
            {"value.value": ["expected integer, got string"], "value.more": ["not expected"]},
        ),
    ],
)
def test_faults_of_tagged_unions_stand_at_their_fields(value: Any, said: Any) -> None:
    app = RpcApp()

    @app.method
    async def take(value: Inner | Outer) -> None: ...

    assert error(app, "take", [value])["data"] == said


def test_keys_that_do_not_fit() -> None:
    app = RpcApp()

    @app.method
    async def take(names: dict[int, str], colors: list[dict[Color, int]]) -> None: ...

    assert error(app, "take", [{"x": "a"}, [{"$": 1}]])["data"] == {
        "names": ["expected integer as each key, got string"],
        "colors[0]": ["Invalid enum value '$'"],
    }


def test_choice_that_is_one_of_several_types() -> None:
    app = RpcApp()

    @app.method
    async def take(color: Color | int) -> None: ...

    assert error(app, "take", ["green"])["data"] == {"color": ['expected one of "red", "blue"']}
    assert error(app, "take", [None])["data"] == {"color": ["expected integer or string, got null"]}


class Coded(Struct, array_like=True, tag="c"):
    value: int


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (tuple[int, str], ["a", 1], {"[0]": "integer, got string", "[1]": "string, got integer"}),
        (tuple[int, str], [1], {"": "array of length 2"}),
        (Pair, ["a", "b"], {"[0]": "integer, got string", "[1]": "integer, got string"}),
        (Pair, [], {"": "array of length 1 to 2"}),
        (Written, [1, "b"], {"[0]": "string, got integer", "[1]": "integer, got string"}),
        (Coded, ["x", 1], {"[0]": 'one of "c"'}),
        (Written, [], {"": "array of at least length 1, got 0"}),
        (Sequence[int], ["a", 1, "b"], {"[0]": "integer, got string", "[2]": "integer, got string"}),
        (
            Mapping[str, int],
            {"a": "x", "b": "y"},
            {".a": "integer, got string", ".b": "integer, got string"},
        ),
        (
            Page[int],
            {"items": ["a"], "first": 1.5},
            {".items[0]": "integer, got string", ".first": "integer, got number"},
        ),
        (Counts, {"x": "a", "y": "b"}, {".x": "integer, got string", ".y": "integer, got string"}),
        (Point | int, {"x": "a", "y": "b"}, {".x": "integer, got string", ".y": "integer, got string"}),
        (list[int] | str, ["a", "b"], {"[0]": "integer, got string", "[1]": "integer, got string"}),
        (
            dict[str, int] | int,
            {"a": None, "b": None},
            {".a": "integer, got null", ".b": "integer, got null"},
        ),
    ],
)
def test_all_faults_inside_a_value_are_named(kind: Any, value: Any, said: dict[str, str]) -> None:
    app = RpcApp()

    async def take(value: Any) -> None: ...

    take.__annotations__["value"] = kind
    app.method(take)
    expected = {f"value{place}": [f"expected {words}"] for place, words in said.items()}
    assert error(app, "take", [value])["data"] == expected


def test_rest_by_the_name_of_the_rest() -> None:
    """Python takes `take(args=1)` for one of the `**kwargs`, whatever those by position are called."""
    app = RpcApp()

    @app.method
    async def take(*args: int, **kwargs: int) -> list[Any]:
        return [args, kwargs]

    assert result(app, "take", {"args": 1, "kwargs": 2}) == [[], {"args": 1, "kwargs": 2}]


def test_object_is_anything() -> None:
    app = RpcApp()

    @app.method
    async def take(value: object) -> object:
        return value

    assert result(app, "take", [{"a": [1]}]) == {"a": [1]}


def test_context_may_be_optional_or_annotated() -> None:
    app = RpcApp()

    @app.method
    async def optional(context: Context | None = None) -> Any:
        return context and context.id

    @app.method
    async def annotated(context: Annotated[Context, "ours"], more: int = 0) -> Any:
        return context.id

    for name in ("optional", "annotated"):
        assert result(app, name) == 1
        assert error(app, name, {"context": {}})["data"] == {"context": ["not expected"]}
