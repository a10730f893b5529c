"""What can be called: what was marked, under its name, and nothing else."""

import asyncio
import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest

from batchway.errors import ConfigError
from batchway.rpc import Context, Procedure, Proxy, RpcApp, method

from .asking import answer, call, error, result


class Base(Procedure):
    name = "base"

    @method
    async def inherited(self) -> str:
        return "inherited"

    @method
    async def overridden(self) -> str:
        return "of the base"

    async def unmarked_base(self) -> str:
        return "unmarked"


class Tennis(Base):
    """Rallies."""

    name = "tennis"
    secret = "a class attribute"

    def __init__(self) -> None:
        self.attribute = lambda: "an attribute"
        vars(self)["score"] = lambda: "an attribute in the method's place"

    @method
    async def ping(self) -> str:
        """Answers "pong"."""
        return "pong"

    @method(name="serve.fast", inline=True)
    def serve(self, speed: int = 100) -> int:
        return speed

    @method
    async def score(self) -> str:
        return "a method"

    @method
    @staticmethod
    def static(number: int) -> int:
        return number + 1

    @classmethod
    @method
    def of_class(cls) -> str:
        return cls.__name__

    async def overridden(self) -> str:
        return "not marked here"

    async def unmarked(self) -> str:
        return "unmarked"

    async def _private(self) -> str:
        return "private"

    @property
    def prop(self) -> Callable[[], str]:
        return lambda: "a property"

    class Nested:
        @method
        async def hidden(self) -> str:
            return "hidden"


NOT_FOUND = {"code": -32601, "message": "Method not found"}


@pytest.fixture(scope="module")
def app() -> RpcApp:
    return RpcApp([Tennis])


# --- what can be called


def test_exchange_of_the_documentation(app: RpcApp) -> None:
    said = answer(app, [call("tennis@ping", id=1), call("tennis@ping", id=2)])
    assert said == [
        {"jsonrpc": "2.0", "result": "pong", "id": 1},
        {"jsonrpc": "2.0", "result": "pong", "id": 2},
    ]


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("tennis@serve.fast", [200], 200),
        ("tennis@score", None, "a method"),
        ("tennis@static", [1], 2),
        ("tennis@of_class", None, "Tennis"),
    ],
)
def test_marked_methods_of_all_kinds(app: RpcApp, name: str, params: Any, expected: Any) -> None:
    assert result(app, name, params) == expected


@pytest.mark.parametrize(
    "name",
    [
        "unmarked", "unmarked_base", "inherited", "overridden", "_private", "__init__", "__class__",
        "__call__", "__init_subclass__", "__dict__", "attribute", "secret", "prop", "Nested",
        "Nested@hidden", "hidden", "name", "middleware", "serve", "ping.__call__", "ping.__func__",
        "ping.__self__", "", "@", "Ping", "PING", "ping ", " ping", "ping\x00", "p\u0131ng",
        "../tennis@ping", "tennis@ping",
    ],
)  # fmt: skip
def test_nothing_else_can_be_called(app: RpcApp, name: str) -> None:
    assert error(app, f"tennis@{name}") == NOT_FOUND


@pytest.mark.parametrize(
    "name",
    [
        "", "@", "tennis", "tennis@", "@ping", "ping", "tennis.ping", "tennis@@ping", "base@inherited",
        "Tennis@ping",
    ],
)  # fmt: skip
def test_other_names_are_not_found(app: RpcApp, name: str) -> None:
    assert error(app, name) == NOT_FOUND


def test_inherited_method_can_be_marked_anew() -> None:
    class Child(Base):
        name = "child"
        inherited = method(Base.inherited)

    app = RpcApp([Child])
    assert result(app, "child@inherited") == "inherited"
    assert error(app, "child@overridden") == NOT_FOUND


def test_marked_method_is_still_one_to_call() -> None:
    assert Tennis.serve(Tennis(), 3) == 3


# --- names


@pytest.mark.parametrize("delimiter", ["@", ".", "/", "_", "::", "->"])
def test_delimiter_is_a_setting(delimiter: str) -> None:
    app = RpcApp([Tennis], delimiter=delimiter)
    assert result(app, f"tennis{delimiter}ping") == "pong"
    other = "@" if delimiter != "@" else "."
    assert error(app, f"tennis{other}ping") == NOT_FOUND


def test_delimiter_may_stand_in_the_name_of_a_procedure_or_a_method() -> None:
    class Users(Procedure):
        name = "user_account"

        @method
        async def get_all(self) -> str:
            return "all"

    assert result(RpcApp([Users], delimiter="_"), "user_account_get_all") == "all"


