"""Whatever comes in: the app raises nothing, and what it says is JSON that fits what was asked."""

import asyncio
import json
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.rpc import Context, Procedure, Proxy, RpcApp, method

from .asking import run


class Tennis(Procedure):
    name = "tennis"

    @method
    async def ping(self) -> str:
        return "pong"

    @method
    async def add(self, a: int, b: int = 1) -> int:
        return a + b

    @method
    async def any_value(self, value: Any) -> Any:
        return value

    @method
    async def rest(self, *rest: Any, **more: Any) -> Any:
        await asyncio.sleep(0)
        return [rest, more]

    @method
    async def fail(self, context: Context) -> None:
        raise KeyError(context.id)


class Other(Proxy):
    name = "other"

    async def forward(self, method: str, params: Any, context: Context) -> Any:
        return [method, params]


APPS = {
    "standard": RpcApp([Tennis, Other], max_items=5, max_depth=5),
    "sajya": RpcApp([Tennis, Other], profile="sajya", max_items=5, max_depth=5),
}

NAMES = [
    "tennis@ping",
    "tennis@add",
    "tennis@any_value",
    "tennis@rest",
    "tennis@fail",
    "other@x",
    "rpc.discover",
    "x",
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
calls = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": st.sampled_from(NAMES)},
    optional={
        "params": st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "value", "self"]), values, max_size=3)
        | values,
        "id": st.integers()
        | st.text(max_size=3)
        | st.none()
        | st.floats(allow_nan=False, allow_infinity=False),
    },
)
broken = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | values,
        "method": st.sampled_from(NAMES) | values,
        "params": values,
        "id": values,
    },
)


def handle(profile: str, body: bytes) -> bytes | None:
    with structlog.testing.capture_logs():
        return run(APPS[profile].handle(body))


def check_response(response: Any, profile: str) -> Any:
    """The id of a response, which must be one."""
    assert response["jsonrpc"] == "2.0"
    assert set(response) == {"jsonrpc", "id", "error" if "error" in response else "result"}
    if "error" in response:
        data = {"data"} if "data" in response["error"] or profile == "sajya" else set()
        assert set(response["error"]) == {"code", "message"} | data
        assert isinstance(response["error"]["code"], int)
    return response["id"]


def check(profile: str, body: bytes) -> None:
    said = handle(profile, body)
    if said is None:
        return
    document = json.loads(said)
    if profile == "sajya" and document in ({}, []):
        return
    for response in document if isinstance(document, list) else [document]:
        check_response(response, profile)


@pytest.mark.parametrize("profile", APPS)
@given(body=st.binary(max_size=50))
@settings(max_examples=50)
def test_any_bytes(profile: str, body: bytes) -> None:
    check(profile, body)


@pytest.mark.parametrize("profile", APPS)
@given(document=calls | broken | values | st.lists(calls | broken | values, max_size=6))
def test_any_json(profile: str, document: Any) -> None:
    check(profile, json.dumps(document).encode())


@pytest.mark.parametrize("profile", APPS)
@given(sent=st.lists(calls, min_size=1, max_size=5))
def test_ids_of_responses_are_those_of_calls_in_order(profile: str, sent: list[dict[str, Any]]) -> None:
    said = handle(profile, json.dumps(sent).encode())
    responses = [] if said is None else json.loads(said)
    found = [check_response(one, profile) for one in responses]
    expected = []
    for one in sent:
        is_call = isinstance(one.get("params", []), list | dict)
        if "id" in one and (is_call or profile == "standard"):
            expected.append(as_sent_back(one["id"], profile))
        elif not is_call:
            expected.append(None)
        else:
            continue
    assert found == expected


def as_sent_back(id: Any, profile: str) -> Any:
    if profile == "standard" or id is None or isinstance(id, str):
        return id
    return json.dumps(id)


@pytest.mark.parametrize("profile", APPS)
@given(body=st.binary(min_size=1, max_size=8), position=st.integers(min_value=0, max_value=200))
@settings(max_examples=50)
def test_damage_to_a_good_batch(profile: str, body: bytes, position: int) -> None:
    good = json.dumps(
        [{"jsonrpc": "2.0", "method": name, "params": [1], "id": name} for name in NAMES[:4]]
    ).encode()
    check(profile, good[:position] + body + good[position + len(body) :])
