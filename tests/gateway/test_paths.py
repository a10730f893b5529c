"""The path that routes are matched by."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchway.errors import MalformedPath
from batchway.gateway.paths import PathRules, normalise

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
    "/a/..": "/",
    "/a/../": "/",
    "/a/b/..": "/a/",
    "/a/b/../": "/a/",
    "/a/../b": "/b",
    "/a/b/../../c": "/c",
    "/a/./b/../c": "/a/c",
    "/mid/content=5/../6": "/mid/6",
    "/a/b/c/./../../g": "/a/g",
    "/public/../admin": "/admin",
    "/a//../b": "/b",
    "/a/b//../c": "/a/c",
    # percent-encoding, once
    "/%61dmin": "/admin",
    "/%41": "/A",
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
    "/a%3Fb": "/a?b",
    "/a%23b": "/a#b",
    "/a#b": "/a",
    "/a/../b#/../c": "/b",
    "/a%25b": "/a%b",
    "/\u00c3\u00bc": "/ü",  # bytes of the wire, one a character
    "/\u00c3\u00bc/%c3%bc": "/ü/ü",
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


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/../",
        "/../..",
        "/../../a",
        "/a/b/../../../c",
        "/../admin/",
        "/%2e%2e/admin",
        "/a/%2e%2e/..",
        "/a/..%2f..",
        "//..",
        "/./..",
        "/%",
        "/%2",
        "/%zz",
        "/a%/b",
        "/%%61",
        "/%-1",
        "/%+1",
        "/% 1",
        "/a%00b",
        "/%00",
        "/a%2500%00",
    ],
)
def test_what_nginx_answers_400_to(path: str) -> None:
    with pytest.raises(MalformedPath):
        normalise(path)


def test_nul_that_is_encoded_twice_is_text() -> None:
    assert normalise("/a%2500") == "/a%00"


def test_bytes_that_are_no_utf_8_stay_apart() -> None:
    assert normalise("/%ff") != normalise("/%fe")
    assert normalise("/%ff") != "/%ff"
    assert normalise("/%ff/../a") == "/a"


parts = st.sampled_from(
    ["a", "b", ".", "..", "", "%2e", "%2E%2e", "%2f", "%61", "%25", "%252e", ".a", "a."]
)


def normal_or_none(path: str) -> str | None:
    try:
        return normalise(path)
    except MalformedPath:
        return None


@given(st.lists(parts, max_size=10).map(lambda found: "/" + "/".join(found)))
def test_nothing_climbs_out_or_is_doubled(path: str) -> None:
    normal = normal_or_none(path)
    assume(normal is not None)
    assert normal is not None
    assert normal.startswith("/")
    assert "//" not in normal
    assert not {".", ".."} & set(normal.split("/"))


@given(st.lists(st.sampled_from(["a", "b", ".", "..", "", "%61"]), max_size=10))
def test_encoding_of_letters_changes_nothing(found: list[str]) -> None:
    path = "/" + "/".join(found)
    assert normal_or_none(path) == normal_or_none(path.replace("a", "%61").replace("%%6161", "%61"))


@given(st.lists(st.sampled_from(["a", "bc", ".", "..", ""]), max_size=10))
def test_normal_path_stays_as_it_is(found: list[str]) -> None:
    normal = normal_or_none("/" + "/".join(found))
    assert normal is None or normalise(normal) == normal


# --- what the config file says of paths


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("/hello/", "/hello"),
        ("/hello", "/hello"),
        ("/", "/"),
        ("/a//", "/a"),
        ("/a/b/..", "/a"),
        ("/a%2f", "/a"),
    ],
)
def test_tail_slash(path: str, uri: str) -> None:
    rules = PathRules(delete_tail_slash=True)
    assert (rules.uri(path), rules.matched(path)) == (uri, uri)


@pytest.mark.parametrize(
    ("path", "matched"),
    [  # apisix, t/router/radixtree-uri-with-parameter-encoded-slash.t
        ("/v1/te%2Fst/products", "/v1/te%2Fst/products"),
        ("/v1/te%2fst/products", "/v1/te%2Fst/products"),
        ("/v1/2024%2F01%2F0001/list", "/v1/2024%2F01%2F0001/list"),
        ("/v1/te%41st/a%2Fb", "/v1/teAst/a%2Fb"),
        ("/trailing/a%2Fb/", "/trailing/a%2Fb/"),
        ("/x%2Fy/../..", "/"),
        ("/a%2Fb/%2e%2e/%2e%2e", "/"),
        ("/a%2F%2Fb", "/a/b"),
        ("/a%2Fb//c", "/a/b/c"),
        ("/a/%2F", "/a/"),
        ("/public%2f..%2fadmin", "/admin"),
        ("/a%252Fb", "/a%2Fb"),
        ("/a/b", "/a/b"),
        ("/a/b//c", "/a/b/c"),
    ],
)
def test_encoded_slash(path: str, matched: str) -> None:
    rules = PathRules(encoded_slash=True)
    assert rules.matched(path) == matched
    assert rules.uri(path) == normalise(path)
    assert PathRules().matched(path) == normalise(path)


def test_encoded_slash_gives_way_where_a_tail_slash_is_deleted() -> None:
    rules = PathRules(delete_tail_slash=True, encoded_slash=True)
    assert rules.matched("/a%2Fb") == "/a%2Fb"
    assert rules.matched("/a%2Fb/") == "/a/b"


@given(st.lists(parts, max_size=6).map(lambda found: "/" + "/".join(found)))
def test_whatever_is_matched_is_the_same_path(path: str) -> None:
    uri = normal_or_none(path)
    assume(uri is not None)
    matched = PathRules(encoded_slash=True).matched(path)
    assert matched == uri or ("%2F" in matched and matched.replace("%2F", "/") == uri)
