"""The store that is a file which people write: whole, or not at all, and never by us.

How the file is read is said by whoever opens it: bytes in, JSON by key out.
"""

import asyncio
import hashlib
import os
import stat
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import structlog
from msgspec import Struct
from watchfiles import awatch

from batchway.errors import ConfigError, StoreError
from batchway.store.base import Compacted, Entry, Event, Listing, ReadOnly
from batchway.store.kept import Kept

log = structlog.get_logger(__name__)

Parse = Callable[[bytes], Mapping[str, bytes]]
"""The values by key that a file's content says. Raises FaultyFile."""

MAX_BYTES = 64 << 20
KEPT_CHANGES = 100
"""So many versions a watch may lag behind before it must list again."""
POLL_S = 1.0
"""How often the file is looked at where nothing tells of a change, as on a network's file system."""
SETTLE_S = 0.1
"""A file that has not changed for so long is written."""
_MAX_SETTLING = 50
_MAX_TOLD = 100
_ENDED = b"#END"

_Mark = tuple[int, ...]
"""What is another for another version of a file."""


class FaultyFile(ConfigError):
    """The file cannot be used. `faults` are lines that say why, each with its place."""

    def __init__(self, path: Path, faults: Sequence[str]) -> None:
        self.path = path
        self.faults = tuple(faults)
        super().__init__(faults[0] if len(faults) == 1 else f"{path}: {self.count}")

    @property
    def count(self) -> str:
        """How many there are, in words."""
        number = len(self.faults)
        return f"{number} fault{'s' * (number != 1)}"


class Changes(Struct, frozen=True):
    """What a new version of the file is, compared with the one before."""

    entries: dict[str, Entry]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Of all that is not as it was."""
        return (*self.added, *self.changed, *self.removed)


class YamlFileStore:
    """A Store that follows a file. Made by `open`. Its revisions count from when it was opened."""

    def __init__(self, path: Path, parse: Parse, kept: Kept | None) -> None:
        self._path = path
        self._parse = parse
        self._kept = kept
        self._entries: dict[str, Entry] = {}
        self._revision = 0
        self._history: deque[tuple[str, ...]] = deque(maxlen=KEPT_CHANGES)
        self._changed = asyncio.Event()
        self._closed = False
        self._reading = asyncio.Lock()
        self._mark: _Mark | None = None
        self._content = b""
        self._seen = b""
        self._following: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: Path, parse: Parse, kept: Kept | None = None) -> "YamlFileStore":
        """The store that the file at `path` is, and follow it from now on.

        If its content cannot be used, what is `kept` of an earlier one is; that is logged. Raises
        FaultyFile if nothing is.
        """
        store = cls(path, parse, kept)
        try:
            await store._begin()
        except FaultyFile as error:
            content = None if kept is None else kept.get()
            if content is None:
                raise
            store._tell(error)
            await store._take(content)
        store._following = asyncio.get_running_loop().create_task(store._follow_file())
        return store

    async def close(self) -> None:
        """End all watches and follow the file no longer. A second time does nothing."""
        if self._closed:
            return
        self._closed = True
        self._wake()
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])

    # --- what a Store does

    def check_writable(self) -> None:
        """Raises ReadOnly."""
        raise self._refusal()

    async def get(self, key: str) -> Entry | None:
        """What stands at `key`."""
        self._check_open()
        return self._entries.get(key)

    async def list(self, prefix: str) -> Listing:
        """What stands at the keys that begin with `prefix`, in the order of the keys."""
        self._check_open()
        keys = sorted(key for key in self._entries if key.startswith(prefix))
        return Listing(tuple(self._entries[key] for key in keys), self._revision, at_once=True)

    async def put(self, key: str, value: bytes, **_conditions: object) -> Entry:
        """Raises ReadOnly."""
        raise self._refusal()

    async def delete(self, key: str, **_conditions: object) -> int | None:
        """Raises ReadOnly."""
        raise self._refusal()

    async def watch(self, from_revision: int) -> AsyncGenerator[Event, None]:
        """Changes after `from_revision`, and then those to come.

        All that has changed since the last event is one revision, the newest, however many versions
        of the file it took.
        """
        seen = from_revision
        while not self._closed:
            changed = self._changed
            for event in self._events(seen):
                seen = event.revision
                yield event
            if seen == self._revision:
                await changed.wait()

    def wake(self) -> None:
        """Nothing: no other process writes here."""

    def _check_open(self) -> None:
        if self._closed:
            msg = "the store is closed"
            raise StoreError(msg)

    def _refusal(self) -> ReadOnly:
        return ReadOnly(f"resources are read from {self._path.name}: change that file instead")

    def _events(self, seen: int) -> Sequence[Event]:
        behind = self._revision - seen
        if not 0 <= behind <= len(self._history):
            msg = f"revision {seen} cannot be watched from"
            raise Compacted(msg)
        keys = dict.fromkeys(key for keys in list(self._history)[-behind:] for key in keys if behind)
        return [self._event(key, more=number < len(keys)) for number, key in enumerate(keys, 1)]

    def _event(self, key: str, *, more: bool) -> Event:
        entry = self._entries.get(key)
        return Event("delete" if entry is None else "put", key, self._revision, entry, more)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # --- the file

    async def reread(self, parse: Parse) -> None:
        """Read the file now, and from now on by `parse`. One that cannot be used is logged."""
        async with self._reading:
            self._parse = parse
            self._seen = b""
            await self._look(even_unchanged=True)

    async def _begin(self) -> None:
        self._mark = await self._settled()
        content = await asyncio.to_thread(read_once, self._path)
        self._seen = _digest(content)
        await self._take(content)

    async def _follow_file(self) -> None:
        async with aclosing(_news(self._path)) as news:
            async for _ in news:
                async with self._reading:
                    try:
                        await self._look()
                    except Exception:
                        log.exception("resources not taken", file=str(self._path))

    async def _look(self, *, even_unchanged: bool = False) -> None:
        """Take the file as it is now, if it has changed and can be used."""
        try:
            if await asyncio.to_thread(_mark, self._path) == self._mark and not even_unchanged:
                return
            self._mark = await self._settled()
            content = await asyncio.to_thread(read_once, self._path)
            if _digest(content) == self._seen:
                return
            self._seen = _digest(content)
            await asyncio.to_thread(self._check_end, content)
            await self._take(content)
        except FaultyFile as error:
            self._tell(error)

    async def _settled(self) -> _Mark | None:
        """The file's mark, once that does not change any more, or will not stop to."""
        mark = await asyncio.to_thread(_mark, self._path)
        for _ in range(_MAX_SETTLING):
            await asyncio.sleep(SETTLE_S)
            before, mark = mark, await asyncio.to_thread(_mark, self._path)
            if before == mark:
                break
        return mark

    def _check_end(self, content: bytes) -> None:
        """Who has once ended the file with #END always does: without it, it is not whole."""
        if _is_ended(self._content) and not _is_ended(content):
            text = f"{self._path}: no #END at its end, where the one before had it: is it whole?"
            raise FaultyFile(self._path, [text])

    async def _take(self, content: bytes) -> None:
        """Raises FaultyFile. Else nobody sees a part of the old with a part of the new."""
        changes = await asyncio.to_thread(self._compare, content)
        self._content, self._seen = content, _digest(content)
        if self._kept is not None:
            self._kept.put(content)
        if not self._revision or changes.keys:
            self._revision += 1
            self._entries = changes.entries
            self._history.append(changes.keys)
            self._wake()
        log.info(
            "resources taken",
            file=str(self._path),
            resources=len(self._entries),
            added=len(changes.added),
            changed=len(changes.changed),
            removed=len(changes.removed),
        )

    def _compare(self, content: bytes) -> Changes:
        old, revision = self._entries, self._revision + 1
        entries: dict[str, Entry] = {}
        added, changed = [], []
        for key, value in self._parse(content).items():
            before = old.get(key)
            if before is None:
                entries[key] = Entry(key, value, revision, revision)
                added.append(key)
            elif before.value == value:
                entries[key] = before
            else:
                entries[key] = Entry(key, value, before.create_revision, revision)
                changed.append(key)
        removed = tuple(key for key in old if key not in entries)
        return Changes(entries, tuple(added), tuple(changed), removed)

    def _tell(self, error: FaultyFile) -> None:
        """Once for all processes that have read the same."""
        if self._kept is not None and not self._kept.refuse(self._seen):
            return
        tell_faults(error)
        log.error("resources not taken: the ones before stay", file=str(self._path))


