"""The path that routes are matched by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.gateway.paths import normalise

TABLE = {
    "/": "/",
    "/a": "/a",
    "/a/": "/a/",
    "/a/b": "/a/b",
    "/a.b": "/a.b",
    "/a/.b": "/a/.b",
    "/a/b.": "/a/b.",
    "/...": "/...",
    "/..a": "/..a",
    "/a..": "/a..",
    # slashes
    "//": "/",
    "//a": "/a",
    "/a//b": "/a/b",
    "/a//": "/a/",
    "///a///b///": "/a/b/",
    "//evil.test/a": "/evil.test/a",
    # dots. RFC 3986, section 5.2.4
    "/.": "/",
    "/./": "/",
    "/a/.": "/a/",
    "/a/./": "/a/",
    "/a/./b": "/a/b",
    "/..": "/",
    "/../": "/",
    "/../..": "/",
    "/../../a": "/a",
    "/a/..": "/",
    "/a/../": "/",
    "/a/b/..": "/a/",
    "/a/b/../": "/a/",
    "/a/../b": "/b",
    "/a/b/../../c": "/c",
    "/a/b/../../../c": "/c",
    "/a/./b/../c": "/a/c",
    "/mid/content=5/../6": "/mid/6",
    "/a/b/c/./../../g": "/a/g",
    "/public/../admin": "/admin",
    "/a//../b": "/b",
    "/a/b//../c": "/a/c",
    "/../admin/": "/admin/",
    # percent-encoding, once
    "/%61dmin": "/admin",
    "/%41": "/A",
    "/%2e%2e/admin": "/admin",
    "/public/%2E%2e/admin": "/admin",
    "/public/.%2e/admin": "/admin",
    "/public%2f..%2fadmin": "/admin",
    "/a%2Fb": "/a/b",
    "/a%2f%2fb": "/a/b",
    "/a/%2e": "/a/",
    "/a%20b": "/a b",
    "/a+b": "/a+b",
    "/%252e%252e/admin": "/%2e%2e/admin",
    "/%2561": "/%61",
    "/%": "/%",
    "/%2": "/%2",
    "/%zz": "/%zz",
    "/a%3Fb": "/a?b",
    "/a%23b": "/a#b",
    "/a%00b": "/a\0b",
    "/%c3%bc": "/ü",
    "/a;b=c": "/a;b=c",
    "/a\\..\\b": "/a\\..\\b",
    "/a%5c..%5cb": "/a\\..\\b",
    "/*": "/*",
    "/%2a": "/*",
}


@pytest.mark.parametrize(("path", "normal"), TABLE.items(), ids=TABLE)
def test_table(path: str, normal: str) -> None:
    assert normalise(path) == normal


def test_bytes_that_are_no_utf_8_stay_apart() -> None:
    assert normalise("/%ff") != normalise("/%fe")
    assert normalise("/%ff") != "/%ff"
    assert normalise("/%ff/../a") == "/a"


parts = st.sampled_from(
    ["a", "b", ".", "..", "", "%2e", "%2E%2e", "%2f", "%61", "%25", "%252e", ".a", "a."]
)


@given(st.lists(parts, max_size=10).map(lambda found: "/" + "/".join(found)))
def test_nothing_climbs_out_or_is_doubled(path: str) -> None:
    normal = normalise(path)
    assert normal.startswith("/")
    assert "//" not in normal
    assert not {".", ".."} & set(normal.split("/"))


@given(st.lists(st.sampled_from(["a", "b", ".", "..", "", "%61"]), max_size=10))
def test_encoding_of_letters_changes_nothing(found: list[str]) -> None:
    path = "/" + "/".join(found)
    assert normalise(path) == normalise(path.replace("a", "%61").replace("%%6161", "%61"))


@given(st.lists(st.sampled_from(["a", "bc", ".", "..", ""]), max_size=10))
def test_normal_path_stays_as_it_is(found: list[str]) -> None:
    normal = normalise("/" + "/".join(found))
    assert normalise(normal) == normal