def test_plain_functions_under_full_names() -> None:
    app = RpcApp()

    @app.method("foo.bar")
    async def whatever(a: int) -> int:
        return a

    @app.method
    async def own_name() -> str:
        return "own"

    @app.method(name="given", inline=True)
    def other() -> str:
        return "given"

    assert result(app, "foo.bar", [1]) == 1
    assert result(app, "own_name") == "own"
    assert result(app, "given") == "given"
    assert error(app, "whatever", [1]) == NOT_FOUND


def test_instances_and_classes_are_procedures() -> None:
    class Counter(Procedure):
        name = "counter"

        def __init__(self, start: int = 0) -> None:
            self.count = start

        @method
        async def next(self) -> int:
            self.count += 1
            return self.count

    app = RpcApp([Counter(10)])
    assert result(app, "counter@next") == 11
    assert result(app, "counter@next") == 12
    app = RpcApp([Counter])
    assert result(app, "counter@next") == 1
    assert result(app, "counter@next") == 2


def test_resolver_makes_the_procedures() -> None:
    class Needs(Procedure):
        name = "needs"

        def __init__(self, what: str) -> None:
            self.what = what

        @method
        async def get(self) -> str:
            return self.what

    def resolve(kind: Any) -> Any:
        assert kind is Needs
        return Needs("resolved")

    assert result(RpcApp([Needs], resolver=resolve), "needs@get") == "resolved"


def test_decorated_methods_keep_their_signature() -> None:
    def traced(function: Any) -> Any:
        @functools.wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return [await function(*args, **kwargs), "traced"]

        return wrapper

    app = RpcApp()

    @app.method
    @traced
    async def add(a: int, b: int) -> int:
        return a + b

    assert result(app, "add", [1, 2]) == [3, "traced"]
    assert error(app, "add", ["1"])["data"] == {"a": ["expected integer, got string"], "b": ["required"]}


# --- proxies


class Legacy(Proxy):
    name = "old.system"

    @method
    async def known(self) -> str:
        return "known"

    async def unmarked(self) -> str:
        return "unmarked"

    async def forward(self, method: str, params: list[Any] | dict[str, Any], context: Context) -> Any:
        return [method, params, context.id]


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("old.system.known", None, "known"),
        ("old.system.other", {"a": 1}, ["other", {"a": 1}, 1]),
        ("old.system.unmarked", None, ["unmarked", [], 1]),
        ("old.system.__init__", [1], ["__init__", [1], 1]),
        ("old.system.", [], ["", [], 1]),
    ],
)
def test_proxy_receives_what_it_has_no_method_for(name: str, params: Any, expected: Any) -> None:
    assert result(RpcApp([Legacy], delimiter="."), name, params) == expected


@pytest.mark.parametrize("name", ["old", "old.system", "old.system.a.b", "system.x", ".x"])
def test_proxy_receives_nothing_that_is_not_under_its_name(name: str) -> None:
    assert error(RpcApp([Legacy], delimiter="."), name) == NOT_FOUND


def test_params_for_a_proxy_are_params() -> None:
    app = RpcApp([Legacy], delimiter=".")
    assert error(app, "old.system.x", "text")["code"] == -32600
    body = b'{"jsonrpc":"2.0","method":"old.system.x","params":[1e999],"id":1}'
    assert answer(app, body)["error"]["data"] == "a number is out of range"


def test_proxy_that_forgot_to_forward_has_an_internal_error() -> None:
    class Forgot(Proxy):
        name = "forgot"

    assert error(RpcApp([Forgot]), "forgot@x")["code"] == -32603


# --- what is refused when the app is made


def test_reserved_names_are_refused() -> None:
    class Reserved(Procedure):
        name = "rpc"

        @method
        async def x(self) -> None: ...

    class ReservedProxy(Proxy):
        name = "rpc"

    with pytest.raises(ConfigError, match=r"^rpc\.x: names that begin with rpc\. are reserved$"):
        RpcApp([Reserved], delimiter=".")
    with pytest.raises(ConfigError, match="reserved"):
        RpcApp([ReservedProxy], delimiter=".")
    with pytest.raises(ConfigError, match="reserved"):
        RpcApp().method("rpc.x")(lambda: None)
    assert error(RpcApp([Reserved]), "rpc.x") == NOT_FOUND
    assert result(RpcApp([Reserved]), "rpc@x") is None


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="^tennis@ping: there are two methods of that name$"):
        RpcApp([Tennis, Tennis])
    with pytest.raises(ConfigError, match="two proxies"):
        RpcApp([Legacy, type("Other", (Legacy,), {})])


