"""Where a router keeps routes: their paths taken apart, and lists of them behind a host or for all hosts.

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
    pieces: tuple[str, ...] | None = None
    """The text behind each star, where a star stands within the path; None if it does not."""

    @property
    def is_exact(self) -> bool:
        """Whether it stands for one path alone."""
        return self.rest is None and not self.has_star

    @classmethod
    def of(cls, uri: str, *, parameters: bool) -> "Pattern":
        """Without `parameters` a `:name` is text as any other, as it is in APISIX."""
        literal, star, name = uri.partition("*")
        if "/" in name:
            texts = [text.partition("/") for text in uri.split("*")[1:]]
            pieces = tuple(slash + behind for _, slash, behind in texts)
            return cls(literal, True, None, tuple(text[0] for text in texts), (TAIL,), pieces)
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

    def spread(self, rest: str) -> tuple[str, ...] | None:
        """What the stars stand for in `rest`, the first for as much as it can; None if it fits not."""
        last, *others = reversed(self.pieces or ("",))
        if not rest.endswith(last):
            return None
        end = len(rest) - len(last)
        values: list[str] = []
        for piece in others:
            at = rest.rfind(piece, 0, end)
            if at < 0:
                return None
            values.append(rest[at + len(piece) : end])
            end = at
        return (rest[:end], *reversed(values))


class Entry(Struct, Generic[M], frozen=True, eq=False):
    """One of a route's paths."""

    key: tuple[Any, ...]
    """By what the entries that match are sorted; no two are equal."""
    route: M
    pattern: Pattern
    uri: str
    """The path as the route has it."""


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
