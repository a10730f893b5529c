"""What the log has of nodes that fail: that they do, at once, but never a line for each request."""

from collections.abc import Callable

import structlog
from msgspec import Struct

from batchway.errors import UpstreamError

log = structlog.get_logger(__name__)

INTERVAL_S = 10.0
"""A node that goes on failing in the same way is told of so often."""
_MAX_TOLD = 1024
"""Of nodes, as many as there may be while names resolve to ever new addresses."""


class _Told(Struct):
    quiet_until: float
    since: int = 0
    """Failures that were only counted."""


class Failures:
    """Those of the nodes of one upstream. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float], *, log: bool = True) -> None:
        self._clock = clock
        self._is_logged = log
        self._told: dict[tuple[str, str], _Told] = {}

    def note(self, node: str, error: UpstreamError) -> None:
        """Log it, with the number of those only counted; or count it, if one was logged lately."""
        if not self._is_logged:
            return
        now, what = self._clock(), (node, error.code)
        told = self._told.get(what)
        if told is not None and now < told.quiet_until:
            told.since += 1
            return
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        untold = 0 if told is None else told.since
        self._told[what] = _Told(now + INTERVAL_S)
        log.warning("upstream node failed", node=node, error=error.code, untold=untold)
