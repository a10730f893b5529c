"""What is chosen among: the addresses of an upstream's nodes, and what is known of each."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from batchway.upstream.pool import Pool
from batchway.upstream.spec import Node

Status = Literal["healthy", "mostly_healthy", "mostly_unhealthy", "unhealthy"]
Key = tuple[str, str, int]
"""Host, address and port."""


class Counter(Struct):
    """What has counted for and against a node since the other side counted last."""

    success: int = 0
    http_failure: int = 0
    tcp_failure: int = 0
    timeout_failure: int = 0


class Standing:
    """How busy, how quick and how healthy one address is. Outlives a change of its upstream."""

    __slots__ = ("busy", "checking", "cost_s", "counter", "due", "status", "touched")

    def __init__(self) -> None:
        self.busy = 0
        """Requests that it has not answered yet. Counted only where somebody reads it."""
        self.cost_s = 0.0
        """How long its answers take, as `ewma` reckons; 0 as long as there was none."""
        self.touched = 0.0
        """Loop time of the last change of `cost_s`."""
        self.status: Status = "healthy"
        self.counter = Counter()
        self.due: float | None = None
        """Loop time of the next probe; None before it is known."""
        self.checking = False
        """Whether a probe is under way."""

    @property
    def up(self) -> bool:
        """Whether it may be asked."""
        return self.status in ("healthy", "mostly_healthy")

    def checked(self, _: object = None) -> None:
        """The probe is over."""
        self.checking = False

    def release(self) -> None:
        """One request less that it has not answered."""
        self.busy -= 1


class Target:
    """One address of one node. Two are the same only if they are one object."""

    __slots__ = ("ip", "key", "name", "node", "points", "pools", "standing", "weight")

    def __init__(self, node: Node, ip: str, weight: float, standing: Standing) -> None:
        """`weight` is its part of the node's, which all addresses of a name share."""
        self.node = node
        self.ip = ip
        self.weight = weight
        self.standing = standing
        self.key: Key = (node.host, ip, node.port)
        self.name = f"[{ip}]:{node.port}" if ":" in ip else f"{ip}:{node.port}"
        self.points: Sequence[int] = ()
        """Its places on the ring of `chash`, once they are known."""
        self.pools: list[Pool | None] = [None, None]
        """Where its connections are: without verification, and with it."""

    def __repr__(self) -> str:
        return f"Target({self.name})"
