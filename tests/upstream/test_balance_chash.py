"""Consistent hashing: keys stay where they are unless their node goes."""

import random
from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from batchway.upstream.balance.chash import POINTS, Ring, unit

KEYS = [f"10.0.{number // 250}.{number % 250}" for number in range(4000)]


class Node:
    def __init__(self, name: str, weight: float = 1) -> None:
        self.name = name
        self.weight = weight
        self.points: Sequence[int] = []

    def __repr__(self) -> str:
        return self.name


def nodes_of(count: int) -> list[Node]:
    return [Node(f"10.1.0.{number}:80") for number in range(count)]


def ring(nodes: list[Node]) -> Ring[Node]:
    return Ring(nodes, unit(int(node.weight) for node in nodes))


def owners(nodes: list[Node], tried: tuple[Node, ...] = ()) -> dict[str, str]:
    made = ring(nodes)
    found = {}
    for key in KEYS:
        node = made.pick(tried, key)
        assert node is not None
        found[key] = node.name
    return found


def test_a_key_has_always_the_same_node() -> None:
    nodes = nodes_of(5)
    assert owners(nodes) == owners(nodes)


def test_places_do_not_depend_on_the_process() -> None:
    """Else two workers, or one before and after a restart, would send a key to different nodes."""
    found = owners(nodes_of(3))
    assert "".join(found[f"10.0.0.{number}"][-4] for number in range(24)) == "011120222212220222211212"


def test_order_of_nodes_does_not_matter() -> None:
    nodes = nodes_of(7)
    shuffled = nodes.copy()
    random.Random(1).shuffle(shuffled)  # noqa: S311 - no secret
    assert shuffled != nodes
    assert owners(nodes) == owners(shuffled)


def test_shares_follow_weights() -> None:
    nodes = [Node("a:80", 1), Node("b:80", 2), Node("c:80", 5)]
    shares = Counter(owners(nodes).values())
    for node in nodes:
        due = len(KEYS) * node.weight / 8
        assert 0.75 * due < shares[node.name] < 1.25 * due


def test_equal_nodes_have_equal_shares() -> None:
    shares = Counter(owners(nodes_of(10)).values())
    assert all(0.7 * 400 < share < 1.3 * 400 for share in shares.values())


def test_node_that_goes_moves_its_own_keys_only() -> None:
    nodes = nodes_of(6)
    before = owners(nodes)
    for gone in nodes:
        after = owners([node for node in nodes if node is not gone])
        moved = {key for key in KEYS if before[key] != after[key]}
        assert moved == {key for key in KEYS if before[key] == gone.name}
        assert len(set(after.values())) == 5, "its keys go to all others"


def test_node_that_comes_takes_keys_only_for_itself() -> None:
    nodes = nodes_of(6)
    before = owners(nodes[:5])
    after = owners(nodes)
    assert all(after[key] == nodes[5].name for key in KEYS if before[key] != after[key])


def test_keys_of_a_tried_node_go_where_they_would_without_it() -> None:
    nodes = nodes_of(4)
    assert owners(nodes, (nodes[2],)) == owners([nodes[0], nodes[1], nodes[3]])


def test_change_of_weight_moves_keys_only_to_or_from_that_node() -> None:
    before = owners([Node("a:80", 4), Node("b:80", 4), Node("c:80", 4)])
    after = owners([Node("a:80", 4), Node("b:80", 4), Node("c:80", 6)])
    moved = {after[key] for key in KEYS if before[key] != after[key]}
    assert moved == {"c:80"}


def test_great_weights_cost_no_more_places() -> None:
    node = Node("a:80", 1_000_000)
    ring([node, Node("b:80", 1)])
    assert POINTS <= len(node.points) < 2 * POINTS


def test_zero_weight_has_no_keys() -> None:
    nodes = [Node("a:80", 0), Node("b:80", 1)]
    assert set(owners(nodes).values()) == {"b:80"}
    assert ring([Node("a:80", 0)]).pick((), "x") is None
    assert ring([]).pick((), "x") is None


def test_two_nodes_at_one_address() -> None:
    nodes = [Node("a:80", 1), Node("a:80", 1)]
    made = ring(nodes)
    first = made.pick((), "x")
    assert first in nodes
    assert made.pick([first], "x") is None


@given(
    st.lists(st.integers(min_value=0, max_value=3), min_size=1, max_size=6),
    st.text(max_size=20),
)
def test_retries_take_each_node_once(weights: list[int], key: str) -> None:
    nodes = [Node(f"{number}:80", weight) for number, weight in enumerate(weights)]
    made = ring(nodes)
    tried: list[Node] = []
    while (node := made.pick(tried, key)) is not None:
        assert node not in tried
        tried.append(node)
    assert set(tried) == {node for node in nodes if node.weight}


@given(st.lists(st.integers(min_value=0), max_size=5))
def test_unit_is_the_power_of_two_below_the_greatest(weights: list[int]) -> None:
    found = unit(weights)
    assert found <= max([1, *weights]) < 2 * found
