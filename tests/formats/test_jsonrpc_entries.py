"""What can be told of JSON without decoding it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import DecodeError, Raw

from batchway.formats import entries

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}":\\a', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('[]{}":\\a', max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


def raw(value: Any) -> Raw:
    return Raw(json.dumps(value).encode())


def depth(value: Any) -> int:
    match value:
        case list():
            return 1 + max(map(depth, value), default=0)
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(values, st.integers(min_value=0, max_value=12))
def test_depth_is_that_of_the_value(value: Any, most: int) -> None:
    assert entries.is_deeper(raw(value), most) == (depth(value) > most)


def test_depth_of_a_long_flat_value_is_one() -> None:
    assert not entries.is_deeper(raw([[]] * 10_000), 2)
    assert entries.is_deeper(raw([[]] * 10_000), 1)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"x"', True),
        ("null", True),
        ("0", True),
        ("-1", True),
        ("1.5", True),
        ("1e308", True),
        ("1e309", False),
        ("-1e309", False),
        ("true", False),
        ("false", False),
        ("[1]", False),
        ("{}", False),
    ],
)
def test_scalars(value: str, expected: bool) -> None:
    assert entries.is_scalar(Raw(value.encode())) is expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('{"id":[1], "x":2}', b"[1]"),
        ('{"x":{"id":1}}', None),
        ("[]", None),
        ("5", None),
        ('{"id":null}', b"null"),
    ],
)
def test_id_of_any_entry(entry: str, expected: bytes | None) -> None:
    found = entries.id_of(Raw(entry.encode()))
    assert (None if found is None else bytes(found)) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{}", set()),
        ('{"a":1,"b":{"c":1,"c":2}}', set()),
        ('{"a":1,"b":2,"a":3}', {"a"}),
        ('{"a":1,"\\u0061":2,"b":1,"b":1,"b":1}', {"a", "b"}),
        ('{"a":' + "9" * 5000 + ',"a":1e999}', {"a"}),
        ('{"a:b":":","c":[{"d":1}]}', set()),
        ('{"a\\u003a":1,"b":1,"b":2}', {"b"}),
        ('{"a":":","a":"::"}', {"a"}),
        ('{"":1,"":1}', {""}),
    ],
)
def test_repeated_members(entry: str, expected: set[str]) -> None:
    assert entries.repeated_members(Raw(entry.encode())) == expected


def test_split_gives_the_entries_or_the_one() -> None:
    assert [bytes(one) for one in entries.split(b'[ 1, {"a": [2]} ]', single=False)] == [
        b"1",
        b'{"a": [2]}',
    ]
    assert [bytes(one) for one in entries.split(b" {} ", single=True)] == [b"{}"]
    with pytest.raises(DecodeError):
        entries.split(b"[1,", single=False)
