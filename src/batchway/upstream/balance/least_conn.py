"""Which node is next: the one with the fewest requests under way for its weight."""

from collections.abc import Sequence
from typing import Generic

from batchway.upstream.balance.base import L


class LeastConn(Generic[L]):
    """Reads `standing.busy`, which whoever sends the requests keeps."""

    def __init__(self, nodes: Sequence[L]) -> None:
        self._nodes = [node for node in nodes if node.weight > 0]
        self._first = 0

    def pick(self, tried: Sequence[L] = (), key: str = "") -> L | None:
        """The least busy node, in turns among equals; None if all were tried."""
        nodes = self._nodes
        if not nodes:
            return None
        first = self._first
        allowed = [node for node in (*nodes[first:], *nodes[:first]) if node not in tried]
        least = min(allowed, key=_load_with_one_more, default=None)
        if least is not None:  # not simply one further: who stands behind a busy node would get its turns
            self._first = (nodes.index(least) + 1) % len(nodes)
        return least


def _load_with_one_more(node: L) -> float:
    """So that of two idle nodes the one with more weight comes first."""
    return (node.standing.busy + 1) / node.weight
