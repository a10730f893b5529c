"""Global rules that hand plugins to one another: in which order they are written. No I/O.

A plugin may stand in one global rule only, so in which order ever rules are written that exchange two, one
of these is gone for a moment or stands in both. It stands in both: what protects the routes may be missing
for no request.
"""

from collections.abc import Iterable, Iterator, Mapping

from batchway.admin.kinds import Document
from batchway.admin.whole import Resource
from batchway.cli.holder import Change

KIND = "global_rules"
Plugins = dict[str, set[str]]
"""The names of plugins by the key of the rule that they stand in."""


def ordered(puts: Iterable[Resource], old: Mapping[str, Document]) -> list[Change]:
    """What to write of the global rules in `puts`.

    `old` are by key the documents of all rules that are to change or to go; those that go, go last.
    """
    rules = {resource.place.key: resource for resource in puts}
    after = {key: _plugins(resource.document) for key, resource in rules.items()}
    before = {key: _plugins(document) for key, document in old.items()}
    leaving = {
        key: (plugins - after.get(key, set())) & _of_others(after, key) for key, plugins in before.items()
    }
    late = [key for key in rules if leaving.get(key)]
    # Those that some plugins leave and others come to have them all for a while.
    both = [key for key in late if after[key] & _of_others(leaving, key)]
    documents = [
        *((key, rules[key].document) for key in rules if key not in late),
        *((key, _with(rules[key].document, old[key], leaving[key])) for key in both),
        *((key, rules[key].document) for key in late),
    ]
    return [
        Change(rules[key].place, document, is_forced)
        for (key, document), is_forced in zip(documents, _overlaps(documents, before), strict=True)
    ]


def _with(document: Document, old: Document, names: Iterable[str]) -> Document:
    kept = {name: old["plugins"][name] for name in sorted(names)}
    return document | {"plugins": {**document["plugins"], **kept}}


def _overlaps(documents: Iterable[tuple[str, Document]], before: Plugins) -> Iterator[bool]:
    """For each write whether another rule has one of the plugins still by then."""
    there = dict(before)
    for key, document in documents:
        there[key] = _plugins(document)
        yield not there[key].isdisjoint(_of_others(there, key))


def _of_others(plugins: Plugins, key: str) -> set[str]:
    return {name for other, names in plugins.items() if other != key for name in names}


def _plugins(rule: Document) -> set[str]:
    return set(rule.get("plugins") or ())
