"""Whatever comes in: the app raises nothing, and what it says is JSON that fits what was asked."""

import asyncio
import json
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.rpc import Context, Procedure, Proxy, RpcApp, method

from . import model
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


MAX_ITEMS = MAX_DEPTH = 5
APPS = {
    profile: RpcApp([Tennis, Other], profile=profile, max_items=MAX_ITEMS, max_depth=MAX_DEPTH)
    for profile in ("standard", "sajya")
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


numbers = st.sampled_from(["1e400", "-1e400", "1e-400", "1.0", "-0", "1E+2", "9" * 30, "NaN", "01"])
strings = st.sampled_from(
    ['"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\"', '""', '"2.\\u0030"', '"é"']
)
nested = st.integers(1, 8).flatmap(
    lambda n: st.sampled_from(["[" * n + "]" * n, '{"a":' * n + "1" + "}" * n])
)
raw_values = numbers | strings | nested | values.map(json.dumps)
raw_members = st.sampled_from(
    [
        '"jsonrpc":"2.0"',
        '"method":"tennis@ping"',
        '"method":"tennis@any_value"',
        '"id":1',
        '"params":[1]',
        '"":1',
    ]
) | st.builds(
    "{}:{}".format,
    st.sampled_from(['"jsonrpc"', '"method"', '"params"', '"id"', '"i\\u0064"', '"x"']),
    raw_values,
)
raw_entries = st.lists(raw_members, max_size=6).map(lambda found: "{" + ",".join(found) + "}") | raw_values
"""Members that come twice, numbers and strings that few libraries would write."""


def check(profile: str, body: bytes) -> None:
    with structlog.testing.capture_logs():
        said = run(APPS[profile].handle(body))
    model.check(profile, body, said, max_items=MAX_ITEMS, max_depth=MAX_DEPTH)


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
@given(entries=st.lists(raw_entries, max_size=6))
def test_any_entries_as_nobody_would_write_them(profile: str, entries: list[str]) -> None:
    check(profile, f"[{','.join(entries)}]".encode())
    for entry in entries:
        check(profile, entry.encode())


@pytest.mark.parametrize("profile", APPS)
@given(body=st.binary(min_size=1, max_size=8), position=st.integers(min_value=0, max_value=200))
@settings(max_examples=50)
def test_damage_to_a_good_batch(profile: str, body: bytes, position: int) -> None:
    good = json.dumps(
        [{"jsonrpc": "2.0", "method": name, "params": [1], "id": name} for name in NAMES[:4]]
    ).encode()
    check(profile, good[:position] + body + good[position + len(body) :])


@pytest.mark.parametrize(
    "said",
    [
        b'[{"jsonrpc":"2.0","result":1,"id":2}]',  # of another id
        b'[{"jsonrpc":"2.0","result":1,"id":1},{"jsonrpc":"2.0","result":1,"id":1}]',  # once more
        b'[{"jsonrpc":"2.0","result":1,"id":1.0}]',  # the id written otherwise
        b'[{"jsonrpc":"2.0","result":NaN,"id":1}]',
        b'[{"jsonrpc":"2.0","id":1}]',
        b'{"jsonrpc":"2.0","result":1,"id":1}',
        b"[]",
        None,
    ],
)
def test_model_sees_what_is_no_answer(said: bytes | None) -> None:
    """What finds no fault with anything would prove nothing."""
    body = b'[{"jsonrpc":"2.0","method":"tennis@ping","id":1},{"jsonrpc":"2.0","method":"tennis@ping"}]'
    good = b'[{"jsonrpc":"2.0","result":"pong","id":1}]'
    model.check("standard", body, good, max_items=MAX_ITEMS, max_depth=MAX_DEPTH)
    with pytest.raises((AssertionError, KeyError, model.NoJson)):
        model.check("standard", body, said, max_items=MAX_ITEMS, max_depth=MAX_DEPTH)