def read_once(path: Path) -> bytes:
    """The content of the file. Blocks. Raises FaultyFile."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for without end
            raise FaultyFile(path, [f"{path}: cannot be read: it is no regular file"])
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise FaultyFile(path, [f"{path}: cannot be read: {error.strerror}"]) from None
    if len(content) > MAX_BYTES:
        raise FaultyFile(path, [f"{path}: larger than {MAX_BYTES >> 20} MiB"])
    return content


def tell_faults(error: FaultyFile) -> None:
    """Log all that is wrong, a line each."""
    for fault in error.faults[:_MAX_TOLD]:
        log.error(fault)
    if len(error.faults) > _MAX_TOLD:
        log.error("and more", faults=len(error.faults) - _MAX_TOLD)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _is_ended(content: bytes) -> bool:
    return any(line.rstrip() == _ENDED for line in content.splitlines())


def _mark(path: Path) -> _Mark | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


# --- that something may have changed


async def _news(path: Path) -> AsyncGenerator[None, None]:
    """Something, now and then: at once when the file, or a link on the way to it, is changed."""
    while True:
        directories = await asyncio.to_thread(_directories, path)
        try:
            watching = awatch(
                *directories,
                watch_filter=None,
                debounce=400,
                rust_timeout=int(POLL_S * 1000),
                yield_on_timeout=True,
                recursive=False,
            )
            async with aclosing(watching):
                async for _ in watching:
                    yield
                    if await asyncio.to_thread(_directories, path) != directories:
                        break
        except OSError:  # no more files can be watched, or a directory has gone
            await asyncio.sleep(POLL_S)
            yield


def _directories(path: Path) -> list[Path]:
    """Those whose changes may make the file another one: that of each link on the way."""
    found = []
    for _ in range(40):  # as many links as Linux follows
        found.append(path.parent)
        try:
            path = path.parent / os.readlink(path)
        except OSError:
            break
    found.append(Path(os.path.realpath(path)).parent)
    return [one for one in dict.fromkeys(found) if one.is_dir()]
