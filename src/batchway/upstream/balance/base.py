"""What all ways of choosing a node have in common."""

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Weighted(Protocol):
    """Something to choose by weight; 0 is never chosen."""

    @property
    def weight(self) -> float: ...


class Busy(Protocol):
    """How much an address has to do, and how long it takes."""

    busy: int
    cost_s: float
    touched: float


class Loaded(Weighted, Protocol):
    """Something to choose by its load."""

    @property
    def standing(self) -> Busy: ...


N = TypeVar("N", bound=Weighted)
L = TypeVar("L", bound=Loaded)


class Balancer(Protocol[N]):
    """A way of choosing. It holds nodes that may be asked, and is made anew when those change."""

    def pick(self, tried: Sequence[N] = (), key: str = "") -> N | None:
        """The node to ask; None if all were tried. `key` is what `chash` hashes."""
        ...
