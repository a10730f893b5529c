"""Which node is next: smooth weighted round robin.

Source: nginx, commit 52327e0627f4 (2012): every turn each node gains its weight, the richest is chosen
and pays the sum. Weights 5, 1, 1 give a a b a c a a, not five times a in a row.
"""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar


class Weighted(Protocol):
    """Something to choose by weight; 0 is never chosen."""

    @property
    def weight(self) -> int: ...


N = TypeVar("N", bound=Weighted)


class RoundRobin(Generic[N]):
    """Turns among the nodes of one upstream."""

    def __init__(self, nodes: Sequence[N]) -> None:
        self._nodes = [node for node in nodes if node.weight > 0]
        self._gained = [0] * len(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def next(self, tried: Sequence[N] = ()) -> N | None:
        """The node whose turn it is, none of `tried` unless all were; None if there is none."""
        nodes = self._nodes
        if len(nodes) == 1:
            return nodes[0]
        if not nodes:
            return None
        allowed = [index for index, node in enumerate(nodes) if node not in tried]
        allowed = allowed or list(range(len(nodes)))
        gained = self._gained
        for index in allowed:
            gained[index] += nodes[index].weight
        best = max(allowed, key=gained.__getitem__)
        gained[best] -= sum(nodes[index].weight for index in allowed)
        return nodes[best]
