"""Active health checks: one probe, and the task that sends them when they are due."""

import asyncio
import random
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence

from batchway.errors import UpstreamRefused
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
                # With one node there is nothing to choose: it is asked whether it is up or not.
                targets = await self._targets()
                checked = targets if len(targets) > 1 else ()
                now = self._loop.time()
                for target in checked:
                    if self._is_due(target, now):
                        target.standing.checking = True
                        # Not at the end of the probe itself: one that is cancelled at once never begins.
                        probes.create_task(self._check(target)).add_done_callback(target.standing.checked)
                await asyncio.sleep(self._until_next(checked, now))

    def _is_due(self, target: Target, now: float) -> bool:
        standing, interval = target.standing, self._interval(target)
        if standing.due is None or standing.due > now + interval * (1 + _JITTER):
            # New, or the interval was longer once: anywhere within one, so not all at once.
            standing.due = now + interval * random.random()  # noqa: S311 - no secret
        return standing.due <= now and not standing.checking

    def _until_next(self, targets: Sequence[Target], now: float) -> float:
        """Seconds; never more than an interval, since a probe that runs now may be due again then."""
        waiting = (target.standing for target in targets if not target.standing.checking)
        earliest = min((standing.due for standing in waiting if standing.due is not None), default=_NEVER)
        return min(max(earliest - now, 0.0), self._least_s)

    def _interval(self, target: Target) -> float:
        active = self._active
        return active.healthy.interval if target.standing.up else active.unhealthy.interval

    async def _check(self, target: Target) -> None:
        async with self._slots:
            began = self._loop.time()
            await self._probe(target)
        varied = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        target.standing.due = began + self._interval(target) * varied

    async def _probe(self, target: Target) -> None:
        health, rules = self._health, self._rules
        try:
            async with asyncio.timeout(self._active.timeout):
                status = await self._ask(target)
        except TimeoutError:
            health.failed(target, "timeout_failure", rules)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, UpstreamRefused):
            # ValueError: see Pool; UpstreamRefused: a host that TLS cannot ask for
            health.failed(target, "tcp_failure", rules)
        else:
            if status is None:
                health.succeeded(target, rules)
            else:
                health.answered(target, status, rules)

    async def _ask(self, target: Target) -> int | None:
        """The status that the node answers with, 0 if it is no HTTP; None if it was not to be asked."""
        active, node = self._active, target.node
        tls: ssl.SSLContext | None = None
        name: str | None = None
        if active.type == "https":
            verify = active.https_verify_certificate
            tls = self._reach.context(verify=verify)
            name = active.host or self._reach.server_name(node, verify=verify)
        reader, writer = await asyncio.open_connection(
            target.ip,
            active.port or node.port,
            limit=_MAX_LINE_BYTES,
            ssl=tls,
            server_hostname=name,
        )
        try:
            if active.type == "tcp":
                return None
            writer.write(self._request(target))
            line = await reader.readuntil(b"\n")
        finally:
            writer.transport.abort()
        found = _STATUS.match(line)
        return int(found[1]) if found else 0

    def _request(self, target: Target) -> bytes:
        active, node = self._active, target.node
        port, default_port = active.port or node.port, 443 if active.type == "https" else 80
        host = active.host or self._reach.written_host or host_of(node, port, default_port)
        lines = [f"GET {active.http_path} HTTP/1.1", *active.req_headers]
        names = {line.partition(":")[0].strip().lower() for line in active.req_headers}
        lines += [f"{name}: {value}" for name, value in self._defaults(host) if name.lower() not in names]
        return "\r\n".join([*lines, "", ""]).encode()

    def _defaults(self, host: str) -> list[tuple[str, str]]:
        return [("Host", host), ("User-Agent", "batchway-healthcheck"), ("Connection", "close")]
