"""What APISIX's own tests expect of its Admin API, retold in apisix/admin/*.yaml; see the README there."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchway.admin.kinds import KINDS

from .gateway import KEY, VIEWER_KEY, Document, Gateway
from .wire import Answer, fetch

CASES = Path(__file__).parent / "apisix" / "admin"
METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
FILLINGS = {
    "{35k}": "a" * 35 * 1024,
    "{1638k}": "a" * 1638 * 1024,
    "{admin}": KEY,
    "{viewer}": VIEWER_KEY,
}
KEYS = {"admin": KEY, "viewer": VIEWER_KEY, "stranger": "a key of nobody's"}


def cases() -> Iterator[Any]:
    for path in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text()):
            yield pytest.param(case["steps"], id=f"{path.stem}: {case['case']}")


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of these cases alone."""
    gateway = Gateway(tmp_path_factory.mktemp("admin-cases")).start()
    yield gateway
    assert gateway.stop() == 0, gateway.log()


@pytest.fixture
def empty(admin: Gateway) -> Gateway:
    """That gateway without any resource."""
    for kind in KINDS.values():
        if not kind.parent:
            for node in admin.admin("GET", f"/{kind.name}").json()["list"]:
                path = node["key"].removeprefix("/apisix")
                assert admin.admin("DELETE", f"{path}?force=true").status == 200
    return admin


@pytest.mark.parametrize("steps", list(cases()))
def test_apisix_admin_case(empty: Gateway, steps: list[Document]) -> None:
    for step in steps:
        for number in range(1, step.get("times", 1) + 1):
            check(step, ask(empty, step, number), f"{step}")


def ask(gateway: Gateway, step: Document, number: int) -> Answer:
    """The answer to a step; the one that is waited for, if it says how long that may take."""
    give_up = time.monotonic() + step.get("within_s", 0)
    answer = send(gateway, step, number)
    while not fits(step, answer) and time.monotonic() < give_up:
        time.sleep(0.05)
        answer = send(gateway, step, number)
    return answer


def fits(step: Document, answer: Answer) -> bool:
    return answer.status == step["gives"] and ("with" not in step or has(answer.json(), step["with"]))


def send(gateway: Gateway, step: Document, number: int) -> Answer:
    method = next(name for name in METHODS if name in step)
    path = filled(step[method], number)
    body = step.get("raw", filled(json.dumps(step["body"]), number) if "body" in step else None)
    key = KEYS.get(step.get("as", "admin"))
    headers = {} if key is None else {"X-API-KEY": key}
    return fetch(gateway.admin_address, method, f"/apisix/admin{path}", body, headers)


def filled(text: str, number: int) -> str:
    for name, value in (FILLINGS | {"{n}": str(number)}).items():
        text = text.replace(name, value)
    return text


def check(step: Document, answer: Answer, where: str) -> None:
    assert answer.status == step["gives"], f"{answer} to {where}"
    if "text" in step:
        assert answer.body.decode() == step["text"], where
        return
    document = answer.json()
    assert "with" not in step or has(document, step["with"]), f"{document} to {where}"
    assert "says" not in step or step["says"] in document["error_msg"], f"{document} to {where}"
    check_shape(step, document, where)
    for name, value in step.get("header", {}).items():
        assert answer.header(name) == value, where


def check_shape(step: Document, document: Any, where: str) -> None:
    for path, names in step.get("keys", {}).items():
        assert set(at(document, path)) == set(names), f"{document} to {where}"
    for path, names in step.get("lacks", {}).items():
        assert not set(at(document, path)) & set(names), f"{document} to {where}"
    for path, value in step.get("exactly", {}).items():
        assert at(document, path) == value, f"{document} to {where}"
    if "shows" in step:
        assert [node["value"]["id"] for node in document["list"]] == step["shows"], where
    if "among" in step:  # in this order, with others between them
        assert [name for name in document if name in step["among"]] == step["among"], where


def at(document: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        document = document[name]
    return document


def has(document: Any, part: Any) -> bool:
    """Whether `document` says all that `part` says."""
    if isinstance(part, Mapping):
        return isinstance(document, Mapping) and all(
            name in document and has(document[name], inner) for name, inner in part.items()
        )
    if isinstance(part, Sequence) and not isinstance(part, str):
        return len(document) == len(part) and all(map(has, document, part))
    return bool(document == part)
