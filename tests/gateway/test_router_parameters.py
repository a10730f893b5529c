"""Paths with parameters: what matches, what the parameters are, which route comes first."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.config.expression import Lookup
from batchway.gateway.router import Router

from .routes import Route, first, route, router_of, tried


def sometimes(_lookup: Lookup) -> bool:
    raise AssertionError


def router_with(*uris: str) -> Router[Route]:
    """A router with a route for each, all of which have conditions."""
    return router_of(
        *(route(uri, uri, conditions=sometimes) for uri in uris), kind="radixtree_uri_with_parameter"
    )


MATCHES: list[tuple[str, str, dict[str, str] | None]] = [
    # lua-resty-radixtree, t/parameter.t
    ("/name/*name", "/name/json", {"name": "json"}),
    ("/name/*name", "/name/", {"name": ""}),
    ("/name/*name", "/name", None),
    ("/name/*", "/name/json/foo/bar", {}),
    ("/name/*", "/name/", {}),
    ("/name/:name/id/:id", "/name/json/id/1", {"name": "json", "id": "1"}),
    ("/name/:name/id/:id", "/name/json/id/", None),
    ("/name/:name/id/:id", "/name/json", None),
    ("/name/:name/id/:id", "/name/json/id/1/2", None),
    ("/name/:name/id/:id", "/name/json/id/1/", None),
    (
        "/name/:name/id/:id/*other",
        "/name/json/id/1/foo/bar/gloo",
        {"name": "json", "id": "1", "other": "foo/bar/gloo"},
    ),
    ("/name/:name/foo", "/name/json/foo", {"name": "json"}),
    ("/name/:name/foo", "/name/json", None),
    ("/:name/foo", "/json/", None),
    ("/:name/foo", "/json/bar", None),
    ("/:name/foo", "/json/foo", {"name": "json"}),
    ("/:name/foo", "/json/foo/bar", None),
    ("/:name/foo", "//foo", None),
    ("/file/:filename", "/file/123&45@dd:d=test;", {"filename": "123&45@dd:d=test;"}),
    ("/file/:filename", "/file/test_a-b+c.lua$", {"filename": "test_a-b+c.lua$"}),
    ("/file/:filename", "/file/t!e*s't,(file)", {"filename": "t!e*s't,(file)"}),
    ("/file/:filename", "/file/with space", {"filename": "with space"}),
    ("/file/:filename", "/file/中文", {"filename": "中文"}),
    ("/file/:filename", "/file/a\nb", {"filename": "a\nb"}),
    ("/name/:name/", "/name/json/", {"name": "json"}),
    ("/name/:name/", "/name/json", None),
    ("/user/:user", "/user/", None),
    ("/user/:user", "/user", None),
    ("/user/:user/*action", "/user/john/", {"user": "john", "action": ""}),
    ("/user/:user/*action", "/user/john/send", {"user": "john", "action": "send"}),
    ("/user/:user/*action", "/user/john", None),
    ("/blog/:name", "/blog/cat%2Fdog", {"name": "cat%2Fdog"}),
    # of our own
    ("/:a/:b", "/x/y", {"a": "x", "b": "y"}),
    ("/:a/:a", "/x/y", {"a": "y"}),
    ("/a/:/b", "/a/x/b", {}),
    ("/a/:id/b*", "/a/1/bcd/e", {"id": "1"}),
    ("/a/:id/b*", "/a/1/b", {"id": "1"}),
    ("/a/:id/b*", "/a/1/c", None),
    ("/a.c/:id", "/abc/1", None),  # a dot is a dot
    ("/v1/users:batch", "/v1/users:batch", {}),  # no segment begins with the colon
    ("/v1/users:batch", "/v1/users7", None),
]


@pytest.mark.parametrize(("uri", "path", "params"), MATCHES)
def test_match(uri: str, path: str, params: dict[str, str] | None) -> None:
    found = router_with(uri).candidates("", path, "GET")
    assert [one.params for one in found] == ([] if params is None else [params])


ORDERS = [
    ("/user/me", ["/user/me", "/user/:id", "/user/*"]),
    ("/user/7", ["/user/:id", "/user/*", "/:any/7"]),
    ("/user/7", ["/user/:id", "/user/*name_that_is_long"]),
    ("/user/7/x", ["/user/7/:b", "/user/:a/x", "/user/:a/:b", "/user/:a/*", "/user/*", "/:a/7/x", "/*"]),
    ("/a/1/bcd", ["/a/:id/bcd", "/a/:id/:x", "/a/:id/bc*", "/a/:id/b*", "/a/:id/*"]),
    ("/a/b/c", ["/a/b/c", "/a/b/*", "/a/b*", "/a/:x/:y", "/a*", "/:x/b/c", "/*"]),
    (  # t/parameter.t, test 13
        "/api/v4/test/api/projects/saas/nodes/",
        ["/api/:version/test/api/projects/:id/nodes/", "/api/:version/test/*subpath"],
    ),
    ("/api/v4/test/api", ["/api/:version/test/*subpath"]),
]


@pytest.mark.parametrize(("path", "uris"), ORDERS)
def test_order_is_that_of_what_they_say_not_of_their_age(path: str, uris: list[str]) -> None:
    assert tried(router_with(*uris), path) == uris
    assert tried(router_with(*reversed(uris)), path) == uris


def test_priority_between_paths_with_one_prefix() -> None:
    router = router_of(
        route("parameter", "/a/:id"),
        route("star", "/a/*", priority=1),
        route("longer", "/a/b/*", priority=-9),
        kind="radixtree_uri_with_parameter",
    )
    assert first(router, "/a/x") == "star"
    assert first(router, "/a/b/c") == "longer"


def test_hosts_and_methods_are_conditions() -> None:
    router = router_of(
        route("bar", "/:name/hello", hosts="bar.com", methods="GET"),
        route("any", "/:name/hello", methods="GET", priority=-1),
        route("rest", "/:name/*", hosts="*.bar.com"),
        kind="radixtree_uri_with_parameter",
    )
    assert first(router, "/john/hello", "bar.com") == "bar"
    assert first(router, "/john/hello", "www.foo.com") == "any"
    assert first(router, "/john/hello", "www.bar.com") == "rest"
    assert first(router, "/john/hello", "www.foo.com", "PUT") is None


def test_replaced_and_removed() -> None:
    router = router_with("/a/:id", "/a/:id/b", "/a/:id/*c")
    router.put(route("/a/:id", "/z/:id"))
    assert tried(router, "/a/1") == []
    assert tried(router, "/z/1") == ["/a/:id"]
    router.remove("/a/:id/b")
    assert tried(router, "/a/1/b") == ["/a/:id/*c"]
    router.remove("/a/:id/*c")
    assert tried(router, "/a/1/b") == []


def test_a_path_of_very_many_segments() -> None:
    uri = "/:a" * 1300
    router = router_with(uri, "/:a/*")
    assert tried(router, "/x" * 1300) == [uri, "/:a/*"]
    assert tried(router, "/x" * 30_000) == ["/:a/*"]


# --- against a scan

segments = st.sampled_from(["a", "b", "ab", ":x", ":y"])
uris = st.tuples(
    st.lists(segments, max_size=3).map(lambda found: "/" + "/".join(found)),
    st.sampled_from(["", "", "/", "*", "/*", "/*rest"]),
).map(lambda found: "".join(found).replace("//", "/"))
paths = st.lists(st.sampled_from(["a", "b", "ab", "abc", ""]), max_size=4).map(
    lambda found: "/" + "/".join(found)
)
routes = st.builds(
    Route,
    st.sampled_from("123456789"),
    uris.map(lambda uri: (uri,)),
    priority=st.integers(min_value=0, max_value=1),
    conditions=st.just(sometimes),
)


def regex(uri: str) -> re.Pattern[str]:
    literal, star, _ = uri.partition("*")
    parts = literal.split("/")
    last = parts.pop() if star else None
    found = ["[^/]+" if part.startswith(":") else re.escape(part) for part in parts]
    if last is not None:
        found.append(re.escape(last) + "(?:.|\n)*")
    return re.compile("/".join(found))


def rank(one: Route, age: int) -> tuple[object, ...]:
    (uri,) = one.uri_list
    prefix = re.split(r"(?<=/):|\*", uri, maxsplit=1)[0]
    if prefix == uri:
        return (0,)
    kinds = []
    for segment in uri[len(prefix) :].split("/"):
        kinds.append(1 if segment.startswith(":") else 0)
        if "*" in segment:
            kinds[-1] = 3 if segment.startswith("*") else 2
    if "/:" not in uri:
        kinds = [3]
    return (1, -len(prefix), -one.priority, kinds, -len(uri), age)


@settings(max_examples=300)
@given(st.lists(st.one_of(routes, st.sampled_from("123456789")), max_size=30), st.lists(paths, max_size=5))
def test_like_a_scan(steps: list[Route | str], asked: list[str]) -> None:
    router = router_of(kind="radixtree_uri_with_parameter")
    there: dict[str, Route] = {}
    for step in steps:
        if isinstance(step, str):
            router.remove(step)
            there.pop(step, None)
        else:
            router.put(step)
            there[step.id] = step
    aged = {one.id: age for age, one in enumerate(there.values())}
    for path in asked:
        fitting = [one for one in there.values() if regex(one.uri_list[0]).fullmatch(path)]
        exact = sorted((o for o in fitting if rank(o, 0) == (0,)), key=lambda o: (-o.priority, aged[o.id]))
        others = sorted((o for o in fitting if rank(o, 0) != (0,)), key=lambda o: rank(o, aged[o.id]))
        assert tried(router, path) == [one.id for one in exact + others]
