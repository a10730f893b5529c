"""Which node is next: the one that a key belongs to, on a ring of hashes (ketama).

A node has places on the ring in proportion to its weight, and they depend on nothing but its name and
weight. So when a node goes, only its own keys move, and the order of the nodes does not matter.
"""

from bisect import bisect
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Generic, Protocol, TypeVar

from batchway.upstream.balance.base import Weighted

POINTS = 256
"""Places of a node that weighs as much as `unit` says."""
_POINT_BYTES = 8
_PER_DIGEST = blake2b.MAX_DIGEST_SIZE // _POINT_BYTES


class Placed(Weighted, Protocol):
    """Something that has places on a ring. They are kept in `points`, being costly to find."""

    points: Sequence[int]

    @property
    def name(self) -> str: ...


P = TypeVar("P", bound=Placed)


def unit(weights: Iterable[int]) -> int:
    """The weight that stands for `POINTS` places: the power of two below the greatest.

    A power of two, so that hardly any change of the weights changes the places of other nodes; without
    it, weights of a million would mean millions of places.
    """
    return 1 << max(max(weights, default=1), 1).bit_length() - 1


class Ring(Generic[P]):
    """Keys to nodes. Making it costs some 0.2 ms a node, asking it about a microsecond."""

    def __init__(self, nodes: Sequence[P], unit: int) -> None:
        owners: dict[int, P] = {}
        # By name, so that also who has a place that two nodes hash to is no matter of order.
        for node in sorted(nodes, key=lambda node: node.name):
            if node.weight > 0:
                owners.update((point, node) for point in _points(node, unit) if point not in owners)
        self._points = sorted(owners)
        self._owners = [owners[point] for point in self._points]
        self._nodes = list(dict.fromkeys(self._owners))

    def pick(self, tried: Sequence[P] = (), key: str = "") -> P | None:
        """The node that has `key`, or the next one on the ring that was not tried; None if all were."""
        owners = self._owners
        if not owners or (tried and all(node in tried for node in self._nodes)):
            return None
        place = bisect(self._points, _place(key)) % len(owners)
        while owners[place] in tried:
            place = (place + 1) % len(owners)
        return owners[place]


def _points(node: P, unit: int) -> Sequence[int]:
    count = max(1, round(POINTS * node.weight / unit))
    if len(node.points) != count:
        digests = (
            blake2b(f"{node.name} {number}".encode()).digest() for number in range(-(-count // _PER_DIGEST))
        )
        node.points = [
            int.from_bytes(digest[start : start + _POINT_BYTES])
            for digest in digests
            for start in range(0, len(digest), _POINT_BYTES)
        ][:count]
    return node.points


def _place(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_POINT_BYTES).digest())
