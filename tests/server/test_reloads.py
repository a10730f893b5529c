"""One reload after another, and whoever has asked for one is told."""

from batchway.server.reloads import RELOAD_S, Reloads


def test_a_reload_ends_with_its_last_worker() -> None:
    reloads = Reloads()
    assert not reloads.take()
    reloads.want()
    assert reloads.take()
    reloads.begin([1, 2], now=0)

    assert not reloads.done(1)
    assert not reloads.done(1)
    assert reloads.done(2)
    assert not reloads.done(2)
    assert reloads.until is None


def test_requests_meanwhile_become_one_more() -> None:
    reloads = Reloads()
    reloads.want()
    reloads.take()
    reloads.begin([1], now=0)
    reloads.want()
    reloads.want()

    assert not reloads.take()
    reloads.done(1)
    assert reloads.take()
    reloads.begin([1], now=0)
    reloads.done(1)
    assert not reloads.take()


def test_who_asks_meanwhile_is_told_of_the_next_one() -> None:
    reloads = Reloads()
    reloads.want((1, 10))
    reloads.take()
    reloads.begin([1, 2], now=0)
    reloads.want((2, 10))
    reloads.done(1)
    reloads.done(2)

    assert reloads.to_tell() == [(1, 10)]
    assert reloads.to_tell() == []
    assert reloads.take()
    assert reloads.to_tell() == [(2, 10)]


def test_workers_that_take_too_long_are_named_once() -> None:
    reloads = Reloads()
    reloads.want()
    reloads.take()
    reloads.begin([1, 2, 3], now=5)
    reloads.done(2)

    assert reloads.overdue(5 + RELOAD_S - 1) == frozenset()
    assert reloads.overdue(5 + RELOAD_S) == {1, 3}
    assert reloads.overdue(5 + RELOAD_S) == frozenset()
    assert not reloads.done(1)
    assert reloads.done(3)


def test_without_workers_there_is_nothing_to_wait_for() -> None:
    reloads = Reloads()
    reloads.want()
    reloads.take()
    reloads.begin([], now=0)

    assert reloads.until is None
    reloads.want()
    assert reloads.take()


def test_at_the_end_all_who_have_asked_are_told() -> None:
    reloads = Reloads()
    reloads.want((1, 1))
    reloads.take()
    reloads.begin([1], now=0)
    reloads.want((2, 2))

    assert reloads.give_up() == [(1, 1), (2, 2)]
    assert reloads.until is None
    reloads.done(1)
    assert not reloads.take()
