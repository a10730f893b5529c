"""Patterns in PCRE's spelling, and those that `re` would not come back from."""

import re
import time

import pytest

from batchway.config.pattern import MAX_PATTERN, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("[0-9]+", ["1234", "a1"], ["", "a", "٣"]),
        ("^1[0-9]+$", ["12"], ["21", "12a"]),
        ("[Dd]ev", ["dev", "a Dev b"], ["DEV"]),
        (r"\d", ["7"], ["٣"]),
        (r"^\w$", ["a", "_"], ["ä"]),
        ("(?<year>[0-9]{4})-(?P=year)", ["2026-2026"], ["2026-2025"]),
        ("(?<=a)b", ["ab"], ["b"]),
        ("(?<!a)b", ["cb"], ["ab"]),
        (r"a\z", ["a"], ["a\n"]),
        (r"a\Z", ["a", "a\n"], ["a\n\n"]),
        ("a$", ["a", "a\n"], ["ab"]),
        ("^[[:alpha:]_]+$", ["a_B"], ["a1"]),
        ("^[^[:digit:][:space:]]$", ["a"], ["1", " "]),
        ("^[[:punct:]]$", list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"), ["a", "1", " "]),
        ("^[[:xdigit:]]+$", ["09afAF"], ["g"]),
        ("(?i)android", ["ANDROID"], ["ios"]),
        ("(a++)*b", ["aab", "b"], ["a"]),
        ("(?>a+)b", ["aab"], ["aa"]),
        (r"\\z", [r"\z"], ["z"]),
        ("[[a]", ["[", "a"], ["b"]),
        ("", ["", "a"], []),
    ],
)
def test_matches(pattern: str, matches: list[str], others: list[str]) -> None:
    search = compile_pattern(pattern, "vars[0][2]").search
    assert [text for text in matches if not search(text)] == []
    assert [text for text in others if search(text)] == []


def test_case_is_that_of_ascii() -> None:
    search = compile_pattern("äaK", "here", ignore_case=True).search
    assert search("äAk")
    assert not search("ÄaK")
    assert not search("äa\N{KELVIN SIGN}")


@pytest.mark.parametrize(
    "pattern",
    [
        "[0",
        "(",
        "*a",
        r"\h",
        r"\R",
        r"a\Kb",
        r"\Qa\E",
        r"\p{L}",
        r"\x{41}",
        "(?R)",
        "(?1)",
        "(?|a)",
        "a(?i)b",
    ]
    + ["[[:foo:]]", "(*UTF8)a", "(?<=a+)b", "a{99999999999}", "(?<a>b)(?<a>c)"],
)
def test_what_python_does_not_know(pattern: str) -> None:
    with pytest.raises(
        ValueError, match=r"^vars\[0\]\[2\]: not a regular expression that batchway knows: ."
    ):
        compile_pattern(pattern, "vars[0][2]")


@pytest.mark.parametrize("value", [1, None, ["a"], True])
def test_what_is_no_text(value: object) -> None:
    with pytest.raises(ValueError, match="^here: expected a regular expression, got "):
        compile_pattern(value, "here")


def test_length() -> None:
    assert compile_pattern("a" * MAX_PATTERN, "here")
    with pytest.raises(ValueError, match="^here: expected a regular expression of at most 1024 characters"):
        compile_pattern("a" * (MAX_PATTERN + 1), "here")


EXPLODING = [
    "(a+)+$",
    "(a*)*b",
    "(a+)*?b",
    "(.*)*b",
    "((a+))*b",
    "(?:a+){2,}b",
    "(a|a)*b",
    r"(\w+\s?)*b",
    r"(\w+\.?)*$",
    "(a+|b)*c",
    "(x+x+)+y",
    r"(\w+a)*b",
    "([^b]+c)*b",
    "(a{1,50}){1,50}b",
    "(?=(a+)+b)a",
    "x|(a+)+b",
    "(y)?(?(1)a|(a+)+b)",
]


@pytest.mark.parametrize("pattern", EXPLODING)
def test_what_takes_time_without_end(pattern: str) -> None:
    with pytest.raises(ValueError, match="^here: a repetition within a repetition"):
        compile_pattern(pattern, "here")


HARMLESS = [
    r"^([a-z0-9-]+\.)+test$",
    "(/[^/]+)*$",
    r"(\d+,)*\d+$",
    "(a|b)*c",
    "(a|ab)*c",
    r"(\w|\d)*!",
    "(a++)*b",
    "(?>a+)*b",
    "(a+b)+c",
    "^(?:[0-9]{1,3}[.]){3}[0-9]{1,3}$",
    r"^Bearer +[\w-]+[.][\w-]+[.][\w-]+$",
]


@pytest.mark.parametrize("pattern", HARMLESS)
def test_what_does_not(pattern: str) -> None:
    search = compile_pattern(pattern, "here").search
    started = time.process_time()
    for letter in "a0/.,b":
        search(letter * 1000 + "\x00")
    assert time.process_time() - started < 10, re.escape(pattern)  # those above would take years
