"""Parameters that are not sent as they are: the context, what is loaded, what is resolved."""

import asyncio
import threading
from typing import Annotated, Any

import pytest
from msgspec import Struct

from batchway.errors import ConfigError
from batchway.rpc import Bind, Context, Inject, InvalidParams, RpcApp, RpcError

from .asking import answer, call, error, raw_answer, result


class User:
    def __init__(self, id: int) -> None:
        self.id = id


class Order(Struct):
    user_id: int
    count: int = 1


async def load_user(id: int) -> User:
    await asyncio.sleep(0)
    if id == 404:
        raise InvalidParams(data={"user": ["there is no such user"]})
    return User(id)


# --- context


def test_context_tells_of_the_call_and_its_caller() -> None:
    app = RpcApp(timeout_s=50)

    @app.method
    async def look(a: int, context: Context, b: int = 2) -> list[Any]:
        return [
            a, b, context.id, context.method, context.params, context.is_notification, context.client,
            context.transport, context.headers["x-tenant"], context.state, context.weight,
            len(context.calls), 49 < context.remaining_s <= 50,
        ]  # fmt: skip

    caller = Context(headers={"X-Tenant": "a"}, client="10.0.0.1", transport="test", state={"user": 7})
    expected = [2, 1, "look", "10.0.0.1", "test", "a", {"user": 7}, 1, 1, True]
    found = result(app, "look", [1], caller)
    assert found == [1, 2, 1, "look", [1], False, *expected[3:]]
    found = result(app, "look", {"a": 1}, caller)
    assert found[4] == {"a": 1}


def test_context_cannot_be_sent() -> None:
    app = RpcApp()

    @app.method
    async def look(context: Context, **more: int) -> list[Any]:
        return [context.method, more]

    assert result(app, "look", {"a": 1}) == ["look", {"a": 1}]
    assert error(app, "look", {"context": 1})["data"] == {"context": ["not expected"]}
    assert error(app, "look", [1])["data"] == {"[0]": ["not expected"]}


def test_nobody_in_particular_calls() -> None:
    app = RpcApp()

    @app.method
    async def look(context: Context) -> list[Any]:
        return [context.client, dict(context.headers), context.state]

    assert result(app, "look") == ["", {}, {}]


def test_headers_are_found_in_any_case_and_joined() -> None:
    headers = Context(headers=[(b"Accept", b"a"), (b"x-b", b"\xe9"), (b"accept", b"b")]).headers
    assert headers["ACCEPT"] == "a, b"
    assert headers.get("X-B") == "é"
    assert headers.get("none") is None
    assert dict(headers) == {"accept": "a, b", "x-b": "é"}
    assert len(headers) == 2
    assert len(Context(headers={"A": "1", "a": "2"}).headers) == 1


def test_state_of_a_call_is_its_own() -> None:
    app = RpcApp()

    @app.method
    async def mark(context: Context, value: int) -> dict[str, Any]:
        context.state["value"] = value
        await asyncio.sleep(0)
        return context.state

    state = {"shared": 1}
    said = answer(app, [call("mark", [1], 1), call("mark", [2], 2)], Context(state=state))
    assert [one["result"] for one in said] == [{"shared": 1, "value": 1}, {"shared": 1, "value": 2}]
    assert state == {"shared": 1}


def test_after_is_for_calls() -> None:
    with pytest.raises(RuntimeError, match=r"after\(\) is for calls"):
        Context().after(print)


# --- loaders


def bound_app() -> RpcApp:
    app = RpcApp()

    @app.method
    async def by_name(user: Annotated[User, Bind(load_user)], times: int = 1) -> int:
        return user.id * times

    @app.method
    async def optional(user: Annotated[User | None, Bind(load_user)] = None) -> int | None:
        return None if user is None else user.id

    @app.method
    async def by_path(user: Annotated[User, Bind(load_user, "order.user_id")]) -> int:
        return user.id

    @app.method
    async def beside(order: Order, user: Annotated[User, Bind(load_user, "order.user_id")]) -> list[int]:
        return [order.count, user.id]

    @app.method
    async def in_array(
        first: Annotated[User, Bind(load_user, "users.0.id")],
        other: Annotated[User | None, Bind(load_user, "users.1.id")] = None,
    ) -> list[int | None]:
        return [first.id, None if other is None else other.id]

    return app


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("by_name", [5], 5),
        ("by_name", {"user": 5, "times": 2}, 10),
        ("optional", None, None),
        ("optional", [7], 7),
        ("by_path", {"order": {"user_id": 7, "any": "thing"}}, 7),
        ("by_path", [{"user_id": 7}], 7),
        ("beside", {"order": {"user_id": 7}}, [1, 7]),
        ("beside", [{"user_id": 7, "count": 2}], [2, 7]),
        ("in_array", {"users": [{"id": 1}, {"id": 2}]}, [1, 2]),
        ("in_array", {"users": [{"id": 1}]}, [1, None]),
    ],
)
def test_parameter_is_what_its_loader_loads(name: str, params: Any, expected: Any) -> None:
    assert result(bound_app(), name, params) == expected


