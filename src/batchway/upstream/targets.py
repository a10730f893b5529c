"""The targets of an upstream: each address of each of its nodes.

APISIX takes one address of a name at a time; here each is chosen and checked by itself, and all of them
share the weight of the node that has the name.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial

from batchway.upstream.resolver import Answer, Resolver, is_address
from batchway.upstream.spec import Node
from batchway.upstream.target import Key, Standing, Target

_NEVER = float("inf")
_AT_ONCE = float("-inf")
PATIENCE_S = 0.25
"""How long a request waits for a name to be looked up when there is somewhere else to go."""


class Targets:
    """The targets as DNS has them. `on_change` is called whenever they become others."""

    def __init__(
        self,
        nodes: Sequence[Node],
        resolver: Resolver,
        standings: dict[Key, Standing],
        on_change: Callable[[], None],
    ) -> None:
        """`standings`: what is known of addresses; what is gone from DNS is taken out."""
        self.current: tuple[Target, ...] = ()
        self.until = _AT_ONCE
        """Loop time from which `refresh` has something to do."""
        self._nodes = nodes
        self._resolver = resolver
        self._standings = standings
        self._on_change: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()
        self._names = tuple(dict.fromkeys(node.host for node in nodes if not is_address(node.host)))
        self.is_named = bool(self._names)
        """Whether there are names to look up; without them, nothing ever changes."""
        self._pending: dict[str, asyncio.Task[Answer]] = {}
        self._known: dict[tuple[int, str], Target] = {}
        self._update()
        self._on_change = on_change

    @property
    def is_unresolved(self) -> bool:
        """Whether there is no target, though there would be if names could be looked up."""
        return self.is_named and not self.current

    async def refresh(self) -> None:
        """Look up the names whose answers are out of date.

        Waits as long as there is no target at all; else only for a moment, and not for a name that
        could not be looked up the last time.
        """
        awaited = {lookup for name in self._names if (lookup := self._lookup(name)) is not None}
        give_up = self._loop.time() + PATIENCE_S
        while awaited:
            left_s = max(0.0, give_up - self._loop.time()) if self.current else None
            done, awaited = await asyncio.wait(awaited, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            self._update()
        self._update()

    def _lookup(self, name: str) -> "asyncio.Task[Answer] | None":
        """The look-up of `name` if it needs one and is to be waited for."""
        answer = self._resolver.last(name)
        if name not in self._pending:
            if answer is not None and answer.until > self._loop.time():
                return None
            self._pending[name] = lookup = self._resolver.look_up(name)
            lookup.add_done_callback(partial(self._looked_up, name))
        is_hopeless = answer is not None and answer.failed
        return None if is_hopeless and self.current else self._pending[name]

    def _looked_up(self, name: str, _: "asyncio.Task[Answer]") -> None:
        self._pending.pop(name, None)
        self._update()

    def _update(self) -> None:
        """Make the targets what the last answers say."""
        known: dict[tuple[int, str], Target] = {}
        for index, node in enumerate(self._nodes):
            ips = self._addresses(index, node.host)
            weight = node.weight / len(ips) if len(ips) > 1 else node.weight
            known |= {(index, ip): self._target(index, node, ip, weight) for ip in ips}
        self.until = min(map(self._until, self._names), default=_NEVER)
        current = tuple(known.values())
        if current == self.current:
            return
        self.current, self._known = current, known
        for key in self._standings.keys() - {target.key for target in current}:
            del self._standings[key]
        self._on_change()

    def _until(self, name: str) -> float:
        if name in self._pending:  # the end of the look-up brings us here again
            return _NEVER
        answer = self._resolver.last(name)
        return _AT_ONCE if answer is None else answer.until

    def _addresses(self, index: int, host: str) -> list[str]:
        """Those that were there before in their order, then the new ones.

        In any order: gateways that start together shall not all ask the same one first.
        """
        if host not in self._names:
            return [host]
        before = [ip for number, ip in self._known if number == index]
        answer = self._resolver.last(host)
        if answer is None:  # forgotten
            return before
        fresh = [ip for ip in answer.addresses if ip not in before]
        random.shuffle(fresh)
        return [ip for ip in before if ip in answer.addresses] + fresh

    def _target(self, index: int, node: Node, ip: str, weight: float) -> Target:
        target = self._known.get((index, ip))
        if target is not None and target.weight == weight:
            return target
        standing = self._standings.setdefault((node.host, ip, node.port), Standing())
        return Target(node, ip, weight, standing)
