"""Which node is next: of two at random, the one that answers sooner.

Source: Finagle's Peak EWMA. A node's cost is a moving average of its response times that a slow answer
lifts at once and time lets sink; it is multiplied by the requests that wait for it. Of two nodes rather
than of all, so that not everybody runs to the same one.
"""

import math
import random
from collections.abc import Callable, Sequence
from typing import Generic

from batchway.upstream.balance.base import Busy, L

DECAY_S = 10.0
"""After so long, 37 % of a cost are left."""
FAILURE_S = 5.0
"""What a failure costs at least: who refuses at once is not quick."""
_UNKNOWN_S = 60.0
_LEAST_S = 1e-6


class Ewma(Generic[L]):
    """Reads what `observe` has written."""

    def __init__(
        self,
        nodes: Sequence[L],
        clock: Callable[[], float],
        choose: Callable[[Sequence[L], int], Sequence[L]] = random.sample,
    ) -> None:
        self._nodes = [node for node in nodes if node.weight > 0]
        self._clock = clock
        self._choose = choose

    def pick(self, tried: Sequence[L] = (), key: str = "") -> L | None:
        """The node with the lower cost of two; None if all were tried."""
        allowed = [node for node in self._nodes if node not in tried] if tried else self._nodes
        if len(allowed) < 2:
            return allowed[0] if allowed else None
        now = self._clock()
        one, other = self._choose(allowed, 2)
        return one if _cost(one.standing, now) <= _cost(other.standing, now) else other


def _cost(standing: Busy, now: float) -> float:
    if not standing.cost_s:
        # Tried out soon, but not by everybody at once: its first answer is still to come.
        return _UNKNOWN_S * standing.busy
    return _sunk(standing, now) * (standing.busy + 1)


def _sunk(standing: Busy, now: float) -> float:
    return standing.cost_s * math.exp(-max(0.0, now - standing.touched) / DECAY_S)


def observe(standing: Busy, seconds: float, now: float) -> None:
    """Reckon with an answer that took so many seconds."""
    cost_s = standing.cost_s
    if seconds < cost_s:
        stays = math.exp(-max(0.0, now - standing.touched) / DECAY_S)
        seconds = cost_s * stays + seconds * (1 - stays)
    standing.cost_s = max(seconds, _LEAST_S)
    standing.touched = now


def observe_silence(standing: Busy, seconds: float, now: float) -> None:
    """Reckon with an answer that had not come after so long, whenever it would have come."""
    if seconds > _sunk(standing, now):
        observe(standing, seconds, now)
