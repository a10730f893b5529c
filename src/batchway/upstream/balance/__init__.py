"""Ways of choosing a node, by the `type` of an upstream."""

from batchway.upstream.balance.roundrobin import RoundRobin

__all__ = ["RoundRobin"]
