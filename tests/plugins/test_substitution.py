"""Substitutions as nginx writes them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.config.expression import MAX_SUBJECT
from batchway.errors import BadRequest
from batchway.plugins.substitution import check_groups, replaced, search, substitute, with_groups
from batchway.plugins.variables import resolve


@pytest.mark.parametrize(
    ("pattern", "replacement", "text", "expected"),
    [
        ("b", "x", "abcb", "axcb"),
        ("^/(.*)/(.*)$", "/$2/$1", "/a/b", "/b/a"),
        ("(a)", "${1}0", "a", "a0"),
        ("(a)|(b)", "[$1$2]", "b", "[b]"),
        ("a", "$$1", "a", "$1"),
        ("a", "$0$0", "cab", "caab"),
        ("a", "$x", "a", "$x"),
        ("a", r"\1", "a", r"\1"),
        ("a", "$9", "a", ""),
        ("c", "x", "ab", None),
    ],
)
def test_substitute(pattern: str, replacement: str, text: str, expected: str | None) -> None:
    assert substitute(re.compile(pattern), replacement, text) == expected


def test_substitute_everywhere() -> None:
    assert substitute(re.compile("l+"), "<$0>", "hello world", everywhere=True) == "he<ll>o wor<l>d"
    assert substitute(re.compile("x*"), "-", "ab", everywhere=True) == "-a-b-"


def test_what_is_of_the_text_is_encoded_for_its_place() -> None:
    found = re.search("/b(.)", "/a/b?/c")
    assert found
    assert replaced(found, "/x$1", str.upper, str.swapcase) == "/A/x?/C"
    assert (
        replaced(found, "/x?q=$1z", lambda text: f"[{text}]", lambda text: f"<{text}>")
        == "[/a]/x?q=<?>z</c>"
    )


def test_groups_among_variables() -> None:
    found = re.search("(a)(b)?", "a")
    assert found
    lookup = with_groups(found, {"x": "$1"}.get)
    assert resolve("$1-$2-$3-$$-$x-${1}-$1b-$0", lookup) == "a---$$-$1-a-ab-a"


def test_group_that_the_pattern_does_not_have() -> None:
    check_groups(re.compile("(a)"), "$0$1${1}$$9", "here")
    with pytest.raises(ValueError, match="here: the pattern has no group 2"):
        check_groups(re.compile("(a)"), "$2", "here")
    with pytest.raises(ValueError, match="no group"):
        check_groups(re.compile("(a)"), "$" + "9" * 5000, "here")


def test_text_that_is_too_long_is_refused() -> None:
    assert search(re.compile("a$"), "a" * MAX_SUBJECT)
    with pytest.raises(BadRequest):
        search(re.compile("a$"), "a" * (MAX_SUBJECT + 1))


@given(st.text(), st.text())
def test_any_replacement_does(replacement: str, text: str) -> None:
    pattern = re.compile("(a)|(.)")
    changed = substitute(pattern, replacement, text)
    assert (changed is None) == (pattern.search(text) is None)
    found = pattern.search(text)
    if found:
        assert replaced(found, replacement) == changed
        assert "$" in replacement or resolve(replacement, with_groups(found, lambda _: None)) == replacement
