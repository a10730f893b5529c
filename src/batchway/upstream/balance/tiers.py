"""Nodes of a lower priority are asked only when none of a higher one is left."""

from collections.abc import Sequence
from typing import Generic

from batchway.upstream.balance.base import Balancer, N


class Tiers(Generic[N]):
    """Balancers, the one with the highest priority first."""

    def __init__(self, tiers: Sequence[Balancer[N]]) -> None:
        self._tiers = tiers

    def pick(self, tried: Sequence[N] = (), key: str = "") -> N | None:
        """A node of the first tier that has one which was not tried; None if none has."""
        for tier in self._tiers:
            node = tier.pick(tried, key)
            if node is not None:
                return node
        return None
