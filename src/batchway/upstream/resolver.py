"""Names to addresses, without blocking the event loop, remembered for as long as DNS says.

c-ares (through aiodns) reads /etc/hosts and resolv.conf as the C library does, and tells each answer's
TTL, which `getaddrinfo` does not.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import aiodns
import structlog
from msgspec import Struct

log = structlog.get_logger(__name__)

MIN_TTL_S = 1.0
"""An answer is used for at least this long: names from /etc/hosts come with a TTL of 0."""
MAX_NAMES = 10_000


class Answer(Struct, frozen=True):
    """The addresses of a name, and until when (loop time) they are to be used."""

    addresses: tuple[str, ...]
    until: float
    failed: bool = False
    """There was no answer: the addresses are those of the one before."""


class Resolver:
    """Addresses of hosts. One look-up at a time for a name, however many wait for it."""

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
        self._answers: dict[str, Answer] = {}
        self._pending: dict[str, asyncio.Task[Answer]] = {}
        self._loop = asyncio.get_running_loop()

    def last(self, name: str) -> Answer | None:
        """What was answered last, be it out of date."""
        return self._answers.get(name)

    def look_up(self, name: str) -> "asyncio.Task[Answer]":
        """The look-up of `name` that is under way, or a new one. It does not fail; do not cancel it."""
        lookup = self._pending.get(name)
        if lookup is None:
            lookup = self._pending[name] = self._loop.create_task(self._look_up(name))
            lookup.add_done_callback(lambda _: self._pending.pop(name, None))
        return lookup

    async def _look_up(self, name: str) -> Answer:
        try:
            addresses, ttl_s = await self._ask(name)
        except (aiodns.error.DNSError, TimeoutError) as error:
            log.warning("name not resolved", host=name, error=str(error))
            before = self._answers.get(name)
            answer = Answer(before.addresses if before else (), self._loop.time() + MIN_TTL_S, failed=True)
        else:
            ttl_s = self._valid_s or max(ttl_s, MIN_TTL_S)
            answer = Answer(addresses, self._loop.time() + ttl_s)
        if len(self._answers) >= MAX_NAMES:
            self._answers.clear()
        self._answers[name] = answer
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
