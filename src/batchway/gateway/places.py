"""Where a router keeps routes: behind a host, behind a path, behind the parameters of a path.

Everything here is changed in place, entry by entry, and what has become empty is dropped.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec import Struct

from batchway.gateway.tree import PrefixTree

M = TypeVar("M")
V = TypeVar("V")

LITERAL, PARAMETER, TAIL, REST = range(4)
"""Kinds of a path's segments, in the order in which they are tried: `a`, `:name`, `a*`, `*name`."""


class Pattern(Struct, frozen=True):
    """A route's `uri`, taken apart."""

    prefix: str
    """The text before the first parameter or star; all of it if there is neither."""
    has_star: bool
    """Whether it stands for any rest."""
    rest: tuple[str, ...] | None
    """The segments from the first parameter on; None if there is none. The star's text is cut off."""
    names: tuple[str, ...]
    """What the values are called, in the order in which they stand; `""` for one without a name."""
    rank: tuple[int, ...]
    """Of two patterns with one prefix, what tells which of them says more."""

    @property
    def is_exact(self) -> bool:
        """Whether it stands for one path alone."""
        return self.rest is None and not self.has_star

    @classmethod
    def of(cls, uri: str, *, parameters: bool) -> "Pattern":
        """Without `parameters` a `:name` is text as any other, as it is in APISIX."""
        literal, star, name = uri.partition("*")
        names = (name,) if star else ()
        start = literal.find("/:") + 1 if parameters else 0
        if not start:
            return cls(literal, bool(star), None, names, (REST,) if star else ())
        segments = tuple(literal[start:].split("/"))
        kinds = [PARAMETER if segment.startswith(":") else LITERAL for segment in segments]
        if star:
            kinds[-1] = TAIL if segments[-1] else REST
        named = [segment[1:] for segment, kind in zip(segments, kinds, strict=True) if kind == PARAMETER]
        return cls(literal[:start], bool(star), segments, (*named, *names), tuple(kinds))


class Entry(Struct, Generic[M], frozen=True, eq=False):
    """One of a route's paths."""

    key: tuple[Any, ...]
    """By what the entries that match are sorted; no two are equal."""
    route: M
    pattern: Pattern


Matched = tuple[Entry[M], tuple[str, ...]]
"""An entry that matches a path, and the values of its parameters there."""

_key = attrgetter("key")


class Hosts(Generic[V]):
    """What is kept for a host, for the hosts that a wildcard stands for, and for every host."""

    def __init__(self, make: Callable[[], V]) -> None:
        self._make = make
        self._any = make()
        self._exact: dict[str, V] = {}
        self._wildcards: PrefixTree[V] = PrefixTree()

    def __bool__(self) -> bool:
        return bool(self._any or self._exact or self._wildcards)

    def at(self, host: str) -> V:
        """What is kept for `host`, in lower case; `""` stands for every host."""
        if not host:
            return self._any
        if not host.startswith("*"):
            value = self._exact.get(host)
            if value is None:
                value = self._exact[host] = self._make()
            return value
        suffix = host[:0:-1]  # without the star, read from its end
        value = self._wildcards.get(suffix)
        if value is None:
            value = self._make()
            self._wildcards.set(suffix, value)
        return value

    def prune(self, host: str) -> None:
        """Forget `host` if nothing is left there."""
        if not host or self.at(host):
            return
        if host.startswith("*"):
            self._wildcards.remove(host[:0:-1])
        else:
            del self._exact[host]

    def matching(self, host: str) -> Iterator[V]:
        """What is kept for it: exactly, by wildcards from the longest on, for every host."""
        exact = self._exact.get(host)
        if exact is not None:
            yield exact
        if self._wildcards:
            yield from self._wildcards.prefixes(host[::-1])
        yield self._any


class Bucket(Generic[M]):
    """Entries that one path leads to, in their order; those of some hosts apart from the others."""

    __slots__ = ("_any", "_hosts")

    def __init__(self) -> None:
        self._any: list[Entry[M]] = []
        self._hosts: Hosts[list[Entry[M]]] | None = None  # most buckets have none

    def __bool__(self) -> bool:
        return bool(self._any) or self._hosts is not None

    def add(self, entry: Entry[M], hosts: tuple[str, ...]) -> None:
        """Keep `entry` for these hosts; for every host if there are none."""
        for host in hosts:
            if self._hosts is None:
                self._hosts = Hosts(list)
            insort(self._hosts.at(host), entry, key=_key)
        if not hosts:
            insort(self._any, entry, key=_key)

    def remove(self, entry: Entry[M], hosts: tuple[str, ...]) -> None:
        """Forget `entry`, which is there for these hosts."""
        if self._hosts is None or not hosts:
            _take(self._any, entry)
            return
        for host in hosts:
            _take(self._hosts.at(host), entry)
            self._hosts.prune(host)
        if not self._hosts:
            self._hosts = None

    def select(self, host: str) -> Iterable[Entry[M]]:
        """The entries for `host`, in their order; one may come twice."""
        if self._hosts is None:
            return self._any
        lists = [self._any, *self._hosts.matching(host)]
        return merge(*filter(None, lists), key=_key)


