"""When a node goes down and when it comes back. Source: lua-resty-healthcheck, `incr_counter`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.config.resources import decode_upstream
from batchway.upstream.health import Health, Rules, snapshot
from batchway.upstream.target import Counter, Standing, Target

ACTIVE = {
    "healthy": {"successes": 2, "http_statuses": [200, 302]},
    "unhealthy": {"http_failures": 3, "tcp_failures": 2, "timeouts": 4, "http_statuses": [500, 503]},
}


def rules(**changes: Any) -> Rules:
    """Those above, with changes to either part."""
    active = {part: values | changes.get(part, {}) for part, values in ACTIVE.items()}
    checks = decode_upstream({"nodes": {"a:80": 1}, "checks": {"active": active}}).checks
    assert checks is not None
    return Rules.of(checks.active)


class Watched:
    """A target, its health, and how often that changed."""

    def __init__(self, **changes: Any) -> None:
        (node,) = decode_upstream({"nodes": {"a.test:80": 1}}).node_list()
        self.target = Target(node, "10.0.0.1", 1, Standing())
        self.changes: list[bool] = []
        self.rules = rules(**changes)
        self.health = Health(lambda: self.changes.append(self.target.standing.up))

    def status(self, *statuses: int) -> str:
        """What it is after it answered so."""
        for status in statuses:
            self.health.answered(self.target, status, self.rules)
        return self.target.standing.status

    def fail(self, *failures: Any) -> str:
        """What it is after it failed so."""
        for failure in failures:
            self.health.failed(self.target, failure, self.rules)
        return self.target.standing.status

    def succeed(self, count: int) -> str:
        """What it is after so many successes."""
        for _ in range(count):
            self.health.succeeded(self.target, self.rules)
        return self.target.standing.status


def test_new_node_is_healthy() -> None:
    assert Watched().target.standing.up


def test_failures_in_a_row_take_it_out() -> None:
    node = Watched()
    assert node.status(500) == "mostly_healthy"
    assert node.status(503) == "mostly_healthy"
    assert node.changes == []
    assert node.status(500) == "unhealthy"
    assert node.changes == [False]


@pytest.mark.parametrize(("failure", "limit"), [("tcp_failure", 2), ("timeout_failure", 4)])
def test_each_kind_of_failure_has_its_own_limit(failure: str, limit: int) -> None:
    node = Watched()
    assert node.fail(*[failure] * (limit - 1)) == "mostly_healthy"
    assert node.fail(failure) == "unhealthy"


def test_kinds_are_counted_apart() -> None:
    node = Watched()
    assert node.fail("tcp_failure", "timeout_failure", "http_failure", "http_failure") == "mostly_healthy"
    assert node.target.standing.counter == Counter(0, 2, 1, 1)


def test_success_makes_failures_void() -> None:
    node = Watched()
    assert node.status(500, 500, 200, 500, 500) == "mostly_healthy"
    assert node.target.standing.counter == Counter(0, 2, 0, 0)
    assert node.status(500) == "unhealthy"


def test_enough_successes_make_it_wholly_healthy() -> None:
    node = Watched()
    assert node.status(500, 200) == "mostly_healthy"
    assert node.status(200) == "healthy"
    assert node.changes == []


def test_successes_in_a_row_bring_it_back() -> None:
    node = Watched()
    node.status(500, 500, 500)
    assert node.succeed(1) == "mostly_unhealthy"
    assert not node.target.standing.up
    assert node.succeed(1) == "healthy"
    assert node.changes == [False, True]


def test_failure_makes_successes_void() -> None:
    node = Watched()
    node.status(500, 500, 500)
    assert node.status(200, 500, 200) == "mostly_unhealthy"
    assert node.status(302) == "healthy"


@pytest.mark.parametrize("status", [201, 404, 418])
def test_status_in_neither_list_is_nothing(status: int) -> None:
    node = Watched()
    assert node.status(*[status] * 10) == "healthy"
    node.status(500, 500, 500)
    assert node.status(*[status] * 10) == "unhealthy"


def test_what_is_no_http_is_a_failure() -> None:
    assert Watched().status(0, 0, 0) == "unhealthy"


def test_zero_switches_a_count_off() -> None:
    checks = {"active": {}, "passive": {"unhealthy": {"timeouts": 0}, "healthy": {"successes": 0}}}
    upstream = decode_upstream({"nodes": {"a:80": 1}, "checks": checks})
    assert upstream.checks is not None
    assert upstream.checks.passive is not None
    node = Watched()
    node.rules = Rules.of(upstream.checks.passive)
    assert node.fail(*["timeout_failure"] * 100) == "healthy"
    assert node.fail("tcp_failure", "tcp_failure") == "unhealthy"
    assert node.succeed(100) == "unhealthy", "passive successes do not bring it back"


def test_snapshot_does_not_change_with_its_node() -> None:
    node = Watched()
    node.status(500)
    (seen,) = snapshot([node.target])
    node.status(500, 500)
    assert (seen.hostname, seen.ip, seen.port) == ("a.test", "10.0.0.1", 80)
    assert (seen.status, seen.counter.http_failure) == ("mostly_healthy", 1)


@given(st.lists(st.sampled_from([200, 500, 404, "tcp_failure", "timeout_failure"]), max_size=60))
def test_changes_are_told_once_each(events: list[int | str]) -> None:
    node = Watched()
    for event in events:
        before = len(node.changes)
        was_up = node.target.standing.up
        if isinstance(event, int):
            node.status(event)
        else:
            node.fail(event)
        is_up = node.target.standing.up
        assert node.changes[before:] == ([is_up] if is_up != was_up else [])
        if event == 200:
            assert node.target.standing.counter.http_failure == 0
