"""Which route a request takes by host first, against a scan that is slow and plain."""

import gc
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.gateway.router import Router

from .routes import Route, first, route, router_of

# --- by hand


def test_exact_path() -> None:
    router = router_of(route("1", "/a"))
    assert first(router, "/a") == "1"
    for path in ("/", "/a/", "/ab", "/A", "/a/b", ""):
        assert first(router, path) is None


def test_prefix() -> None:
    router = router_of(route("1", "/a/*"))
    for path in ("/a/", "/a/b", "/a/b/c", "/a/*"):
        assert first(router, path) == "1"
    for path in ("/", "/a", "/ab", "/b/a/"):
        assert first(router, path) is None


def test_prefix_inside_a_segment() -> None:
    router = router_of(route("1", "/a*"))
    assert first(router, "/a") == first(router, "/ab") == first(router, "/a/b") == "1"
    assert first(router, "/") is None


def test_all_paths() -> None:
    assert first(router_of(route("1", "/*")), "/") == "1"
    assert first(router_of(route("1", "/*")), "/any/thing") == "1"


def test_exact_before_prefix_and_long_before_short() -> None:
    router = router_of(
        route("any", "/*", priority=9),
        route("short", "/a/*", priority=5),
        route("long", "/a/b/*"),
        route("exact", "/a/b/c"),
    )
    assert first(router, "/a/b/c") == "exact"
    assert first(router, "/a/b/d") == "long"
    assert first(router, "/a/c") == "short"
    assert first(router, "/b") == "any"


def test_method_that_a_better_path_does_not_take_falls_through() -> None:
    router = router_of(
        route("get", "/a", methods="GET"), route("post", "/a*", methods="POST PUT"), route("any", "/*")
    )
    assert first(router, "/a", method="GET") == "get"
    assert first(router, "/a", method="PUT") == "post"
    assert first(router, "/a", method="DELETE") == "any"


def test_priority_between_equals() -> None:
    router = router_of(
        route("low", "/a"), route("high", "/a", priority=1), route("lowest", "/a", priority=-1)
    )
    assert first(router, "/a") == "high"
    router.remove("high")
    assert first(router, "/a") == "low"
    router.remove("low")
    assert first(router, "/a") == "lowest"


def test_older_of_two_equals() -> None:
    router = router_of(route("1", "/a"), route("2", "/a"))
    assert first(router, "/a") == "1"
    router.remove("1")
    router.put(route("1", "/a"))
    assert first(router, "/a") == "2"


def test_a_changed_route_stays_at_its_place() -> None:
    router = router_of(route("1", "/a"), route("2", "/a"))
    router.put(route("1", "/a", "/b"))
    assert first(router, "/a") == "1"


def test_hosts() -> None:
    router = router_of(
        route("none", "/*"),
        route("wild", "/*", hosts="*.a.test"),
        route("wilder", "/*", hosts="*.test"),
        route("exact", "/*", hosts="x.a.test"),
    )
    assert first(router, "/", "x.a.test") == "exact"
    assert first(router, "/", "y.a.test") == "wild"
    assert first(router, "/", "z.y.a.test") == "wild"
    assert first(router, "/", "a.test") == "wilder"
    assert first(router, "/", "b.test") == "wilder"
    for host in ("test", "xtest", "a.test.b", "", "10.0.0.1"):
        assert first(router, "/", host) == "none"


def test_wildcard_does_not_match_its_own_rest() -> None:
    router = router_of(route("1", "/*", hosts="*.a.test"))
    assert first(router, "/", "a.test") is None
    assert first(router, "/", "xa.test") is None


def test_wildcard_inside_a_label() -> None:
    router = router_of(route("1", "/*", hosts="*a.test"))
    assert first(router, "/", "a.test") == first(router, "/", "xa.test") == "1"


def test_hosts_are_without_case() -> None:
    router = router_of(route("1", "/*", hosts="A.Test *.B.TEST"))
    assert first(router, "/", "a.test") == first(router, "/", "x.b.test") == "1"


def test_host_comes_before_path() -> None:
    router = router_of(route("path", "/a/b"), route("host", "/*", hosts="a.test"))
    assert first(router, "/a/b", "a.test") == "host"
    assert first(router, "/a/b", "b.test") == "path"


def test_path_that_a_better_host_does_not_have_falls_through() -> None:
    exact, wild = route("host", "/h", hosts="x.a.test"), route("wild", "/w", hosts="*.a.test")
    router = router_of(exact, wild, route("none", "/n"))
    ids = [first(router, path, "x.a.test") for path in ("/h", "/w", "/n", "/q")]
    assert ids == ["host", "wild", "none", None]


def test_several_uris_and_hosts() -> None:
    router = router_of(route("1", "/a", "/b/*", hosts="a.test b.test"))
    for host in ("a.test", "b.test"):
        assert first(router, "/a", host) == first(router, "/b/c", host) == "1"
    assert first(router, "/a", "c.test") is None


def test_put_replaces_all_of_the_old() -> None:
    router = router_of(route("1", "/old", "/both", hosts="old.test"))
    router.put(route("1", "/new", "/both"))
    assert len(router) == 1
    assert first(router, "/old", "old.test") is None
    assert first(router, "/both", "old.test") == first(router, "/new", "any.test") == "1"


def test_remove_leaves_the_others() -> None:
    router = router_of(route("1", "/a*"), route("2", "/ab*"), route("3", "/abc"), route("4", "/abc"))
    router.remove("2")
    assert first(router, "/abx") == "1"
    router.remove("3")
    assert first(router, "/abc") == "4"
    router.remove("1")
    assert first(router, "/abx") is None
    assert len(router) == 1


