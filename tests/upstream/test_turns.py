"""Turns go round between parties."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.upstream.turns import Turns


class Naive:
    """The same, without any thought for speed: one list, and who was served when."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, int]] = []
        self.round: list[str] = []

    def add(self, party: str, item: int) -> None:
        self.waiting.append((party, item))
        if party not in self.round:
            self.round.append(party)

    def next(self) -> int:
        party = self.round.pop(0)
        entry = next(entry for entry in self.waiting if entry[0] == party)
        self.waiting.remove(entry)
        if any(other == party for other, _ in self.waiting):
            self.round.append(party)
        return entry[1]


@given(st.lists(st.one_of(st.sampled_from("ABCDE"), st.none()), max_size=60))
def test_like_the_naive_model(steps: list[str | None]) -> None:
    turns: Turns[int] = Turns()
    naive = Naive()
    for number, party in enumerate(steps):
        if party is not None:
            turns.add(party, number)
            naive.add(party, number)
        elif naive.waiting:
            assert turns.next() == naive.next()
        assert len(turns) == len(naive.waiting)
        assert bool(turns) == bool(naive.waiting)
    while naive.waiting:
        assert turns.next() == naive.next()
    assert len(turns) == 0


@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=80))
def test_no_party_is_passed_twice_while_another_waits(parties: list[str]) -> None:
    turns: Turns[tuple[str, int]] = Turns()
    for number, party in enumerate(parties):
        turns.add(party, (party, number))
    left = Counter(parties)
    passed: Counter[str] = Counter()
    while turns:
        party, _ = turns.next()
        left[party] -= 1
        passed[party] = 0
        for other in left:
            if other != party and left[other]:
                passed[other] += 1
                assert passed[other] < 3, "three parties: two others at most come between"


@given(st.lists(st.sampled_from("ABC"), max_size=80))
def test_each_party_keeps_its_own_order(parties: list[str]) -> None:
    turns: Turns[tuple[str, int]] = Turns()
    for number, party in enumerate(parties):
        turns.add(party, (party, number))
    served = [turns.next() for _ in parties]
    for party in "ABC":
        own = [number for served_party, number in served if served_party == party]
        assert own == [number for number, other in enumerate(parties) if other == party]


def test_small_party_is_not_behind_a_big_one() -> None:
    turns: Turns[str] = Turns()
    for number in range(1000):
        turns.add("big", f"big {number}")
    turns.add("small", "small 0")
    assert [turns.next() for _ in range(3)] == ["big 0", "small 0", "big 1"]


def test_none_is_a_party() -> None:
    turns: Turns[str] = Turns()
    for party, waiting in ((None, "a"), (None, "b"), ("batch", "c")):
        turns.add(party, waiting)
    assert [turns.next() for _ in range(3)] == ["a", "c", "b"]


def test_next_of_nothing_raises() -> None:
    turns: Turns[str] = Turns()
    with pytest.raises((StopIteration, IndexError, KeyError)):
        turns.next()
