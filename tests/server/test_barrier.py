"""A write is answered once all workers have applied it."""

from batchway.server.barrier import PATIENCE_S, Barrier


def of(*workers: int) -> Barrier:
    barrier = Barrier()
    for worker in workers:
        barrier.join(worker)
    return barrier


def test_a_write_waits_for_all_others() -> None:
    barrier = of(1, 2, 3)

    assert barrier.wrote(1, 7, now=0) == [2, 3]
    assert barrier.settled() == []
    barrier.applied(2, 7)
    assert barrier.settled() == []
    barrier.applied(3, 8)
    assert barrier.settled() == [(1, 7)]
    assert barrier.settled() == []


def test_a_write_of_the_only_worker_waits_for_nobody() -> None:
    barrier = of(1)

    assert barrier.wrote(1, 7, now=0) == []
    assert barrier.settled() == [(1, 7)]


def test_what_is_applied_already_is_not_waited_for() -> None:
    barrier = of(1, 2)
    barrier.applied(2, 9)
    barrier.wrote(1, 7, now=0)

    assert barrier.settled() == [(1, 7)]


def test_several_writes_at_once() -> None:
    barrier = of(1, 2)
    barrier.wrote(1, 7, now=0)
    barrier.wrote(2, 8, now=0)
    barrier.wrote(1, 9, now=0)
    barrier.applied(1, 8)
    barrier.applied(2, 8)

    assert barrier.settled() == [(1, 7), (2, 8)]
    barrier.applied(2, 9)
    assert barrier.settled() == [(1, 9)]


def test_who_joins_is_waited_for_and_told_what_it_missed() -> None:
    barrier = of(1, 2)
    barrier.wrote(1, 7, now=0)

    assert barrier.join(3) == 7
    barrier.applied(2, 7)
    assert barrier.settled() == []
    barrier.applied(3, 7)
    assert barrier.settled() == [(1, 7)]


def test_who_leaves_is_not_waited_for() -> None:
    barrier = of(1, 2)
    barrier.wrote(1, 7, now=0)
    barrier.leave(2)

    assert barrier.settled() == [(1, 7)]


def test_nobody_is_told_of_the_write_of_one_who_has_left() -> None:
    barrier = of(1, 2)
    barrier.wrote(1, 7, now=0)
    barrier.leave(1)
    barrier.join(1)
    barrier.applied(2, 7)

    assert barrier.settled() == []
    assert barrier.next_deadline() is None


def test_a_write_does_not_wait_for_ever() -> None:
    barrier = of(1, 2, 3)
    barrier.wrote(1, 7, now=10)
    barrier.applied(3, 7)

    assert barrier.next_deadline() == 10 + PATIENCE_S
    assert barrier.overdue(10 + PATIENCE_S - 0.1) == []
    assert barrier.settled() == []
    assert barrier.overdue(10 + PATIENCE_S) == [2]
    assert barrier.settled() == [(1, 7)]
    assert barrier.next_deadline() is None


def test_who_was_late_is_not_waited_for_until_it_is_in_time() -> None:
    barrier = of(1, 2)
    barrier.wrote(1, 7, now=0)
    barrier.overdue(PATIENCE_S)
    barrier.settled()

    assert barrier.wrote(1, 8, now=6) == [2]
    assert barrier.settled() == [(1, 8)]
    assert barrier.applied(2, 7) is False
    assert barrier.applied(2, 8) is True
    barrier.wrote(1, 9, now=7)
    assert barrier.settled() == []


def test_what_one_who_has_left_says_does_not_count() -> None:
    barrier = of(1)

    assert barrier.applied(2, 7) is False
    barrier.join(2)
    barrier.wrote(1, 7, now=0)
    assert barrier.settled() == []
