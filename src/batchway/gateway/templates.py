"""Entries of paths with parameters, segment by segment."""

from typing import Generic, TypeVar

from batchway.gateway.places import Bucket, Entry, Matched, Pattern
from batchway.gateway.tree import PrefixTree

M = TypeVar("M")


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
