"""Counters of one process."""

import pytest

from batchway.plugins.counters import LocalCounters


def test_a_window_begins_with_the_first_take() -> None:
    counters = LocalCounters()

    assert counters.take("a", 1, 3, 60, now=100) == (2, 60)
    assert counters.take("a", 1, 3, 60, now=110) == (1, 50)
    assert counters.take("a", 1, 3, 60, now=159) == (0, 1)
    assert counters.take("a", 1, 3, 60, now=159.5) == (-1, 0.5)
    assert counters.take("a", 1, 3, 60, now=160) == (2, 60)


def test_what_is_refused_takes_nothing() -> None:
    counters = LocalCounters()
    counters.take("a", 2, 3, 60, now=0)

    assert counters.take("a", 2, 3, 60, now=0) == (-1, 60)
    assert counters.take("a", 1, 3, 60, now=0) == (0, 60)


def test_more_than_there_ever_is_begins_no_window() -> None:
    counters = LocalCounters()

    assert counters.take("a", 4, 3, 60, now=0) == (-1, 60)
    assert counters.take("a", 3, 3, 60, now=30) == (0, 60)


def test_keys_are_apart() -> None:
    counters = LocalCounters()
    counters.take("a", 3, 3, 60, now=0)

    assert counters.take("b", 1, 3, 60, now=0) == (2, 60)


def test_a_cost_of_nothing_looks() -> None:
    counters = LocalCounters()
    counters.take("a", 2, 3, 60, now=0)

    assert counters.take("a", 0, 3, 60, now=0) == (1, 60)
    assert counters.take("a", 0, 3, 60, now=0) == (1, 60)


@pytest.mark.parametrize("limit", [1, 2])
def test_a_limit_that_is_lowered_holds_at_once(limit: int) -> None:
    counters = LocalCounters()
    counters.take("a", 3, 3, 60, now=0)

    assert counters.take("a", 1, limit, 60, now=0) == (-1, 60)


def test_when_full_the_window_that_ends_first_makes_room() -> None:
    counters = LocalCounters(max_keys=2)
    counters.take("long", 1, 9, 100, now=0)
    counters.take("short", 1, 9, 50, now=1)
    counters.take("new", 1, 9, 100, now=2)

    assert counters.take("long", 1, 9, 100, now=3)[0] == 7
    assert counters.take("new", 1, 9, 100, now=3)[0] == 7
    assert counters.take("short", 1, 9, 50, now=3)[0] == 8


def test_windows_that_are_over_go_first() -> None:
    counters = LocalCounters(max_keys=2)
    counters.take("over", 1, 9, 10, now=0)
    counters.take("kept", 1, 9, 100, now=0)
    counters.take("new", 1, 9, 100, now=10)

    assert counters.take("kept", 1, 9, 100, now=10)[0] == 7
    assert counters.take("new", 1, 9, 100, now=10)[0] == 7
