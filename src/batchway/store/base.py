"""What a store is: keys, bytes, and a revision that every write raises by one.

The words and guarantees are etcd's, so that etcd can be one.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from batchway.errors import StoreError


class Entry(Struct, frozen=True):
    """A key with its value."""

    key: str
    value: bytes
    create_revision: int
    """Revision of the write that made the key."""
    mod_revision: int
    """Revision of the write that made this value."""


class Listing(Struct, frozen=True):
    """What a prefix held at one revision. A watch from there misses nothing."""

    entries: tuple[Entry, ...]
    """In the order of their keys."""
    revision: int
    at_once: bool = False
    """What has changed since an earlier one belongs together: nobody should see half of it."""


class Event(Struct, frozen=True):
    """One write."""

    kind: Literal["put", "delete"]
    key: str
    revision: int
    entry: Entry | None
    """What was put; None for a delete."""
    more: bool = False
    """Others of the same revision follow, which belong together with this one."""


class Unchanged(Struct, frozen=True):
    """Nothing was put at a key that begins with `prefix` after the revision `since`."""

    prefix: str
    since: int


class Conflict(StoreError):
    """The key is not, or no longer, what the write expected. Nothing was written."""

    status = 409
    code = "store_conflict"


class Compacted(StoreError):
    """The revision to watch from is no longer known: list again and watch from there."""

    code = "store_compacted"


class ReadOnly(StoreError):
    """What this store holds is changed elsewhere: the message says where. Nothing was written."""

    status = 405
    code = "store_read_only"
    allowed = ("GET", "HEAD")


class Store(Protocol):
    """Where resources live. Every method raises StoreError when the store does not answer."""

    def check_writable(self) -> None:
        """Raises ReadOnly if nothing can be written here, whatever it is."""

    async def get(self, key: str) -> Entry | None:
        """What stands at `key`."""

    async def list(self, prefix: str) -> Listing:
        """What stands at the keys that begin with `prefix`; `""` for all."""

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        expected_revision: int | None = None,
        create_only: bool = False,
        requires: Sequence[str] = (),
        unchanged: Unchanged | None = None,
        ttl_s: float | None = None,
    ) -> Entry:
        """Write `value`; it outlives this process once this returns.

        With `expected_revision`, only if the key's `mod_revision` is this one; with `create_only`,
        only if there is no such key; with `requires`, only if all those keys are there; with
        `unchanged`, only if that holds. Raises Conflict otherwise. Cancelled, it may have happened.
        After `ttl_s` seconds, restarts or not, the key is gone as if it had been deleted, with what
        stands below it: a watch has those deletes. Without `ttl_s` the key stays, whatever was said of
        it before.
        """

    async def delete(
        self,
        key: str,
        *,
        expected_revision: int | None = None,
        unchanged_since: int | None = None,
        with_below: bool = False,
    ) -> int | None:
        """Delete `key`: the revision that did, or None if there was none. Raises like `put`.

        With `unchanged_since`, only if nothing at all was written after that revision; `with_below`,
        what stands at keys that begin with `key` and a slash goes with it, or none of it does.
        """

    def watch(self, from_revision: int) -> AsyncGenerator[Event, None]:
        """Every write after `from_revision`, in order, and then those to come.

        Ends when the store is closed. Raises Compacted if some of these are no longer known.
        """

    async def close(self) -> None:
        """End all watches and free the store."""
