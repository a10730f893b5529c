"""Paths with a star within them."""

import re
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.config.settings import RouterKind

from .routes import first, route, router_of, tried

MATCHES = [
    ("/a/*/b", "/a/x/b", {}),
    ("/a/*/b", "/a/x/y/b", {}),
    ("/a/*/b", "/a//b", {}),
    ("/a/*/b", "/a/b", None),
    ("/a/*/b", "/a/x/b/", None),
    ("/a/*/b", "/a/x/bb", None),
    ("/a/*/b", "/z/x/b", None),
    ("/*/b", "/x/b", {}),
    ("/a/*id/b", "/a/7/b", {"id": "7"}),
    ("/a/*id/b", "/a/7/b/b", {"id": "7/b"}),
    ("/a/*id/", "/a/7/", {"id": "7"}),
    ("/a/*id/", "/a/7", None),
    ("/a/*x/b/*y/c", "/a/1/b/2/b/3/c", {"x": "1/b/2", "y": "3"}),
    ("/a/*x/b/*y", "/a/1/b/", {"x": "1", "y": ""}),
    ("/a/*x/b/*y", "/a/1/b", None),
    ("/a/*/b*", "/a/1/bc/d", {}),
    ("/a/*x/b/*y/b", "/a/1/b/b", None),  # one text is not two pieces
    ("/a/*/b.c", "/a/1/bxc", None),
]


@pytest.mark.parametrize("kind", get_args(RouterKind))
@pytest.mark.parametrize(("uri", "path", "params"), MATCHES)
def test_match(uri: str, path: str, params: dict[str, str] | None, kind: RouterKind) -> None:
    found = router_of(route("1", uri), kind=kind).candidates("", path, "GET")
    assert [one.params for one in found] == ([] if params is None else [params])


def test_order() -> None:
    routes = [
        route("star", "/a/*"),
        route("within", "/a/*/b"),
        route("longer", "/a/*/c/b"),
        route("first", "/a/*", priority=1, methods="PUT"),
        route("prefix", "/a/x/*"),
        route("exact", "/a/y/c/b"),
    ]
    for given_ in (routes, routes[::-1]):
        router = router_of(*given_)
        assert first(router, "/a/x/c/b") == "prefix"
        assert first(router, "/a/y/c/b") == "exact"
        assert first(router, "/a/z/c/b") == "longer"
        assert first(router, "/a/z/b") == "within"
        assert first(router, "/a/z") == "star"
        assert first(router, "/a/z/b", method="PUT") == "first"


def test_parameters_of_other_routes_come_first() -> None:
    router = router_of(
        route("star", "/a/*/b"), route("id", "/a/:id/b", methods="GET"), kind="radixtree_uri_with_parameter"
    )
    assert first(router, "/a/1/b") == "id"
    assert first(router, "/a/1/b", method="PUT") == "star"


@pytest.mark.parametrize("kind", get_args(RouterKind))
def test_hosts_and_removal(kind: RouterKind) -> None:
    router = router_of(
        route("host", "/a/*/b", hosts="x.test"), route("any", "/a/*/b"), route("rest", "/a/*"), kind=kind
    )
    assert first(router, "/a/1/b", "x.test") == "host"
    assert first(router, "/a/1/b", "y.test") == "any"
    router.put(route("any", "/z/*/b"))
    assert first(router, "/a/1/b", "y.test") == "rest"
    assert first(router, "/z/1/b") == "any"
    for id_ in ("host", "any", "rest"):
        router.remove(id_)
    assert tried(router, "/a/1/b", "x.test") == tried(router, "/z/1/b") == []


def test_many_stars_against_a_long_path() -> None:
    """In time that does not grow with the ways of sharing the path out among the stars."""
    router = router_of(route("1", "/a" + "/*/a" * 30 + "/b"))
    assert tried(router, "/a" * 4000) == []


texts = st.lists(st.sampled_from(["a", "b", "/", "//", "\n"]), max_size=12).map("".join)
uris = st.lists(st.sampled_from(["/a", "/b", "/*", "/*n", "/ab"]), min_size=2, max_size=7).map("".join)


@settings(max_examples=500)
@given(uris.filter(lambda uri: "/" in uri.partition("*")[2]), texts.map(lambda text: "/" + text))
def test_like_a_regular_expression(uri: str, path: str) -> None:
    pattern = "/".join(
        "((?:.|\n)*)" if segment.startswith("*") else re.escape(segment) for segment in uri.split("/")
    )
    expected = re.fullmatch(pattern, path)
    found = router_of(route("1", uri)).candidates("", path, "GET")
    assert bool(found) == bool(expected)
    if expected and uri.count("*n") == 1:
        index = [segment for segment in uri.split("/") if segment.startswith("*")].index("*n")
        assert found[0].params == {"n": expected.groups()[index]}
