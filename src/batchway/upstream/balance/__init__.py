"""Ways of choosing a node, by the `type` of an upstream."""

from collections.abc import Callable, Sequence
from typing import Literal

from batchway.upstream.balance.base import Balancer
from batchway.upstream.balance.chash import Ring, unit
from batchway.upstream.balance.ewma import Ewma
from batchway.upstream.balance.least_conn import LeastConn
from batchway.upstream.balance.roundrobin import RoundRobin
from batchway.upstream.balance.tiers import Tiers
from batchway.upstream.target import Target

Kind = Literal["roundrobin", "chash", "least_conn", "ewma"]


def balancer(
    kind: Kind, targets: Sequence[Target], *, unit: int, clock: Callable[[], float]
) -> Balancer[Target]:
    """A way of choosing among `targets`, those of the highest priority first.

    `unit` is the weight that `chash` measures others by.
    """

    def alike(targets: Sequence[Target]) -> Balancer[Target]:
        match kind:
            case "roundrobin":
                return RoundRobin(targets)
            case "chash":
                return Ring(targets, unit)
            case "least_conn":
                return LeastConn(targets)
            case "ewma":
                return Ewma(targets, clock)

    priorities = sorted({target.node.priority for target in targets}, reverse=True)
    if len(priorities) < 2:
        return alike(targets)
    return Tiers([alike([one for one in targets if one.node.priority == each]) for each in priorities])


__all__ = ["Balancer", "balancer", "unit"]
