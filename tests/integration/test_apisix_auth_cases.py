"""What APISIX's own tests expect of auth plugins, retold in apisix/plugins/*.yaml; see the README there."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.plugins.guards import private_key, private_pem, public_pem, signed_request, token

from .gateway import Document, Gateway
from .scripted import Scripted, each, echo
from .test_apisix_admin_cases import admin, check, empty, filled, send  # noqa: F401 - fixtures
from .wire import Answer

CASES = Path(__file__).parent / "apisix" / "plugins"
ALGORITHMS = ("RS256", "RS256/1024", "RS512", "PS256", "ES256", "ES512", "EdDSA")


def cases() -> Iterator[Any]:
    for path in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text()):
            yield pytest.param(case["steps"], id=f"{path.stem}: {case['case']}")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Scripted]:
    """Answers with the request as it came."""
    with Scripted(each(echo)) as server:
        yield server


@pytest.mark.parametrize("steps", list(cases()))
def test_apisix_auth_case(empty: Gateway, upstream: Scripted, steps: list[Document]) -> None:  # noqa: F811
    for step in steps:
        if "ask" in step:
            ask(empty, upstream, step)
        else:
            put(empty, upstream, step)


# --- the Admin API


def put(gateway: Gateway, upstream: Scripted, step: Document) -> None:
    if "body" in step:
        body = json.dumps(step["body"]).replace("127.0.0.1:1980", "{}:{}".format(*upstream.address))
        step = step | {"body": json.loads(with_keys(body))}
    for number in range(1, step.get("times", 1) + 1):
        answer = send(gateway, step, number)
        check(step if "gives" in step else step | {"gives": min(answer.status, 201)}, answer, f"{step}")
        assert "gives" in step or answer.status >= 200, step


def with_keys(text: str) -> str:
    """JSON with keys in place of their names."""
    for name in ALGORITHMS:
        if name in text:
            for mark, pem in (("{%s}", public_pem), ("{private %s}", private_pem)):
                text = text.replace(mark % name, json.dumps(pem(private_key(name)))[1:-1])
    return text.replace("{320}", "akey" * 80)


# --- the data plane


def ask(gateway: Gateway, upstream: Scripted, step: Document) -> None:
    gives = step.get("gives", 200)
    for status in gives if isinstance(gives, list) else [gives]:
        made = made_token(step)
        before = len(upstream.requests)
        answer = fetch(gateway, step, made)
        assert answer.status == status, f"{answer} to {step}"
        assert len(upstream.requests) - before == (status == 200), step
        if status == 200:
            check_sent(step, upstream, made)
        check_answer(step, answer)


def made_token(step: Document) -> str:
    wanted = step.get("token")
    if wanted is None:
        return ""
    name = wanted.get("key")
    key = with_keys_in(wanted["secret"]) if name is None else private_key(name)
    algorithm = (name or "HS256").partition("/")[0]
    return token(key, wanted["claims"], wanted.get("algorithm", algorithm))


def with_keys_in(text: str) -> str:
    plain: str = json.loads(with_keys(json.dumps(text)))
    return plain


def fetch(gateway: Gateway, step: Document, made: str) -> Answer:
    path, method, body = step["ask"], step.get("method", "GET"), step.get("body")
    headers: dict[str, str] = {}
    if "signed" in step:
        headers |= signed_request(method, path, **step["signed"])
    places = [path, *(value for value in step.get("headers", {}).values() if value)]
    if made and not any("{token}" in place for place in places):
        headers["Authorization"] = f"Bearer {made}"
    digest = base64.b64encode(hashlib.sha256((body or "").encode()).digest()).decode()
    for name, value in step.get("headers", {}).items():
        if value is None:
            del headers[name]
        else:
            headers[name] = value.replace("{token}", made).replace("{sha256}", digest)
    return gateway.fetch(path.replace("{token}", made), method, body, headers)


def check_sent(step: Document, upstream: Scripted, made: str) -> None:
    received = upstream.requests[-1]
    for name, value in step.get("saw", {}).items():
        expected = None if value is None else value.replace("{token}", made)
        assert received.header(name) == expected, f"{name} in {step}"
    assert received.target == step.get("at", received.target).replace("{token}", made), step
    assert received.body.decode() == step.get("body", ""), step


def check_answer(step: Document, answer: Answer) -> None:
    if "text" in step:
        assert answer.body.decode() == step["text"], step
    if "message" in step:
        assert answer.json() == {"message": step["message"]}, step
    for name, value in step.get("header", {}).items():
        assert answer.header(name) == value, f"{name} in {step}"
