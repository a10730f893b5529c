"""UUIDs that sort by when they were made."""

from collections.abc import Iterator
from itertools import pairwise
from unittest.mock import patch
from uuid import RFC_4122

import pytest

from batchway.plugins.uuid7 import Uuid7

MS = 1_000_000
NOW_MS = 0x0191_2345_6789


def maker(*times_ms: int) -> Uuid7:
    clock: Iterator[int] = iter([ms * MS for ms in times_ms])
    return Uuid7(lambda: next(clock))


def test_what_stands_where() -> None:
    one = maker(NOW_MS)()

    assert (one.version, one.variant) == (7, RFC_4122)
    assert str(one).startswith("01912345-6789-7")


def test_those_of_one_millisecond_are_in_order() -> None:
    make = maker(*[NOW_MS] * 1000)
    made = [str(make()) for _ in range(1000)]

    assert made == sorted(set(made))
    assert len({one[:14] for one in made}) == 1


def test_each_millisecond_begins_with_room_for_many() -> None:
    counted = [maker(NOW_MS)().int >> 64 & 0xFFF for _ in range(64)]  # the counter's upper 12 bits

    assert max(counted) < 0x800


def test_two_makers_do_not_make_the_same() -> None:
    assert maker(NOW_MS)() != maker(NOW_MS)()


def test_later_ones_are_greater_whatever_the_counter_was() -> None:
    make = maker(*range(NOW_MS, NOW_MS + 200))

    assert all(before < after for before, after in pairwise([make() for _ in range(200)]))


@pytest.mark.parametrize("back_ms", [1, 3_600_000])
def test_clock_that_goes_back_does_not_turn_the_order(back_ms: int) -> None:
    make = maker(NOW_MS, NOW_MS - back_ms, NOW_MS + 1)
    first, second, third = make(), make(), make()

    assert first < second < third
    assert str(second)[:13] == str(first)[:13]


def test_full_counter_goes_on_in_the_next_millisecond() -> None:
    make = maker(NOW_MS, NOW_MS)
    with patch("batchway.plugins.uuid7.secrets.randbits", lambda bits: (1 << bits + (bits > 32)) - 1):
        first = make()
        second = make()

    assert first < second
    assert second.int >> 80 == NOW_MS + 1
