"""Which node of an upstream is asked: its targets, what is known of them, and a way of choosing."""

import asyncio
from collections.abc import Callable

import structlog

from batchway.errors import BatchwayError, NoHealthyNode, ReplyTooLarge, UpstreamRefused, UpstreamTimeout
from batchway.model import Response
from batchway.upstream.balance import Balancer, balancer, unit
from batchway.upstream.balance.ewma import FAILURE_S, observe, observe_silence
from batchway.upstream.health import Health, Rules, UpstreamHealth, snapshot
from batchway.upstream.pool import NoTurn
from batchway.upstream.pools import Pools
from batchway.upstream.probe import Prober
from batchway.upstream.reach import Reach
from batchway.upstream.spec import Checks, Upstream
from batchway.upstream.stream import ResponseStream
from batchway.upstream.target import Key, Standing, Target
from batchway.upstream.targets import Targets

log = structlog.get_logger(__name__)


class Choice:
    """Chooses among the nodes of one upstream resource; with checks, it probes them meanwhile."""

    def __init__(
        self, upstream: Upstream, pools: Pools, reach: Reach, previous: "Choice | None" = None
    ) -> None:
        """`previous`: that of the resource before it changed. What it knows is known here, too."""
        nodes = upstream.node_list()
        checks = upstream.checks
        self._upstream = upstream
        self._clock: Callable[[], float] = asyncio.get_running_loop().time
        self._unit = unit(node.weight for node in nodes)
        self._passive = None if checks is None or checks.passive is None else Rules.of(checks.passive)
        self.watches = self._passive is not None or upstream.type in ("least_conn", "ewma")
        """Whether it wants to hear of each request: of `begin`, then of `answered` or `failed`."""
        self._standings: dict[Key, Standing] = {} if previous is None else dict(previous._standings)
        # The same one: what is still on its way through the previous client tells us, too.
        self._health: Health = Health() if previous is None else previous._health
        self._health.on_change = self._choose_anew
        self._targets = Targets(nodes, pools.resolver, self._standings, self._choose_anew)
        self._choose_anew()
        self._probing = None if checks is None else pools.spawn(self._prober(checks, reach).run())

    def _prober(self, checks: Checks, reach: Reach) -> Prober:
        async def targets() -> tuple[Target, ...]:
            if self._targets.until <= self._clock():
                await self._targets.refresh()
            return self._targets.current

        return Prober(checks.active, reach, self._health, targets)

    def close(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()

    def _choose_anew(self) -> None:
        """Choose from now on among the targets that are up; among all of them if none is."""
        upstream = self._upstream
        usable = [target for target in self._targets.current if target.weight > 0]
        up = usable if upstream.checks is None else [target for target in usable if target.standing.up]
        if usable and not up:
            log.warning("no node of an upstream is up: all are asked", nodes=[one.name for one in usable])
        self._balancer: Balancer[Target] = balancer(
            upstream.type, up or usable, unit=self._unit, clock=self._clock
        )
        retries = upstream.retries
        self.tries = 1 + (max(0, len(usable) - 1) if retries is None else retries)
        """How often a request may be sent."""

    # --- for a request

    @property
    def is_fresh(self) -> bool:
        """Whether `pick` can be called without `refresh`."""
        targets = self._targets
        return not targets.is_named or (bool(targets.current) and targets.until > self._clock())

    async def refresh(self) -> None:
        """Look up names again whose addresses are out of date."""
        await self._targets.refresh()

    def pick(self, tried: list[Target], key: str) -> Target:
        """The target to ask next, which is noted in `tried`. When all were tried, it begins again.

        Raises NoHealthyNode or UpstreamRefused if there is none.
        """
        target = self._balancer.pick(tried, key)
        if target is None and tried:
            tried.clear()
            target = self._balancer.pick(tried, key)
        if target is not None:
            tried.append(target)
            return target
        if self._targets.is_unresolved:
            message = "the name of the upstream node cannot be resolved"
            raise UpstreamRefused(message)
        message = "the upstream has no healthy node"
        raise NoHealthyNode(message)

    # --- what comes of it

    def begin(self, target: Target) -> float:
        """A request goes to `target`; loop time."""
        target.standing.busy += 1
        return self._clock()

    def answered(self, target: Target, response: Response, began: float) -> None:
        """It has answered; of a body that is streamed, the end is still to come."""
        now = self._clock()
        observe(target.standing, now - began, now)
        if isinstance(response.body, ResponseStream):
            response.body.when_over(target.standing.release)
        else:
            target.standing.release()
        if self._passive is not None:
            self._health.answered(target, response.status, self._passive)

    def failed(self, target: Target, error: BaseException, began: float) -> None:
        """It has not answered, or nobody waits for it any more."""
        target.standing.release()
        now = self._clock()
        if isinstance(error, ReplyTooLarge | NoTurn) or not isinstance(error, BatchwayError):
            # A bound of ours, or cancelled: that is no fault of the node.
            observe_silence(target.standing, now - began, now)
            return
        observe(target.standing, max(now - began, FAILURE_S), now)
        if self._passive is None:
            return
        if isinstance(error, UpstreamTimeout):
            self._health.failed(target, "timeout_failure", self._passive)
        else:
            self._health.failed(target, "tcp_failure", self._passive)

    # --- for the control API

    def health(self, kind: str, id_: str) -> UpstreamHealth | None:
        """How the nodes are; None without checks. A single node is not checked."""
        checks = self._upstream.checks
        if checks is None:
            return None
        targets = self._targets.current
        return UpstreamHealth(kind, id_, checks.active.type, snapshot(targets if len(targets) > 1 else ()))
