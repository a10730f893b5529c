"""The OpenRPC document: what a service is, from its signatures and docstrings."""

import enum
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from batchway.rpc import Bind, Context, Inject, Procedure, Proxy, RpcApp, RpcError, method

from .asking import error, result


class Color(enum.Enum):
    RED = "red"


class Item(Struct):
    """One thing."""

    name: str
    count: Annotated[int, Meta(ge=1)] = 1


Other = msgspec.defstruct("Item", [("other", bool)], module="elsewhere")


async def load(id: int) -> object:
    return id


class Shop(Procedure):
    """Sells things.

    All of them.
    """

    name = "shop"

    @method
    async def order(
        self,
        item: Item,
        context: Context,
        user: Annotated[object, Bind(load)],
        database: Annotated[object, Inject],
        color: Color = Color.RED,
        note: Annotated[str, Meta(description="What to say.")] = "",
    ) -> list[Item]:
        """Order something.

        It comes at once.
        """
        return [item]

    @method
    async def undocumented(self, a, *rest: int, **more: str):  # type: ignore[no-untyped-def]
        return a

    @method
    async def other(self, other: Other, *, keyword: int) -> None: ...  # type: ignore[valid-type]


class Legacy(Proxy):
    name = "legacy"


def make_app(**options: Any) -> RpcApp:
    app = RpcApp([Shop, Legacy], resolver=lambda kind: kind(), title="Shop", version="2", **options)

    @app.method("plain.function")
    async def plain() -> int:
        """Returns one."""
        return 1

    return app


def methods(app: RpcApp) -> dict[str, Any]:
    return {one["name"]: one for one in app.openrpc()["methods"]}


def test_document_tells_of_the_service() -> None:
    document = make_app().openrpc()
    assert document["openrpc"] == "1.3.2"
    assert document["info"] == {"title": "Shop", "version": "2"}
    assert [one["name"] for one in document["methods"]] == [
        "plain.function",
        "shop@order",
        "shop@other",
        "shop@undocumented",
    ]


def test_method_has_its_words_and_its_params() -> None:
    order = methods(make_app())["shop@order"]
    assert order == {
        "name": "shop@order",
        "tags": [{"name": "shop", "description": "Sells things.\n\nAll of them."}],
        "summary": "Order something.",
        "description": "It comes at once.",
        "paramStructure": "either",
        "params": [
            {"name": "item", "required": True, "schema": order["params"][0]["schema"]},
            {"name": "user", "required": True, "schema": {"type": "integer"}},
            {"name": "color", "required": False, "schema": order["params"][2]["schema"]},
            {
                "name": "note",
                "required": False,
                "description": "What to say.",
                "schema": {"type": "string", "description": "What to say.", "default": ""},
            },
        ],
        "result": {
            "name": "result",
            "schema": {"type": "array", "items": order["params"][0]["schema"]},
        },
    }
    assert order["params"][2]["schema"]["default"] == "red"


def test_words_of_a_partial_are_those_of_its_function() -> None:
    async def add(a: int, b: int) -> int:
        """The sum."""
        return a + b

    app = RpcApp()
    app.method("more")(partial(add, 1))
    assert app.openrpc()["methods"][0]["summary"] == "The sum."


def test_methods_without_words_and_types_are_described_too() -> None:
    found = methods(make_app())
    assert found["shop@undocumented"]["params"] == [
        {"name": "a", "required": True, "schema": {}},
        {
            "name": "rest",
            "required": False,
            "schema": {"type": "array", "items": {"type": "integer"}},
            "x-spread": True,
        },
        {
            "name": "more",
            "required": False,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
            "x-spread": True,
        },
    ]
    assert "summary" not in found["shop@undocumented"]
    assert found["shop@other"]["paramStructure"] == "by-name"
    assert found["plain.function"]["summary"] == "Returns one."
    assert "tags" not in found["plain.function"]


def test_method_has_the_errors_that_it_may_answer_with() -> None:
    class SoldOut(RpcError):
        code = 7
        message = "Sold out"

    app = RpcApp()

    @app.method(errors=[SoldOut], rate=5, timeout=1)
    async def buy() -> None: ...

    @app.method
    async def look() -> None: ...

    assert methods(app)["buy"]["errors"] == [
        {"code": 7, "message": "Sold out"},
        {"code": -32005, "message": "Limit exceeded"},
        {"code": -32051, "message": "Call timed out"},
    ]
    assert "errors" not in methods(app)["look"]


def test_classes_of_one_name_are_told_apart() -> None:
    document = make_app().openrpc()
    found = {one["name"]: one for one in document["methods"]}
    schemas = document["components"]["schemas"]

    def properties(name: str) -> set[str]:
        reference = found[name]["params"][0]["schema"]["$ref"]
        return set(schemas[reference.removeprefix("#/components/schemas/")]["properties"])

    assert properties("shop@order") == {"name", "count"}
    assert properties("shop@other") == {"other"}


def test_classes_that_cannot_be_told_apart_are_no_failure() -> None:
    app = RpcApp()
    kinds = [msgspec.defstruct("Same", [(name, int)], module="same") for name in ("a", "b")]
    for number, kind in enumerate(kinds):

        async def take(value: kind) -> None: ...  # type: ignore[valid-type]

        take.__annotations__["value"] = kind
        app.method(f"take{number}")(take)
    assert len(app.openrpc()["methods"]) == 2


def test_document_is_discovered() -> None:
    app = make_app()
    assert result(app, "rpc.discover") == app.openrpc()
    assert "later" not in methods(app)

    @app.method
    async def later() -> None: ...

    assert result(app, "rpc.discover") == app.openrpc()
    assert "later" in methods(app)


def test_discovery_may_be_turned_off() -> None:
    assert error(make_app(discover=False), "rpc.discover")["code"] == -32601


def test_result_that_json_does_not_know_is_anything() -> None:
    app = RpcApp()

    @app.method
    async def odd() -> object:
        return 1

    class Custom: ...

    @app.method
    async def custom() -> Custom:
        return Custom()

    assert [one["result"]["schema"] for one in app.openrpc()["methods"]] == [{}, {}]


def test_required_params_stand_first() -> None:
    app = RpcApp()

    @app.method("mixed")
    async def mixed(a: int, b: int = 1, *, c: int) -> None: ...

    (found,) = app.openrpc()["methods"]
    assert [(one["name"], one["required"]) for one in found["params"]] == [
        ("a", True),
        ("c", True),
        ("b", False),
    ]
