"""What docs/formats/json-rpc.md shows of writing a service does what it says; its tables have all."""

import asyncio
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from batchway.rpc import Context, RpcApp, RpcLimits
from batchway.rpc.procedure import Options

PAGE = (Path(__file__).parents[2] / "docs" / "formats" / "json-rpc.md").read_text()
SECTION = PAGE.partition("\n## Writing a service\n")[2].partition("\n## ")[0]
ADA = Context(headers={"Authorization": "Bearer secret"}, client="192.0.2.1")


@pytest.fixture
def app() -> RpcApp:
    """What the section's blocks make, one after another."""
    module = ModuleType("docs_json_rpc")
    sys.modules[module.__name__] = module
    for block in re.findall(r"^```python\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL):
        exec(compile(block, "docs/formats/json-rpc.md", "exec"), module.__dict__)  # noqa: S102 - our page
    found = module.__dict__["app"]
    assert isinstance(found, RpcApp)
    return found


def ask(app: RpcApp, name: str, params: Any, context: Context | None = ADA) -> Any:
    async def once() -> bytes:
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": name, "params": params})
        answer = await app.handle(body, context)
        await app.aclose()
        assert answer is not None
        return answer

    answer = msgspec.json.decode(asyncio.run(once()))
    return answer["result"] if "result" in answer else answer["error"]


@pytest.mark.parametrize(
    ("name", "params", "result"),
    [
        ("visits@book", {"user_id": 1, "hour": 10}, "Ada at 10"),
        ("visits@book", [1, 10], "Ada at 10"),
        ("visits@book", [1], "Ada at 9"),
        ("visits@book", [2], {"code": 4004, "message": "There is no such user", "data": {"user_id": 2}}),
        ("visits@hours", [], [9, 10, 11]),
        ("visits@report", [1, 2], "2 days"),
        ("legacy@what.ever", [3], "what.ever with [3]"),
        ("clock.zone", [], "UTC"),
    ],
)
def test_the_service_of_the_page(app: RpcApp, name: str, params: Any, result: Any) -> None:
    assert ask(app, name, params) == result


def test_work_put_off_is_done(app: RpcApp, capsys: pytest.CaptureFixture[str]) -> None:
    ask(app, "visits@book", [1])
    assert capsys.readouterr().out == "booked by 192.0.2.1\n"


def test_middleware_of_the_page_asks_who_calls(app: RpcApp) -> None:
    assert ask(app, "visits@hours", [], None) == {"code": 4001, "message": "Who are you?"}


def rows(head: str) -> list[tuple[list[str], str]]:
    """Of a table of the section: the names in the first column, and the default or defaults."""
    table = SECTION.partition(f"| {head} | default |")[2].partition("\n\n")[0]
    found = re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE)
    return [(re.findall(r"`(\w+)`", names), default) for names, default in found]


def test_limits_are_those_of_the_page() -> None:
    told = {
        name: None if default == "none" else float(default)
        for names, defaults in rows("limit")
        for name, default in zip(names, defaults.split(", "), strict=True)
    }
    assert told == msgspec.structs.asdict(RpcLimits())


def test_options_of_a_method_are_those_of_the_page() -> None:
    told = {name for names, _ in rows("`@method(...)`") for name in names}
    assert told == set(Options.__struct_fields__)


def test_options_of_an_app_are_those_of_the_page() -> None:
    told = {name for names, _ in rows("`RpcApp(...)`") for name in names}
    parameters = inspect.signature(RpcApp.__init__).parameters.values()
    assert told | {"limits"} == {one.name for one in parameters if one.kind == one.KEYWORD_ONLY}
