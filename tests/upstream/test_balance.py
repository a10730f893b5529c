"""Smooth weighted round robin."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from batchway.upstream.balance import RoundRobin


class Node(Struct, frozen=True):
    name: str
    weight: int


def nodes_of(**weights: int) -> list[Node]:
    return [Node(name, weight) for name, weight in weights.items()]


def sequence(turns: RoundRobin[Node], count: int) -> str:
    names = []
    for _ in range(count):
        node = turns.next()
        assert node is not None
        names.append(node.name)
    return " ".join(names)


def test_nginx_sequence() -> None:
    """Source: nginx, commit 52327e0627f4: weights 5, 1, 1 give a a b a c a a."""
    turns = RoundRobin(nodes_of(a=5, b=1, c=1))
    assert sequence(turns, 7) == "a a b a c a a"
    assert sequence(turns, 7) == "a a b a c a a"


def test_equal_weights_go_round() -> None:
    assert sequence(RoundRobin(nodes_of(a=1, b=1, c=1)), 6) == "a b c a b c"
    assert sequence(RoundRobin(nodes_of(a=100, b=100)), 4) == "a b a b"


def test_single_node_is_always_next() -> None:
    assert sequence(RoundRobin(nodes_of(a=7)), 3) == "a a a"


def test_no_nodes_give_none() -> None:
    assert RoundRobin[Node]([]).next() is None
    assert len(RoundRobin[Node]([])) == 0


def test_zero_weight_is_never_chosen() -> None:
    turns = RoundRobin(nodes_of(a=0, b=1, c=0, d=1))
    assert len(turns) == 2
    assert set(sequence(turns, 20).split()) == {"b", "d"}


def test_all_weights_zero_give_none() -> None:
    assert RoundRobin(nodes_of(a=0, b=0)).next() is None


def test_tried_nodes_are_not_next() -> None:
    a, b, c = nodes_of(a=100, b=1, c=1)
    turns = RoundRobin([a, b, c])
    for _ in range(10):
        assert turns.next([a]) in (b, c)
        assert turns.next([a, b]) is c
        assert turns.next([c, a]) is b


def test_all_tried_begin_again() -> None:
    a, b = nodes_of(a=1, b=1)
    turns = RoundRobin([a, b])
    assert {turns.next([a, b]), turns.next([b, a])} == {a, b}


def test_single_node_is_next_though_tried() -> None:
    (a,) = nodes_of(a=1)
    assert RoundRobin([a]).next([a]) is a


weights = st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=8)


@given(weights, st.integers(min_value=1, max_value=3))
def test_shares_are_exactly_the_weights(weights: list[int], rounds: int) -> None:
    nodes = [Node(str(number), weight) for number, weight in enumerate(weights)]
    turns = RoundRobin(nodes)
    chosen = Counter(turns.next() for _ in range(sum(weights) * rounds))
    for node in nodes:
        assert chosen[node] == node.weight * rounds


@given(weights)
def test_no_node_runs_ahead_of_its_share(weights: list[int]) -> None:
    """What makes it smooth: nobody is ever a whole node's turn ahead of what is due."""
    nodes = [Node(str(number), weight) for number, weight in enumerate(weights)]
    total = sum(weights)
    turns = RoundRobin(nodes)
    chosen: Counter[Node | None] = Counter()
    for count in range(1, total + 1):
        chosen[turns.next()] += 1
        for node in nodes:
            assert abs(chosen[node] - count * node.weight / total) < len(nodes)


@given(weights, st.lists(st.integers(min_value=0, max_value=7), max_size=30))
def test_tried_never_come_while_others_are_left(weights: list[int], picks: list[int]) -> None:
    nodes = [Node(str(number), weight) for number, weight in enumerate(weights)]
    usable = [node for node in nodes if node.weight]
    turns = RoundRobin(nodes)
    for pick in picks:
        tried = nodes[: pick % (len(nodes) + 1)]
        node = turns.next(tried)
        if not usable:
            assert node is None
        elif set(usable) - set(tried):
            assert node in usable
            assert node not in tried
        else:
            assert node in usable
