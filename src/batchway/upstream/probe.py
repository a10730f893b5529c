"""Active health checks: one probe, and the task that sends them when they are due."""

import asyncio
import random
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence

from batchway.upstream.head import host_of
from batchway.upstream.health import Health, Rules
from batchway.upstream.reach import Reach
from batchway.upstream.spec import Active
from batchway.upstream.target import Target

_JITTER = 0.1
"""Part of an interval by which probes vary: many that began together shall not stay together."""
_NEVER = float("inf")
_STATUS = re.compile(rb"HTTP/\d\.\d ([1-5]\d\d)[ \r\n]")
_MAX_LINE_BYTES = 8192


class Prober:
    """Probes the targets of one upstream."""

    def __init__(
        self,
        active: Active,
        reach: Reach,
        health: Health,
        targets: Callable[[], Awaitable[Sequence[Target]]],
    ) -> None:
        """`targets` are asked for before each round."""
        self._active = active
        self._reach = reach
        self._health = health
        self._targets = targets
        self._rules = Rules.of(active)
        self._slots = asyncio.Semaphore(active.concurrency)
        self._least_s = min(active.healthy.interval, active.unhealthy.interval)
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Probe until cancelled."""
        async with asyncio.TaskGroup() as probes:
            while True:
                for target in self._due(await self._targets()):
                    target.standing.checking = True
                    probes.create_task(self._check(target))
                await asyncio.sleep(self._until_next(await self._targets()))
