"""Smooth weighted round robin, and tiers of it."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from batchway.upstream.balance.roundrobin import RoundRobin
from batchway.upstream.balance.tiers import Tiers


class Node(Struct, frozen=True):
    name: str
    weight: float


def nodes_of(**weights: float) -> list[Node]:
    return [Node(name, weight) for name, weight in weights.items()]


def sequence(turns: RoundRobin[Node], count: int) -> str:
    names = []
    for _ in range(count):
        node = turns.pick()
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


def test_weights_that_addresses_share() -> None:
    """A node of three addresses beside one of one: each gets what its node is due."""
    turns = RoundRobin(nodes_of(a=1 / 3, b=1 / 3, c=1 / 3, d=1))
    assert Counter(sequence(turns, 6000).split()) == {"a": 1000, "b": 1000, "c": 1000, "d": 3000}


def test_single_node_is_always_next() -> None:
    assert sequence(RoundRobin(nodes_of(a=7)), 3) == "a a a"


def test_no_nodes_give_none() -> None:
    assert RoundRobin[Node]([]).pick() is None


def test_zero_weight_is_never_chosen() -> None:
    turns = RoundRobin(nodes_of(a=0, b=1, c=0, d=1))
    assert set(sequence(turns, 20).split()) == {"b", "d"}


def test_all_weights_zero_give_none() -> None:
    assert RoundRobin(nodes_of(a=0, b=0)).pick() is None


def test_tried_nodes_are_not_next() -> None:
    a, b, c = nodes_of(a=100, b=1, c=1)
    turns = RoundRobin([a, b, c])
    for _ in range(10):
        assert turns.pick([a]) in (b, c)
        assert turns.pick([a, b]) is c
        assert turns.pick([c, a]) is b


def test_all_tried_give_none() -> None:
    a, b = nodes_of(a=1, b=1)
    assert RoundRobin([a, b]).pick([b, a]) is None
    assert RoundRobin([a]).pick([a]) is None


weights = st.lists(st.integers(min_value=0, max_value=20), min_size=1, max_size=8)


@given(weights, st.integers(min_value=1, max_value=3))
def test_shares_are_exactly_the_weights(weights: list[int], rounds: int) -> None:
    nodes = [Node(str(number), weight) for number, weight in enumerate(weights)]
    turns = RoundRobin(nodes)
    chosen = Counter(turns.pick() for _ in range(sum(weights) * rounds))
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
        chosen[turns.pick()] += 1
        for node in nodes:
            assert abs(chosen[node] - count * node.weight / total) < len(nodes)


@given(weights, st.lists(st.integers(min_value=0, max_value=7), max_size=30))
def test_tried_never_come(weights: list[int], picks: list[int]) -> None:
    nodes = [Node(str(number), weight) for number, weight in enumerate(weights)]
    usable = [node for node in nodes if node.weight]
    turns = RoundRobin(nodes)
    for pick in picks:
        tried = nodes[: pick % (len(nodes) + 1)]
        node = turns.pick(tried)
        left = [one for one in usable if one not in tried]
        assert (node in left) if left else (node is None)


# --- priorities


def test_lower_tier_waits_until_the_higher_is_tried() -> None:
    a, b, c, d = nodes_of(a=1, b=1, c=1, d=1)
    tiers = Tiers([RoundRobin([a, b]), RoundRobin([c, d])])
    assert {tiers.pick() for _ in range(10)} == {a, b}
    assert {tiers.pick([a]) for _ in range(10)} == {b}
    assert {tiers.pick([a, b]) for _ in range(10)} == {c, d}
    assert tiers.pick([a, b, c]) is d
    assert tiers.pick([a, b, c, d]) is None


def test_tier_of_no_weight_is_passed_over() -> None:
    a, b = nodes_of(a=0, b=1)
    assert Tiers([RoundRobin([a]), RoundRobin([b])]).pick() is b
