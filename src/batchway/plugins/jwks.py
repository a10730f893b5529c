"""Sets of keys that are fetched from elsewhere, kept, and fetched again now and then."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

import msgspec
import structlog

from batchway.errors import BatchwayError
from batchway.plugins.base import Gateway
from batchway.plugins.jwt_keys import Key, fitting, from_set

log = structlog.get_logger(__name__)

FRESH_S = 300.0
"""How long a set is taken as it is."""
UNKNOWN_S = 30.0
"""How long after a fetch a token with an unknown `kid` does not lead to another."""
RETRY_S = 5.0
"""How long after a failure nothing is fetched."""
MAX_SETS = 256
"""Sets of one gateway; the one that was not used for longest makes room."""

Fetch = Callable[[str], Awaitable[bytes]]
Clock = Callable[[], float]


class RemoteKeys:
    """The set of keys at one URI."""

    def __init__(self, uri: str, fetch: Fetch, clock: Clock = time.monotonic) -> None:
        """`clock` tells seconds."""
        self.uri = uri
        self._fetch = fetch
        self._clock = clock
        self._keys: tuple[Key, ...] = ()
        self._fetched: float | None = None
        self._failed: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, kid: str | None) -> list[Key]:
        """The keys that a token of that algorithm and `kid` may be signed with.

        Keys that are older than FRESH_S are given all the same, while others are being fetched. Only
        who asks for a key that is not there waits, and only if it is time to look again.
        """
        found = fitting(self._keys, algorithm, kid)
        if found and self._is_due(FRESH_S):
            self._refresh()
        elif not found and self._is_due(UNKNOWN_S):
            # Shielded: a request that is given up must not take the fetch of the others with it.
            await asyncio.shield(self._refresh())
            found = fitting(self._keys, algorithm, kid)
        return found

    async def find_newer(self, algorithm: str, kid: str | None) -> list[Key]:
        """As `find`, for who has tried the keys that there were, in vain; none if nothing has been fetched.

        Keys need not have names, and a name may come to stand for another key.
        """
        if not self._is_due(UNKNOWN_S):
            return []
        await asyncio.shield(self._refresh())
        return fitting(self._keys, algorithm, kid)

    def _is_due(self, age_s: float) -> bool:
        """Whether a set of that age is fetched again, or is being fetched already."""
        now = self._clock()
        if self._task is not None:
            return True
        if self._failed is not None and now - self._failed < RETRY_S:
            return False
        return self._fetched is None or now - self._fetched >= age_s

    def _refresh(self) -> "asyncio.Task[None]":
        """The fetch that is under way, or a new one."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._fetch_now())
        return self._task

    async def _fetch_now(self) -> None:
        """Never raises but when it is cancelled: the keys that are there stay."""
        try:
            self._keys = from_set(msgspec.json.decode(await self._fetch(self.uri)))
            self._fetched = self._clock()
        except (BatchwayError, ValueError, RecursionError) as error:
            self._failed = self._clock()
            where = self.uri.partition("?")[0]  # what comes behind may be a secret
            log.warning("keys not fetched", uri=where, reason=str(error), kept=len(self._keys))
        finally:
            self._task = None


_sets: WeakKeyDictionary[Gateway, OrderedDict[str, RemoteKeys]] = WeakKeyDictionary()


def remote_keys(gateway: Gateway, uri: str) -> RemoteKeys:
    """The set at that URI, one for all who name it."""
    known = _sets.setdefault(gateway, OrderedDict())
    found = known.get(uri)
    if found is None:
        found = known[uri] = RemoteKeys(uri, gateway.fetch)
        if len(known) > MAX_SETS:
            known.popitem(last=False)
    known.move_to_end(uri)
    return found
