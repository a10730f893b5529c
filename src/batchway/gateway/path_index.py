"""Entries by their paths: exact ones, and what stands behind the text before a star or a parameter."""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from batchway.gateway.places import Bucket, Entry, Matched, Pattern
from batchway.gateway.templates import Templates
from batchway.gateway.tree import PrefixTree

M = TypeVar("M")


class _Behind(Generic[M]):
    """What the text before a star or a parameter leads to."""

    __slots__ = ("_length", "spread", "stars", "templates")

    def __init__(self, prefix: str) -> None:
        self._length = len(prefix)
        self.stars: Bucket[M] = Bucket()
        # Most have none of these.
        self.templates: Templates[M] | None = None
        self.spread: Bucket[M] | None = None

    def __bool__(self) -> bool:
        return bool(self.stars or self.templates or self.spread)

    def place(self, pattern: Pattern) -> "Bucket[M] | Templates[M]":
        """Where an entry of that pattern is kept."""
        if pattern.pieces is not None:
            if self.spread is None:
                self.spread = Bucket()
            return self.spread
        if pattern.rest is None:
            return self.stars
        if self.templates is None:
            self.templates = Templates()
        return self.templates

    def matching(self, path: str, host: str) -> Iterable[Matched[M]]:
        """The entries for a path that begins with this prefix, in their order."""
        rest = path[self._length :]
        found: list[Matched[M]] = [(entry, (rest,)) for entry in self.stars.select(host)]
        if not self.templates and not self.spread:
            return found
        if self.templates:
            found += self.templates.matching(path, self._length, host)
        for entry in self.spread.select(host) if self.spread else ():
            values = entry.pattern.spread(rest)
            if values is not None:
                found.append((entry, values))
        return sorted(found, key=lambda one: one[0].key)


class Paths(Generic[M]):
    """Entries by their paths."""

    def __init__(self) -> None:
        self._exact: dict[str, Bucket[M]] = {}
        self._prefixes: PrefixTree[_Behind[M]] = PrefixTree()

    def __bool__(self) -> bool:
        return bool(self._exact or self._prefixes)

    def add(self, entry: Entry[M], hosts: tuple[str, ...] = ()) -> None:
        """Keep `entry` for these hosts."""
        self._place(entry.pattern).add(entry, hosts)

    def remove(self, entry: Entry[M], hosts: tuple[str, ...] = ()) -> None:
        """Forget `entry`, which is there for these hosts."""
        pattern = entry.pattern
        self._place(pattern).remove(entry, hosts)
        if pattern.is_exact:
            if not self._exact[pattern.prefix]:
                del self._exact[pattern.prefix]
        elif not self._behind(pattern.prefix):
            self._prefixes.remove(pattern.prefix)

    def _place(self, pattern: Pattern) -> Bucket[M] | Templates[M]:
        if pattern.is_exact:
            return self._exact.setdefault(pattern.prefix, Bucket())
        return self._behind(pattern.prefix).place(pattern)

    def _behind(self, prefix: str) -> _Behind[M]:
        behind = self._prefixes.get(prefix)
        if behind is None:
            behind = _Behind(prefix)
            self._prefixes.set(prefix, behind)
        return behind

    def matching(self, path: str, host: str) -> Iterator[Matched[M]]:
        """The entries for `path`, in the order to try them, with the values of their parameters."""
        exact = self._exact.get(path)
        if exact is not None:
            for entry in exact.select(host):
                yield entry, ()
        for behind in self._prefixes.prefixes(path):
            yield from behind.matching(path, host)