def _take(entries: list[Entry[M]], entry: Entry[M]) -> None:
    del entries[bisect_left(entries, entry.key, key=_key)]


class _Step(Generic[M]):
    """Where one segment of a path with parameters leads."""

    __slots__ = ("ends", "literals", "parameter", "rests")

    def __init__(self) -> None:
        self.literals: dict[str, _Step[M]] = {}
        self.parameter: _Step[M] | None = None
        self.ends: Bucket[M] = Bucket()
        self.rests: PrefixTree[Bucket[M]] = PrefixTree()
        """What a star ends, by the text before it in its segment."""

    def __bool__(self) -> bool:
        return bool(self.literals or self.parameter is not None or self.ends or self.rests)

    def next(self, segment: str) -> "_Step[M]":
        """The step that a pattern's segment leads to."""
        if not segment.startswith(":"):
            return self.literals.setdefault(segment, _Step())
        if self.parameter is None:
            self.parameter = _Step()
        return self.parameter

    def prune(self, segment: str) -> None:
        """Forget the step that `segment` leads to if nothing is left there."""
        if self.next(segment):
            return
        if segment.startswith(":"):
            self.parameter = None
        else:
            del self.literals[segment]


class Templates(Generic[M]):
    """Entries of paths with parameters that begin with the same text."""

    def __init__(self) -> None:
        self._root: _Step[M] = _Step()

    def __bool__(self) -> bool:
        return bool(self._root)

    def add(self, entry: Entry[M], hosts: tuple[str, ...]) -> None:
        """Keep `entry` for these hosts."""
        steps = self._steps(entry.pattern)
        _bucket_of(steps[-1], entry.pattern).add(entry, hosts)

    def remove(self, entry: Entry[M], hosts: tuple[str, ...]) -> None:
        """Forget `entry`, which is there for these hosts."""
        pattern = entry.pattern
        steps = self._steps(pattern)
        bucket = _bucket_of(steps[-1], pattern)
        bucket.remove(entry, hosts)
        if pattern.has_star and not bucket:
            steps[-1].rests.remove(_last(pattern))
        for step, segment in zip(steps[-2::-1], _walked(pattern)[::-1], strict=True):
            step.prune(segment)

    def _steps(self, pattern: Pattern) -> list[_Step[M]]:
        steps = [self._root]
        for segment in _walked(pattern):
            steps.append(steps[-1].next(segment))
        return steps

    def matching(self, path: str, start: int, host: str) -> list[Matched[M]]:
        """The entries that match `path` from `start` on, with the values of their parameters.

        In no order. Every step is taken at most once, so it ends soon, whatever the path is.
        """
        found: list[Matched[M]] = []
        todo: list[tuple[_Step[M], int, tuple[str, ...]]] = [(self._root, start, ())]
        while todo:
            step, at, values = todo.pop()
            if step.rests:
                for bucket in step.rests.prefixes(path, at):
                    for entry in bucket.select(host):
                        rest = path[at + len(_last(entry.pattern)) :]
                        found.append((entry, (*values, rest)))
            end = path.find("/", at)
            segment = path[at:] if end < 0 else path[at:end]
            literal = step.literals.get(segment)
            parameter = step.parameter if segment else None
            for child, known in ((literal, values), (parameter, (*values, segment))):
                if child is None:
                    continue
                if end < 0:
                    found += [(entry, known) for entry in child.ends.select(host)]
                else:
                    todo.append((child, end + 1, known))
        return found


def _walked(pattern: Pattern) -> tuple[str, ...]:
    """The segments before the one that a star ends."""
    rest = pattern.rest or ()
    return rest[:-1] if pattern.has_star else rest


def _last(pattern: Pattern) -> str:
    return (pattern.rest or ("",))[-1]


def _bucket_of(step: _Step[M], pattern: Pattern) -> Bucket[M]:
    if not pattern.has_star:
        return step.ends
    bucket = step.rests.get(_last(pattern))
    if bucket is None:
        bucket = Bucket()
        step.rests.set(_last(pattern), bucket)
    return bucket


class _Behind(Generic[M]):
    """What the text before a star or a parameter leads to."""

    __slots__ = ("_length", "stars", "templates")

    def __init__(self, prefix: str) -> None:
        self._length = len(prefix)
        self.stars: Bucket[M] = Bucket()
        self.templates: Templates[M] | None = None  # most have none

    def __bool__(self) -> bool:
        return bool(self.stars or self.templates)

    def place(self, pattern: Pattern) -> "Bucket[M] | Templates[M]":
        """Where an entry of that pattern is kept."""
        if pattern.rest is None:
            return self.stars
        if self.templates is None:
            self.templates = Templates()
        return self.templates

    def matching(self, path: str, host: str) -> Iterable[Matched[M]]:
        """The entries for a path that begins with this prefix, in their order."""
        rest = (path[self._length :],)
        stars = [(entry, rest) for entry in self.stars.select(host)]
        if not self.templates:
            return stars
        return sorted(
            [*stars, *self.templates.matching(path, self._length, host)], key=lambda one: one[0].key
        )


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