def test_private_methods_cannot_be_marked() -> None:
    class Private(Procedure):
        name = "private"

        @method
        async def _hidden(self) -> None: ...

    class Renamed(Procedure):
        name = "renamed"

        @method(name="_hidden")
        async def shown(self) -> None: ...

    for kind in (Private, Renamed):
        with pytest.raises(ConfigError, match="a private method cannot be called"):
            RpcApp([kind])


def test_what_is_no_procedure_is_refused() -> None:
    class Nameless(Procedure):
        @method
        async def x(self) -> None: ...

    for wrong, complaint in [
        (Nameless, "Nameless: a procedure needs a name"),
        (int, "'int' is no Procedure"),
        (object(), "is no Procedure"),
    ]:
        with pytest.raises(ConfigError, match=complaint):
            RpcApp([wrong])  # type: ignore[list-item]


def test_generators_are_refused() -> None:
    def numbers() -> Any:
        yield 1

    async def more_numbers() -> Any:
        yield 1

    for function in (numbers, more_numbers):
        with pytest.raises(ConfigError, match="a generator has no result"):
            RpcApp().method(function)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": "1"},
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"rate": 0},
        {"weight": 0},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"^{name}: expected a (whole )?number above 0$"):
        method(**options)


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(TypeError):
        method(speed=1)  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="a name is given as name="):
        method("name")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"profile": "laravel"}, "^profile: expected standard or sajya$"),
        ({"delimiter": ""}, "^delimiter: expected one or more characters$"),
        ({"max_items": 0}, "^max_items: Expected `int` >= 1$"),
        ({"timeout_s": "1"}, "^timeout_s: Expected `float`, got `str`$"),
        ({"max_things": 1}, "unknown field `max_things`"),
    ],
)
def test_settings_that_are_wrong_are_named(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        RpcApp([Tennis], **options)


async def total(a: int, b: int = 2, **more: int) -> int:
    return a + b + sum(more.values())


class Doubler:
    async def __call__(self, value: int) -> int:
        return 2 * value


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that is not async, whatever it decorates."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


@pytest.mark.parametrize("inline", [False, True])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (functools.partial(total, 1), "b"),
        (functools.partial(total, b=5), "a"),
        (Doubler(), "value"),
        (kept(total), "a"),
    ],
)
def test_what_is_no_plain_function_keeps_its_types(
    function: Callable[..., Any], name: str, inline: bool
) -> None:
    app = RpcApp()
    app.method("made", inline=inline)(function)
    assert isinstance(result(app, "made", [3]), int)
    assert error(app, "made", ["x"])["data"] == {name: ["expected integer, got string"]}


@pytest.mark.parametrize("function", [functools.partial(total, 1), Doubler()])
def test_what_has_no_name_needs_one(function: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="has no name of its own: give one"):
        RpcApp().method(function)


def test_generators_are_refused_behind_decorators() -> None:
    @kept
    def numbers() -> Any:
        yield 1

    with pytest.raises(ConfigError, match="a generator has no result"):
        RpcApp().method(numbers)


def test_names_that_python_has_filled_are_none_that_can_be_sent() -> None:
    class Open(Procedure):
        name = "open"

        @method
        async def any(self, **more: int) -> dict[str, int]:
            return more

        @method
        async def free(self, /, **more: int) -> dict[str, int]:
            return more

    app = RpcApp([Open])
    app.method("partial")(functools.partial(total, 1))
    assert error(app, "open@any", {"self": 1})["data"] == {"self": ["not expected"]}
    assert error(app, "partial", {"a": 1})["data"] == {"a": ["not expected"]}
    assert result(app, "open@free", {"self": 1}) == {"self": 1}


def test_mock_of_a_method() -> None:
    app = RpcApp()
    app.method("mocked")(AsyncMock(return_value=5))
    assert result(app, "mocked", [1]) == 5


@pytest.mark.skipif(sys.version_info < (3, 12), reason="functions can be marked since Python 3.12")
def test_function_that_is_marked_as_a_coroutine_function() -> None:
    async def later() -> int:
        await asyncio.sleep(0)
        return 5

    def marked() -> Any:
        return later()

    app = RpcApp()
    app.method("marked")(getattr(inspect, "markcoroutinefunction")(marked))  # noqa: B009 - new to mypy
    assert result(app, "marked") == 5
