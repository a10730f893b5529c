from typing import Any

import pytest

from batchway.admin.patch import MAX_DEPTH, check_depth, merge, replace_at
from batchway.errors import InvalidResource

# RFC 7396, appendix A
MERGED: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "expected"), MERGED)
def test_merge_follows_the_rfc(target: Any, patch: Any, expected: Any) -> None:
    assert merge(target, patch) == expected


def test_merge_leaves_the_old_document_as_it_was() -> None:
    target = {"a": {"b": 1}, "c": [1]}
    merge(target, {"a": {"b": 2, "d": 3}, "c": None})

    assert target == {"a": {"b": 1}, "c": [1]}


@pytest.mark.parametrize(
    ("target", "path", "expected"),
    [
        ({"a": 1}, ["a"], {"a": "new"}),
        ({"a": 1}, ["b"], {"a": 1, "b": "new"}),
        ({"a": {"b": 1, "c": 2}}, ["a", "b"], {"a": {"b": "new", "c": 2}}),
        ({}, ["a", "b", "c"], {"a": {"b": {"c": "new"}}}),
        ({"a": [1, 2, 3]}, ["a", "1"], {"a": [1, "new", 3]}),
        ({"a": [{"b": 1}]}, ["a", "0", "b"], {"a": [{"b": "new"}]}),
        ({"a": 1}, [], "new"),
    ],
)
def test_replace_at_puts_the_value_there(target: Any, path: list[str], expected: Any) -> None:
    assert replace_at(target, path, "new") == expected


def test_replace_at_leaves_the_old_document_as_it_was() -> None:
    target = {"a": [{"b": 1}]}
    replace_at(target, ["a", "0", "b"], 2)

    assert target == {"a": [{"b": 1}]}


@pytest.mark.parametrize("step", ["1", "-1", "x", "", "1.0", "９", "99999999999"])
def test_a_step_into_an_array_is_the_index_of_an_item(step: str) -> None:
    with pytest.raises(InvalidResource, match="no index of an array of 1 items"):
        replace_at({"a": [1]}, ["a", step], 2)


@pytest.mark.parametrize("value", [1, "text", True, None])
def test_nothing_stands_below_a_scalar(value: object) -> None:
    with pytest.raises(InvalidResource, match="'b' stands below a value that is no object"):
        replace_at({"a": value}, ["a", "b"], 1)


def nested(depth: int) -> object:
    document: object = 1
    for number in range(depth):
        document = [document] if number % 2 else {"a": document}
    return document


def test_a_document_may_be_nested_to_the_limit() -> None:
    check_depth(nested(MAX_DEPTH))


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 10_000])
def test_a_document_nested_deeper_is_refused(depth: int) -> None:
    with pytest.raises(InvalidResource, match="nested deeper"):
        check_depth(nested(depth))
