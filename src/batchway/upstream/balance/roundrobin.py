"""Which node is next: smooth weighted round robin.

Source: nginx, commit 52327e0627f4 (2012): every turn each node gains its weight, the richest is chosen
and pays the sum. Weights 5, 1, 1 give a a b a c a a, not five times a in a row.
"""

from collections.abc import Sequence
from typing import Generic

from batchway.upstream.balance.base import N


class RoundRobin(Generic[N]):
    """Turns among nodes."""

    def __init__(self, nodes: Sequence[N]) -> None:
        self._nodes = [node for node in nodes if node.weight > 0]
        self._gained = [0.0] * len(self._nodes)

    def pick(self, tried: Sequence[N] = (), key: str = "") -> N | None:
        """The node whose turn it is; None if all were tried."""
        nodes = self._nodes
        if len(nodes) == 1:
            return nodes[0] if nodes[0] not in tried else None
        allowed = [index for index, node in enumerate(nodes) if node not in tried]
        if not allowed:
            return None
        gained = self._gained
        for index in allowed:
            gained[index] += nodes[index].weight
        best = max(allowed, key=gained.__getitem__)
        gained[best] -= sum(nodes[index].weight for index in allowed)
        return nodes[best]
