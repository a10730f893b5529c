"""Routes found by their path first; the hosts are a condition among the routes of one path."""

import gc
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.config.expression import Lookup
from batchway.config.settings import RouterKind

from .routes import Route, first, route, router_of, tried


def sometimes(_lookup: Lookup) -> bool:
    raise AssertionError


def test_path_comes_before_host() -> None:
    router = router_of(route("path", "/a/b"), route("host", "/*", hosts="a.test"), kind="radixtree_uri")
    assert first(router, "/a/b", "a.test") == "path"
    assert first(router, "/a/c", "a.test") == "host"
    assert first(router, "/a/c", "b.test") is None


@pytest.mark.parametrize("kind", get_args(RouterKind))
def test_a_star_alone_is_every_path(kind: RouterKind) -> None:
    routes = [route("star", "*"), route("slash", "/*", methods="GET"), route("a", "/a*", methods="GET")]
    router = router_of(*routes, kind=kind)
    assert [first(router, path) for path in ("/ab", "/b", "/")] == ["a", "slash", "slash"]
    assert [first(router, path, method="PUT") for path in ("/ab", "/b", "/", "*")] == ["star"] * 4
    router.remove("star")
    assert first(router, "/b", method="PUT") is None


def test_priority_counts_more_than_the_kind_of_host() -> None:
    router = router_of(
        route("none", "/a", priority=2, conditions=sometimes),
        route("exact", "/a", hosts="x.a.test", priority=1, conditions=sometimes),
        route("wild", "/a", hosts="*.a.test", priority=3, conditions=sometimes),
        kind="radixtree_uri",
    )
    assert tried(router, "/a", "x.a.test") == ["wild", "none", "exact"]
    assert tried(router, "/a", "y.a.test") == ["wild", "none"]
    assert tried(router, "/a", "a.test") == ["none"]


def test_older_first_whatever_their_hosts_are() -> None:
    router = router_of(
        route("1", "/a", conditions=sometimes),
        route("2", "/a", hosts="x.test", conditions=sometimes),
        route("3", "/a", hosts="*.test", conditions=sometimes),
        route("4", "/a", hosts="*.test x.test", conditions=sometimes),
        kind="radixtree_uri",
    )
    assert tried(router, "/a", "x.test") == ["1", "2", "3", "4"]


def test_a_better_path_for_another_host_falls_through() -> None:
    router = router_of(
        route("exact", "/a/b", hosts="a.test"),
        route("long", "/a/*", hosts="b.test"),
        route("any", "/*"),
        kind="radixtree_uri",
    )
    assert [first(router, "/a/b", host) for host in ("a.test", "b.test", "c.test")] == [
        "exact",
        "long",
        "any",
    ]


@pytest.mark.parametrize(
    ("hosts", "host", "matches"),
    [  # lua-resty-radixtree, t/host.t
        ("foo.com", "foo.com", True),
        ("foo.com", "www.foo.com", False),
        ("*.foo.com", "foo.com", False),
        ("*.foo.com", ".foo.com", True),
        ("*.foo.com", "www.foo.com", True),
        ("*.foo.com", "www.bar.foo.com", True),
        ("foo.com bar.com", "bar.com", True),
        ("foo.com bar.com", "ggg.com", False),
        ("foo.com *.bar.com", "bar.com", False),
        ("foo.com *.bar.com", "www.bar.com", True),
        ("FOO.com", "foo.com", True),
    ],
)
@pytest.mark.parametrize("kind", ["radixtree_uri", "radixtree_host_uri", "radixtree_uri_with_parameter"])
def test_hosts(kind: str, hosts: str, host: str, matches: bool) -> None:
    router = router_of(route("1", "/aa*", hosts=hosts), kind=kind)  # type: ignore[arg-type] # one of them
    assert (first(router, "/aa/bb", host) == "1") is matches


