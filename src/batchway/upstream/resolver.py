"""Names to addresses, without blocking the event loop, remembered for as long as DNS says.

c-ares (through aiodns) reads /etc/hosts and resolv.conf as the C library does, and tells each answer's
TTL, which `getaddrinfo` does not.
"""

import asyncio
import ipaddress
import random
import socket
from collections.abc import Sequence

import aiodns
import structlog
from msgspec import Struct

from batchway.errors import UpstreamRefused

log = structlog.get_logger(__name__)

MIN_TTL_S = 1.0
"""An answer is used for at least this long: names from /etc/hosts come with a TTL of 0."""
MAX_NAMES = 10_000


class _Answer(Struct):
    addresses: tuple[str, ...]
    until: float
    turn: int = 0


class Resolver:
    """Addresses of hosts, in turns. One look-up at a time for a name, however many wait for it."""

    def __init__(
        self,
        *,
        nameservers: Sequence[str] | None = None,
        valid_s: float | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        """`nameservers` default to those of resolv.conf; `valid_s` overrides every TTL."""
        self._nameservers = list(nameservers or ()) or None
        self._valid_s = valid_s
        self._timeout_s = timeout_s
        self._answers: dict[str, _Answer] = {}
        self._pending: dict[str, asyncio.Task[_Answer]] = {}
        self._loop = asyncio.get_running_loop()

    def known(self, host: str) -> str | None:
        """An address of `host` that is fresh, or None: then `resolve` has to ask."""
        answer = self._answers.get(host)
        if answer is None or answer.until <= self._loop.time():
            return None
        return self._pick(answer)

    async def resolve(self, host: str) -> str:
        """An address of `host`. Raises UpstreamRefused if it has none."""
        if is_address(host):
            self._remember(host, _Answer((host,), float("inf")))
            return host
        lookup = self._pending.get(host)
        if lookup is None:
            lookup = self._pending[host] = self._loop.create_task(self._look_up(host))
            lookup.add_done_callback(lambda _: self._pending.pop(host, None))
        return self._pick(await asyncio.shield(lookup))

    def _pick(self, answer: _Answer) -> str:
        if not answer.addresses:
            message = "the name of the upstream node cannot be resolved"
            raise UpstreamRefused(message)
        if len(answer.addresses) == 1:
            return answer.addresses[0]
        answer.turn = (answer.turn + 1) % len(answer.addresses)
        return answer.addresses[answer.turn]

    async def _look_up(self, host: str) -> _Answer:
        before = self._answers.get(host)
        try:
            addresses, ttl_s = await self._ask(host)
        except (aiodns.error.DNSError, TimeoutError) as error:
            log.warning("name not resolved", host=host, error=str(error))
            addresses, ttl_s = (before.addresses if before else ()), MIN_TTL_S
        else:
            ttl_s = self._valid_s or max(ttl_s, MIN_TTL_S)
        # Several gateways that start together shall not all ask the same node first.
        turn = random.randrange(len(addresses)) if addresses else 0  # noqa: S311 - no secret
        answer = _Answer(addresses, self._loop.time() + ttl_s, turn)
        self._remember(host, answer)
        return answer

    async def _ask(self, host: str) -> tuple[tuple[str, ...], float]:
        """The addresses, IPv4 if there are any, as APISIX prefers them; and their TTL in seconds."""
        # One channel a look-up: c-ares keeps answers for itself, and reads resolv.conf only once.
        dns = aiodns.DNSResolver(self._nameservers, timeout=self._timeout_s / 2, tries=2)
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await dns.getaddrinfo(host, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM)
        finally:
            await dns.close()
        nodes = [node for node in result.nodes if node.family == socket.AF_INET] or result.nodes
        addresses = tuple(dict.fromkeys(_text(node.addr[0]) for node in nodes))
        return addresses, float(min((node.ttl for node in nodes), default=0))

    def _remember(self, host: str, answer: _Answer) -> None:
        if len(self._answers) >= MAX_NAMES:
            self._answers.clear()
        self._answers[host] = answer

    async def close(self) -> None:
        """Stop what is being looked up."""
        for lookup in list(self._pending.values()):
            lookup.cancel()


def is_address(host: str) -> bool:
    """Whether `host` is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _text(address: bytes | str) -> str:
    return address.decode("ascii") if isinstance(address, bytes) else address
