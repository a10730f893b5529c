"""All routes that a request may take, in the order to try them."""

import pytest

from batchway.config.expression import Lookup
from batchway.config.settings import RouterKind
from batchway.gateway.router import NO_PARAMS

from .routes import route, router_of, tried


def sometimes(_lookup: Lookup) -> bool:
    """A condition; no router asks it."""
    raise AssertionError


def test_nothing_matches() -> None:
    assert router_of().candidates("a.test", "/", "GET") == ()
    assert router_of(route("1", "/a")).candidates("a.test", "/b", "GET") == ()


def test_none_behind_the_first_without_conditions() -> None:
    router = router_of(
        route("any", "/*"),
        route("prefix", "/a*"),
        route("high", "/a", priority=2, conditions=sometimes),
        route("low", "/a", priority=1),
        route("lowest", "/a"),
    )
    assert tried(router, "/a") == ["high", "low"]
    assert tried(router, "/ab") == ["prefix"]


def test_all_if_each_has_conditions() -> None:
    router = router_of(
        route("any", "/*", conditions=sometimes),
        route("prefix", "/a*", conditions=sometimes),
        route("exact", "/a", conditions=sometimes),
    )
    assert tried(router, "/a") == ["exact", "prefix", "any"]


def test_across_hosts() -> None:
    router = router_of(
        route("none", "/*"),
        route("wilder", "/*", hosts="*.test", conditions=sometimes),
        route("wild", "/x", hosts="*.a.test", conditions=sometimes),
        route("exact prefix", "/*", hosts="b.a.test", conditions=sometimes),
        route("exact", "/x", hosts="b.a.test", conditions=sometimes),
    )
    assert tried(router, "/x", "b.a.test") == ["exact", "exact prefix", "wild", "wilder", "none"]
    assert tried(router, "/y", "c.a.test") == ["wilder", "none"]


def test_other_methods_are_left_out() -> None:
    router = router_of(
        route("post", "/a", methods="POST", conditions=sometimes),
        route("get", "/a", methods="GET HEAD", conditions=sometimes),
        route("all", "/a*", conditions=sometimes),
    )
    assert tried(router, "/a", method="GET") == ["get", "all"]
    assert tried(router, "/a", method="POST") == ["post", "all"]
    assert tried(router, "/a", method="PURGE") == ["all"]


def test_a_route_that_matches_twice_is_tried_once() -> None:
    router = router_of(
        route("twice", "/a", "/a*", "/*", hosts="*.test a.test", conditions=sometimes),
        route("last", "/*", conditions=sometimes),
    )
    assert tried(router, "/a", "a.test") == ["twice", "last"]


@pytest.mark.parametrize("kind", ["radixtree_host_uri", "radixtree_uri", "radixtree_uri_with_parameter"])
def test_what_a_named_star_stands_for(kind: RouterKind) -> None:
    router = router_of(route("named", "/a/*rest", conditions=sometimes), route("unnamed", "/*"), kind=kind)
    named, unnamed = router.candidates("", "/a/b/c", "GET")
    assert (named.route.id, named.params) == ("named", {"rest": "b/c"})
    assert unnamed.params is NO_PARAMS
    assert router.candidates("", "/a/", "GET")[0].params == {"rest": ""}
    assert tried(router, "/a") == ["unnamed"]


@pytest.mark.parametrize("kind", ["radixtree_host_uri", "radixtree_uri"])
def test_a_parameter_is_text_as_any_other(kind: RouterKind) -> None:
    router = router_of(route("1", "/a/:id"), route("2", "/b/:id/*rest"), kind=kind)
    assert tried(router, "/a/7") == tried(router, "/b/7/x") == []
    assert tried(router, "/a/:id") == ["1"]
    assert router.candidates("", "/b/:id/x", "GET")[0].params == {"rest": "x"}


@pytest.mark.parametrize("kind", ["radixtree_host_uri", "radixtree_uri", "radixtree_uri_with_parameter"])
@pytest.mark.parametrize("count", [100, 10_000])
def test_many_routes_with_conditions_on_one_path(kind: RouterKind, count: int) -> None:
    numbers = range(count)
    router = router_of(
        *(route(str(n), "/a", priority=n % 7, conditions=sometimes) for n in numbers), kind=kind
    )
    assert tried(router, "/a") == sorted(map(str, numbers), key=lambda id: (-(int(id) % 7), int(id)))