PATHS: dict[tuple[str, ...], dict[str, str | None]] = {  # lua-resty-radixtree, t/sanity.t and t/path.t
    ("/", "/*", "/aa", "/aa*"): {"/aa/bb": "/aa*", "/aa": "/aa", "/xx": "/*", "/": "/"},
    ("/aa*",): {"/aa/bb": "/aa*", "/aa": "/aa*", "/": None},
    ("/aa*", "/bb*"): {"/": None, "/aa/": "/aa*", "/bb": "/bb*"},
    ("/aa", "/aa/bb", "/aa/bb/cc"): {"/aa/bb/cc": "/aa/bb/cc", "/aa/bb/": None},
    ("/",): {"/xx": None, "/": "/"},
    ("/equal*", "/equal123*"): {
        "/equal1": "/equal*",
        "/equal12": "/equal*",
        "/equal123": "/equal123*",
        "/equal1234": "/equal123*",
    },
    ("/*", "/aa/*", "/bb/aa/*"): {"/bb/aa/bb": "/bb/aa/*", "/bb/a": "/*"},
    ("/blog/foo/*", "/blog/foo/a/*", "/blog/foo/c/*", "/blog/foo/bar"): {
        "/blog/foo/bar": "/blog/foo/bar",
        "/blog/foo/a/b/c": "/blog/foo/a/*",
        "/blog/foo/c/d": "/blog/foo/c/*",
        "/blog/foo/gloo": "/blog/foo/*",
        "/blog/bar": None,
    },
    ("/*",): {"/ip\nA": "/*", "/ip\ni\ni": "/*"},
}


@pytest.mark.parametrize("kind", ["radixtree_uri", "radixtree_host_uri", "radixtree_uri_with_parameter"])
@pytest.mark.parametrize("uris", PATHS, ids=str)
def test_paths(kind: str, uris: tuple[str, ...]) -> None:
    router = router_of(*(route(uri, uri) for uri in uris), kind=kind)  # type: ignore[arg-type] # one of them
    assert {path: first(router, path) for path in PATHS[uris]} == PATHS[uris]


# --- against a scan

names = st.lists(st.sampled_from(["a", "b", "test"]), min_size=1, max_size=3).map(".".join)
hosts = st.one_of(names, names.map("*.".__add__), names.map(str.upper))
paths = st.text("ab/", max_size=5).map("/".__add__)
routes = st.builds(
    Route,
    st.sampled_from("12345678"),
    st.lists(
        st.tuples(paths, st.sampled_from(["", "*"])).map("".join), min_size=1, max_size=3, unique=True
    ).map(tuple),
    st.lists(hosts, max_size=3, unique=True).map(tuple),
    st.frozensets(st.sampled_from(["GET", "PUT"]), max_size=1),
    st.integers(min_value=-1, max_value=2),
    st.just(sometimes),
)


def scan(there: list[Route], host: str, path: str, method: str) -> list[str]:
    ranked = []
    for age, one in enumerate(there):
        if (one.methods and method not in one.methods) or not takes_host(one, host):
            continue
        for uri in one.uri_list:
            if uri == path:
                ranked.append((0, 0, -one.priority, age, one.id))
            elif uri.endswith("*") and path.startswith(uri[:-1]):
                ranked.append((1, -len(uri), -one.priority, age, one.id))
    return list(dict.fromkeys(found[-1] for found in sorted(ranked)))


def takes_host(one: Route, host: str) -> bool:
    wanted = [pattern.lower() for pattern in one.host_list]
    return not wanted or any(
        host.endswith(pattern[1:]) if pattern.startswith("*") else host == pattern for pattern in wanted
    )


@settings(max_examples=200)
@given(st.lists(st.one_of(routes, st.sampled_from("12345678")), max_size=30), names, paths)
def test_like_a_scan(steps: list[Route | str], host: str, path: str) -> None:
    router = router_of(kind="radixtree_uri")
    there: dict[str, Route] = {}
    for step in steps:
        if isinstance(step, str):
            router.remove(step)
            there.pop(step, None)
        else:
            router.put(step)
            there[step.id] = step
    assert tried(router, path, host) == scan(list(there.values()), host, path, "GET")


# --- what is left behind


def reachable(root: object) -> int:
    seen: dict[int, object] = {}
    queue = [root]
    while queue:
        one = queue.pop()
        if id(one) not in seen and not isinstance(one, type):
            seen[id(one)] = one
            queue += gc.get_referents(one)
    return len(seen)


@pytest.mark.parametrize("uri", ["/x", "/x*", "/{}/*", "/{}/:a/b", "/:a/{}/*r", "/:a/x{}*", "/:a/:b/:c"])
@pytest.mark.parametrize("host", ["", "{}.test *.{}.test"])
def test_what_is_removed_leaves_nothing(uri: str, host: str) -> None:
    router = router_of(
        route("stays", "/stays", hosts="a.test *.b.test"), kind="radixtree_uri_with_parameter"
    )
    router.put(route("warm", uri, hosts=host))
    router.remove("warm")
    before = reachable(router)
    for number in range(100):
        router.put(route("comes and goes", uri.format(number), hosts=host.format(number, number)))
    router.remove("comes and goes")
    assert len(router) == 1
    assert reachable(router) <= before + 10