@pytest.mark.parametrize(
    ("name", "params", "data"),
    [
        ("by_name", None, {"user": ["required"]}),
        ("by_name", {"user": "5"}, {"user": ["expected integer, got string"]}),
        ("by_name", {"user": {"id": 5}, "times": "x"}, {
            "user": ["expected integer, got object"], "times": ["expected integer, got string"],
        }),
        ("by_name", [404], {"user": ["there is no such user"]}),
        ("optional", [None], {"user": ["expected integer, got null"]}),
        ("by_path", None, {"order": ["required"]}),
        ("by_path", [{}], {"order.user_id": ["required"]}),
        ("by_path", [[]], {"order.user_id": ["required"]}),
        ("by_path", {"order": {"user_id": "7"}}, {"order.user_id": ["expected integer, got string"]}),
        ("by_path", {"user": 7}, {"user": ["not expected"], "order": ["required"]}),
        ("in_array", {"users": []}, {"users.0.id": ["required"]}),
        ("in_array", {"users": [{"id": 1}, {"id": "x"}]}, {"users.1.id": ["expected integer, got string"]}),
    ],
)  # fmt: skip
def test_what_a_loader_needs_is_checked(name: str, params: Any, data: Any) -> None:
    found = error(bound_app(), name, params)
    assert (found["code"], found["data"]) == (-32602, data)


def test_loader_may_ask_for_the_context_and_need_no_types() -> None:
    def load(value, where: Context):  # type: ignore[no-untyped-def]
        return [value, where.method, where.headers["x"]]

    app = RpcApp()

    @app.method
    async def take(loaded: Annotated[Any, Bind(load)]) -> Any:
        return loaded

    assert result(app, "take", [{"a": 1}], Context(headers={"x": "y"})) == [{"a": 1}, "take", "y"]


def test_loaders_that_are_not_async_run_in_threads_unless_inline() -> None:
    def load(_: int) -> int:
        return threading.get_ident()

    app = RpcApp()

    @app.method
    async def where(
        threaded: Annotated[int, Bind(load)], inline: Annotated[int, Bind(load, inline=True)]
    ) -> list[bool]:
        here = threading.get_ident()
        return [threaded == here, inline == here]

    assert result(app, "where", [1, 2]) == [False, True]


def test_loader_may_refuse_the_call() -> None:
    async def load(_: int) -> None:
        raise RpcError(403, "Forbidden")

    app = RpcApp()

    @app.method
    async def take(loaded: Annotated[None, Bind(load)]) -> None: ...

    assert error(app, "take", [1]) == {"code": 403, "message": "Forbidden"}


def test_classes_load_too() -> None:
    app = RpcApp()

    @app.method
    async def take(user: Annotated[User, Bind(User, inline=True)]) -> int:
        return user.id

    assert result(app, "take", [3]) == 3
    assert error(app, "take", ["3"])["data"] == {"user": ["expected integer, got string"]}


class Account(Struct):
    id: int


async def load_account(id: int) -> Account:
    return Account(id * 100)


def test_what_is_loaded_may_be_left_out() -> None:
    """Whether `None` stands within what is annotated, or beside it: nobody can send the object itself."""
    app = RpcApp()

    @app.method
    async def within(account: Annotated[Account | None, Bind(load_account)] = None) -> Account | None:
        return account

    @app.method
    async def beside(account: Annotated[Account, Bind(load_account)] | None = None) -> Account | None:
        return account

    for name in ("within", "beside"):
        assert result(app, name) is None
        assert result(app, name, [2]) == {"id": 200}
        assert error(app, name, [{"id": 1}])["data"] == {"account": ["expected integer, got object"]}


def test_a_part_of_a_parameter_cannot_be_loaded() -> None:
    async def listed(accounts: list[Annotated[Account, Bind(load_account)]]) -> None: ...
    async def keyed(accounts: dict[str, Annotated[Account, Inject]] | None) -> None: ...

    for function in (listed, keyed):
        with pytest.raises(
            ConfigError, match="parameter accounts: Bind and Inject are for a whole parameter$"
        ):
            RpcApp(resolver=User).method(function)


