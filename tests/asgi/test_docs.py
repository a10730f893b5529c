"""What docs/asgi.md shows does what it says."""

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from batchway.asgi.options import Settings
from batchway.model import Limits
from batchway.wire import App

from . import django_site
from .client import Client, Lifespan, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "asgi.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


PYTHON = {
    name: next(block for block in blocks("python") if mark in block)
    for name, mark in {
        "fastapi": '"/users/{user_id}"',
        "starlette": "Starlette(",
        "django": "get_asgi_application()",
        "route": "BatchEndpoint(",
        "protected": "protected=",
    }.items()
}


def execute(name: str) -> dict[str, Any]:
    """The names that a block of the page defines."""
    module = ModuleType(f"docs_{name}")  # FastAPI looks up annotations in the module
    sys.modules[module.__name__] = module
    exec(compile(PYTHON[name], f"docs/asgi.md: {name}", "exec"), module.__dict__)  # noqa: S102 - our page
    return module.__dict__


def app_of(name: str) -> App:
    names = execute(name)
    app: App = names.get("application") or names["app"]
    return app


def test_every_block_of_code_is_run() -> None:
    assert sorted(PYTHON.values()) == sorted(blocks("python"))


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("fastapi", "/users/7", '{"id":7}'),
        ("starlette", "/hello/ada", "hello ada"),
        ("route", "/ping", '"pong"'),
        ("protected", "/me", "null"),
    ],
)
def test_the_app_of_a_block_answers_a_batch(name: str, path: str, body: str) -> None:
    item = {"path": path, "headers": {"X-Remote-User": "root"}}
    good, missing = run(Client(app_of(name)).batch([item, "/none"]))
    assert (good["status"], good["body"]) == (200, body)
    assert missing["status"] == 404


def test_the_django_of_the_page_answers_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", django_site.__name__)
    [one] = run(Client(app_of("django")).batch(["/async/7"]))
    assert json.loads(one["body"])["number"] == 7


@pytest.fixture
def example() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("fastapi_app", ROOT / "examples" / "fastapi_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fastapi_app"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fastapi_app"]


def test_the_example_answers_as_the_page_says(
    example: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    command = next(block for block in blocks("sh") if "--data" in block)
    batch = re.findall(r"--data '(.*)'", command, re.DOTALL)[0]

    async def main() -> Any:
        async with Lifespan(example.app) as state:
            answer = await Client(example.app, state=dict(state)).request("POST", "/batch", batch.encode())
            await asyncio.sleep(0)
            return answer.json()

    with caplog.at_level("INFO", "orders"):
        assert run(main()) == json.loads(blocks("json")[0])
    assert [record.getMessage() for record in caplog.records] == ["receipt for cups sent to user 2"]


def test_a_page_of_the_shop_may_send_batches_to_the_example(example: ModuleType) -> None:
    asked = [
        ("Origin", "https://shop.example"),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ]
    answer = run(Client(example.app).request("OPTIONS", "/batch", b"", asked))
    assert (answer.status, answer.header("access-control-allow-origin")) == (200, "https://shop.example")


def test_the_table_of_limits_is_complete() -> None:
    settings, limits = Settings(), Limits()
    values = {name: getattr(limits, name) for name in Limits.__struct_fields__}
    values["max_calls"] = settings.max_calls
    values["background_grace_s"] = settings.background_grace_s
    table = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.MULTILINE))
    assert {name: int(value) for name, value in table.items()} == values
