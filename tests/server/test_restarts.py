"""Workers that die are started again: at once, unless they die again and again."""

from batchway.server.restarts import Restarts


def test_who_has_lived_long_is_due_at_once() -> None:
    restarts = Restarts()

    assert restarts.died(1, born=0, now=100) == 0
    assert restarts.next_due() == 100
    assert restarts.take_due(100) == [1]
    assert restarts.take_due(100) == []
    assert restarts.next_due() is None


def test_who_dies_young_waits_longer_each_time_but_not_for_ever() -> None:
    restarts = Restarts()
    now, delays = 0.0, []
    for _ in range(10):
        delays.append(restarts.died(1, born=now, now=now))
        assert restarts.take_due(now) == []
        now += delays[-1]
        assert restarts.take_due(now) == [1]

    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-2:] == [10.0, 10.0]


def test_a_long_life_makes_up_for_short_ones() -> None:
    restarts = Restarts()
    for _ in range(3):
        restarts.died(1, born=0, now=0)

    assert restarts.died(1, born=0, now=60) == 0
    assert restarts.died(1, born=60, now=60) == 0.1


def test_who_has_ended_in_good_order_is_due_at_once() -> None:
    restarts = Restarts()
    restarts.died(1, born=0, now=0)
    restarts.take_due(1)

    restarts.left(1, now=1)
    assert restarts.take_due(1) == [1]
    assert restarts.died(1, born=1, now=1) == 0.1


def test_each_has_its_own_time() -> None:
    restarts = Restarts()
    restarts.died(2, born=0, now=0)
    restarts.died(1, born=0, now=10)

    assert restarts.next_due() == 0.1
    assert restarts.take_due(20) == [1, 2]


def test_none_is_due_at_the_end() -> None:
    restarts = Restarts()
    restarts.died(1, born=0, now=0)
    restarts.give_up()

    assert restarts.take_due(100) == []
    assert restarts.next_due() is None