def test_each_of_the_rest_is_loaded() -> None:
    app = RpcApp()

    @app.method
    async def listed(*users: Annotated[User, Bind(load_user)]) -> list[int]:
        return [user.id for user in users]

    @app.method
    async def named(**users: Annotated[User, Bind(load_user)]) -> dict[str, int]:
        return {name: user.id for name, user in users.items()}

    assert result(app, "listed", [1, 2]) == [1, 2]
    assert result(app, "listed") == []
    assert result(app, "named", {"a": 1, "b": 2}) == {"a": 1, "b": 2}
    assert result(app, "named") == {}
    assert error(app, "listed", [1, "x"])["data"] == {"users[1]": ["expected integer, got string"]}


def test_rest_is_only_what_is_sent() -> None:
    async def of_contexts(*contexts: Context) -> None: ...
    async def of_paths(**users: Annotated[User, Bind(load_user, "a.b")]) -> None: ...
    async def of_resolved(*databases: Annotated[Database, Inject]) -> None: ...

    for function in (of_contexts, of_paths, of_resolved):
        with pytest.raises(
            ConfigError, match=r": \* and \*\* are for what is sent, each under its own name$"
        ):
            RpcApp(resolver=Database).method(function)


def test_all_paths_that_are_wrong_are_named_before_anything_is_loaded() -> None:
    loaded: list[int] = []

    def load(id: int) -> None:
        loaded.append(id)

    app = RpcApp()

    @app.method
    async def take(
        a: Annotated[None, Bind(load)],
        b: Annotated[None, Bind(load, "order.b")],
        c: Annotated[None, Bind(load, "order.c")],
    ) -> None: ...

    assert error(app, "take", {"a": 1, "order": {"b": "x"}})["data"] == {
        "order.b": ["expected integer, got string"],
        "order.c": ["required"],
    }
    assert loaded == []
    assert result(app, "take", {"a": 1, "order": {"b": 2, "c": 3}}) is None
    assert loaded == [1, 2, 3]


def test_loader_may_ask_for_the_context_in_other_words() -> None:
    async def load(id: int, context: Context | None, *, own: Annotated[Context, "mine"]) -> list[Any]:
        assert context is own
        return [id, own.method]

    app = RpcApp()

    @app.method
    async def take(loaded: Annotated[list[Any], Bind(load)]) -> list[Any]:
        return loaded

    assert result(app, "take", [1]) == [1, "take"]


def test_loader_that_cannot_be_called_is_refused_at_once() -> None:
    def wants_more(id: int, database: str) -> None: ...
    def wants_nothing() -> None: ...

    for loader in (wants_more, wants_nothing):

        async def take(loaded: Annotated[None, Bind(loader)]) -> None: ...

        with pytest.raises(
            ConfigError, match="parameter loaded: its loader gets what was sent, and the Context"
        ):
            RpcApp().method("take")(take)


# --- resolver


class Database:
    def __init__(self, name: str) -> None:
        self.name = name


def test_resolver_is_asked_at_each_call() -> None:
    asked: list[Any] = []

    async def resolve(kind: Any) -> Any:
        asked.append(kind)
        return Database(f"number {len(asked)}")

    app = RpcApp(resolver=resolve)

    @app.method
    async def first(database: Annotated[Database, Inject], a: int) -> list[Any]:
        return [database.name, a]

    @app.method
    async def second(a: int, database: Annotated[Database, Inject()]) -> list[Any]:
        return [database.name, a]

    assert result(app, "first", [5]) == ["number 1", 5]
    assert result(app, "second", {"a": 6}) == ["number 2", 6]
    assert asked == [Database, Database]
    assert error(app, "first", {"a": 1, "database": "x"})["data"] == {"database": ["not expected"]}


def test_without_a_resolver_nothing_can_be_injected() -> None:
    async def take(database: Annotated[Database, Inject]) -> None: ...

    with pytest.raises(ConfigError, match="^take: parameter database: there is no resolver$"):
        RpcApp().method(take)


def test_id_of_more_digits_than_python_reads_is_its_text() -> None:
    app = RpcApp()

    @app.method
    async def look(context: Context) -> Any:
        return context.id

    digits = "1" * 5000
    body = f'{{"jsonrpc":"2.0","method":"look","id":{digits}}}'
    assert raw_answer(app, body) == f'{{"jsonrpc":"2.0","result":"{digits}","id":{digits}}}'.encode()
