"""The least busy node, and the one that answers soonest."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.upstream.balance.ewma import DECAY_S, Ewma, observe, observe_silence
from batchway.upstream.balance.least_conn import LeastConn
from batchway.upstream.target import Standing


class Node:
    def __init__(self, name: str, weight: float = 1) -> None:
        self.name = name
        self.weight = weight
        self.standing = Standing()

    def __repr__(self) -> str:
        return self.name


def names(nodes: Sequence[Node | None]) -> str:
    return " ".join(node.name if node else "-" for node in nodes)


# --- least_conn


def begin(least: LeastConn[Node], count: int) -> list[Node]:
    """Requests that begin and do not end."""
    begun = []
    for _ in range(count):
        node = least.pick()
        assert node is not None
        node.standing.busy += 1
        begun.append(node)
    return begun


def test_least_busy_node_is_next() -> None:
    a, b, c = Node("a"), Node("b"), Node("c")
    a.standing.busy, b.standing.busy, c.standing.busy = 3, 1, 2
    least = LeastConn([a, b, c])
    assert [least.pick() for _ in range(4)] == [b] * 4


def test_idle_nodes_take_turns() -> None:
    least = LeastConn([Node("a"), Node("b"), Node("c")])
    assert names([least.pick() for _ in range(6)]) == "a b c a b c"


def test_idle_nodes_take_turns_beside_a_busy_one() -> None:
    nodes = [Node("a"), Node("b"), Node("c")]
    nodes[0].standing.busy = 1
    least = LeastConn(nodes)
    assert names([least.pick() for _ in range(6)]) == "b c b c b c"


def test_busy_nodes_are_filled_by_weight() -> None:
    begun = begin(LeastConn([Node("a", 3), Node("b", 1)]), 40)
    assert Counter(node.name for node in begun) == {"a": 30, "b": 10}


def test_node_that_does_not_answer_gets_nothing_more() -> None:
    stuck, quick = Node("stuck"), Node("quick")
    least = LeastConn([stuck, quick])
    asked = []
    for _ in range(20):
        (node,) = begin(least, 1)
        asked.append(node.name)
        if node is quick:
            node.standing.release()
    assert asked.count("stuck") == 1


def test_tried_nodes_are_left_out() -> None:
    a, b = Node("a"), Node("b")
    b.standing.busy = 5
    least = LeastConn([a, b])
    assert least.pick([a]) is b
    assert least.pick([a, b]) is None


def test_no_weight_no_turn() -> None:
    assert LeastConn([Node("a", 0)]).pick() is None
    assert LeastConn[Node]([]).pick() is None


@given(st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=5), st.integers(1, 60))
def test_no_node_is_far_busier_than_another(weights: list[int], count: int) -> None:
    nodes = [Node(str(number), weight) for number, weight in enumerate(weights)]
    begin(LeastConn(nodes), count)
    for one in nodes:
        for other in nodes:
            assert (one.standing.busy - 1) / one.weight <= (other.standing.busy + 1) / other.weight


# --- ewma


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def first_two(nodes: Sequence[Node], count: int) -> Sequence[Node]:
    return nodes[:count]


def last_two(nodes: Sequence[Node], count: int) -> Sequence[Node]:
    return nodes[-count:]


def test_of_two_the_quicker_one(clock: Clock) -> None:
    slow, quick, other = Node("slow"), Node("quick"), Node("other")
    observe(slow.standing, 0.5, clock.now)
    observe(quick.standing, 0.1, clock.now)
    observe(other.standing, 0.2, clock.now)
    nodes = [slow, quick, other]
    assert Ewma(nodes, clock, first_two).pick() is quick
    assert Ewma(nodes, clock, last_two).pick() is quick
    assert Ewma(nodes, clock, first_two).pick([quick]) is other


def test_two_at_random_are_compared(clock: Clock) -> None:
    nodes = [Node(str(number)) for number in range(3)]
    for number, node in enumerate(nodes):
        observe(node.standing, 1.0 + number, clock.now)
    asked = Counter(names([Ewma(nodes, clock).pick()]) for _ in range(600))
    assert asked["0"] > 300
    assert asked["1"] > 100
    assert "2" not in asked, "the slowest loses to whichever it is compared with"


def test_slow_answer_counts_at_once_and_quick_ones_bit_by_bit(clock: Clock) -> None:
    standing = Standing()
    observe(standing, 0.1, clock.now)
    observe(standing, 2.0, clock.now)
    assert standing.cost_s == 2.0
    clock.now += 1
    observe(standing, 0.1, clock.now)
    assert 1.7 < standing.cost_s < 2.0
    clock.now += 10 * DECAY_S
    observe(standing, 0.1, clock.now)
    assert standing.cost_s == pytest.approx(0.1, rel=0.01)


def test_node_that_was_slow_is_tried_again_in_time(clock: Clock) -> None:
    slow, quick = Node("slow"), Node("quick")
    ewma = Ewma([slow, quick], clock, first_two)
    observe(slow.standing, 5.0, clock.now)
    for _ in range(7):
        observe(quick.standing, 0.1, clock.now)
        assert ewma.pick() is quick
        clock.now += DECAY_S / 2
    clock.now += DECAY_S
    observe(quick.standing, 0.1, clock.now)
    assert ewma.pick() is slow


def test_waiting_requests_make_a_node_dearer(clock: Clock) -> None:
    one, other = Node("one"), Node("other")
    observe(one.standing, 0.1, clock.now)
    observe(other.standing, 0.15, clock.now)
    one.standing.busy = 1
    assert Ewma([one, other], clock, first_two).pick() is other


def test_unknown_node_is_tried_soon_but_not_by_all_at_once(clock: Clock) -> None:
    known, fresh = Node("known"), Node("fresh")
    observe(known.standing, 0.1, clock.now)
    ewma = Ewma([known, fresh], clock, first_two)
    assert ewma.pick() is fresh
    fresh.standing.busy = 1
    assert ewma.pick() is known


def test_silence_counts_only_against_a_node(clock: Clock) -> None:
    standing = Standing()
    observe(standing, 1.0, clock.now)
    observe_silence(standing, 0.01, clock.now)
    assert standing.cost_s == 1.0
    observe_silence(standing, 3.0, clock.now)
    assert standing.cost_s == 3.0


def test_one_or_none_to_choose_from(clock: Clock) -> None:
    only = Node("only")
    assert Ewma([only], clock).pick() is only
    assert Ewma([only], clock).pick([only]) is None
    assert Ewma([Node("a", 0)], clock).pick() is None


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=30))
def test_cost_stays_within_what_was_seen(answers: list[tuple[float, float]]) -> None:
    standing, now = Standing(), 0.0
    for seconds, pause_s in answers:
        now += pause_s
        observe(standing, seconds, now)
        most = max(1e-6, *(seen for seen, _ in answers))
        assert 0 < standing.cost_s <= most * (1 + 1e-12)  # sums of shares are rounded