def test_remove_of_what_is_not_there() -> None:
    router = router_of(route("1", "/a"))
    router.remove("2")
    router.remove("2")
    assert len(router) == 1


def test_one_of_equal_hosts_in_different_case_is_removed_whole() -> None:
    router = router_of(route("1", "/a", hosts="A.test a.test"), route("2", "/a", hosts="a.test"))
    router.remove("1")
    assert first(router, "/a", "a.test") == "2"
    router.remove("2")
    assert first(router, "/a", "a.test") is None


# --- against a scan


def naive(routes: list[Route], host: str, path: str, method: str) -> str | None:
    """The best of all routes that match, `routes` in the order in which they were put."""
    ranked = []
    for age, one in enumerate(routes):
        if one.methods and method not in one.methods:
            continue
        for pattern in one.host_list or ("",):
            for uri in one.uri_list:
                host_rank = _rank(pattern[::-1].lower(), host[::-1]) if pattern else (2, 0)
                uri_rank = _rank(uri, path)
                if host_rank is not None and uri_rank is not None:
                    ranked.append((host_rank, uri_rank, -one.priority, age, one.id))
    return min(ranked)[-1] if ranked else None


def _rank(pattern: str, text: str) -> tuple[int, int] | None:
    """Exact first, then the longest prefix; None if it does not match."""
    if not pattern.endswith("*"):
        return (0, 0) if pattern == text else None
    return (1, -len(pattern)) if text.startswith(pattern[:-1]) else None


paths = st.text("ab/", max_size=5).map("/".__add__)
uris = st.tuples(paths, st.sampled_from(["", "*"])).map("".join)
names = st.lists(st.sampled_from(["a", "b", "test"]), min_size=1, max_size=3).map(".".join)
hosts = st.one_of(names, names.map("*.".__add__), names.map("*".__add__), names.map(str.upper))
METHODS = ("GET", "POST", "PUT")
routes = st.builds(
    Route,
    st.sampled_from("12345678"),
    st.lists(uris, min_size=1, max_size=3, unique=True).map(tuple),
    st.lists(hosts, max_size=3, unique=True).map(tuple),
    st.frozensets(st.sampled_from(METHODS), max_size=2),
    st.integers(min_value=-1, max_value=2),
)
requests = st.tuples(names, paths, st.sampled_from(METHODS))


@settings(max_examples=150)
@given(st.lists(st.one_of(routes, st.sampled_from("12345678"), requests), max_size=40))
def test_like_a_scan(steps: list[Route | str | tuple[str, str, str]]) -> None:
    router: Router[Route] = Router()
    there: list[Route] = []
    for step in steps:
        if isinstance(step, tuple):
            host, path, method = step
            assert first(router, path, host, method) == naive(there, host, path, method)
            continue
        route_id = step if isinstance(step, str) else step.id
        if isinstance(step, str):
            router.remove(step)
            there = [one for one in there if one.id != route_id]
        else:
            router.put(step)
            known = [one.id for one in there]
            there = [step if one.id == route_id else one for one in there]
            there += [] if route_id in known else [step]
        assert len(router) == len(there)
    for one in there:
        for uri in one.uri_list:
            path = uri.rstrip("*")
            assert first(router, path, "a.b.test") == naive(there, "a.b.test", path, "GET")


# --- ten thousand


def test_ten_thousand_routes() -> None:
    dice = random.Random(1)  # noqa: S311 - no secret
    routes = []
    for number in range(10_000):
        uri = f"/{number % 100}/{number // 100}/{'x' * (number % 7)}"
        host = ("", "a.test", f"{number % 50}.b.test", "*.c.test")[number % 4]
        exact = number % 3 == 0
        routes.append(route(str(number), uri if exact else uri + "*", hosts=host, priority=number % 5))
    shuffled = dice.sample(routes, len(routes))
    router = router_of(*shuffled)
    assert len(router) == 10_000
    by_uri: dict[str, list[Route]] = {}
    for one in shuffled:
        by_uri.setdefault(one.uri_list[0].split("x")[0].rstrip("*"), []).append(one)
    for one in dice.sample(routes, 500):
        path = one.uri_list[0].rstrip("*") + dice.choice(["", "x", "/y"])
        host = dice.choice(["a.test", "7.b.test", "z.c.test", "z.test"])
        near = [other for prefix in _starts(path) for other in by_uri.get(prefix, [])]
        assert first(router, path, host) == naive(near, host, path, "GET")
    for one in shuffled:
        router.remove(one.id)
    assert len(router) == 0
    assert all(first(router, one.uri_list[0], "a.test") is None for one in routes)


def _starts(path: str) -> Iterator[str]:
    for size in range(len(path) + 1):
        yield path[:size]


def reachable(root: object) -> int:
    """How many objects hang on `root`."""
    seen: dict[int, object] = {}
    queue = [root]
    while queue:
        one = queue.pop()
        if id(one) not in seen and not isinstance(one, type):
            seen[id(one)] = one
            queue += gc.get_referents(one)
    return len(seen)


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("/{}", ""),
        ("/{}/*", ""),
        ("/{}/*", "a.test *.b.test"),
        ("/x", "{}.test"),
        ("/x", "*.{}.test"),
    ],
)
def test_what_is_removed_leaves_nothing(uri: str, host: str) -> None:
    router = router_of(route("stays", "/stays", hosts="a.test *.b.test"))
    before = reachable(router)
    for number in range(200):
        router.put(route("comes and goes", uri.format(number), hosts=host.format(number)))
    router.remove("comes and goes")
    assert len(router) == 1
    assert reachable(router) <= before + 10
