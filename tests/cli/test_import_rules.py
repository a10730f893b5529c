"""The order in which `batchway import` writes global rules: no plugin that moves is ever missing."""

from itertools import permutations, product
from typing import Any

import pytest

from batchway.admin.kinds import KINDS, Place
from batchway.admin.whole import Resource
from batchway.cli.holder import Change
from batchway.cli.import_rules import ordered

Rules = dict[str, list[str]]
"""The names of plugins by the ids of rules."""


def document(id_: str, names: list[str], config: Any) -> dict[str, Any]:
    return {"id": id_, "plugins": dict.fromkeys(names, config)}


def changes(before: Rules, after: Rules) -> list[Change]:
    """What is written to come from the one to the other, what is deleted included."""
    rules = KINDS["global_rules"]
    puts = [
        Resource(Place(rules, id_), document(id_, names, {"is": "new"}), ())
        for id_, names in after.items()
        if names != before.get(id_)
    ]
    old = {
        Place(rules, id_).key: document(id_, names, {"is": "old"})
        for id_, names in before.items()
        if names != after.get(id_)
    }
    gone = [Change(Place(rules, id_), None) for id_ in before if id_ not in after]
    return [*ordered(puts, old), *gone]


def told(found: list[Change]) -> list[tuple[str | None, list[str], bool]]:
    return [(one.place.id, list((one.document or {}).get("plugins", ())), one.forced) for one in found]


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        ({}, {"a": ["x"]}, [("a", ["x"], False)]),
        ({"a": ["x"]}, {"a": ["y"]}, [("a", ["y"], False)]),
        ({"a": ["x"]}, {"b": ["x"]}, [("b", ["x"], True), ("a", [], False)]),
        ({"a": ["x"]}, {"a": [], "b": ["x"]}, [("b", ["x"], True), ("a", [], False)]),
        (
            {"a": ["x"], "b": ["y"]},
            {"a": ["y"], "b": ["x"]},
            [("a", ["y", "x"], True), ("b", ["x", "y"], True), ("a", ["y"], True), ("b", ["x"], False)],
        ),
        # a chain has an order in which each is written once
        (
            {"a": ["x"], "b": ["y"], "c": []},
            {"a": [], "b": ["x"], "c": ["y"]},
            [("c", ["y"], True), ("b", ["x", "y"], True), ("a", [], False), ("b", ["x"], False)],
        ),
    ],
)
def test_order(before: Rules, after: Rules, written: list[tuple[str, list[str], bool]]) -> None:
    assert told(changes(before, after)) == written


def holders(rules: dict[str, set[str]]) -> dict[str, int]:
    """In how many rules each plugin is."""
    names = [name for plugins in rules.values() for name in plugins]
    return {name: names.count(name) for name in names}


def every_way() -> list[tuple[Rules, Rules]]:
    """Of all ways to have three plugins in three rules or in none, each to each."""
    places = [dict(zip("xyz", ids, strict=True)) for ids in product("abc-", repeat=3)]
    ways = [{id_: [n for n, at in way.items() if at == id_] for id_ in "abc"} for way in places]
    filled = [{id_: names for id_, names in way.items() if names} for way in ways]
    return list(permutations(filled, 2))


def test_no_plugin_that_stays_is_missing_for_a_moment() -> None:
    for before, after in every_way():
        there = {id_: set(names) for id_, names in before.items()}
        stays = set(holders(there)) & {name for names in after.values() for name in names}
        for change in changes(before, after):
            id_ = change.place.id or ""
            there.pop(id_, None)
            if change.document is not None:
                there[id_] = set(change.document["plugins"])
                twice = [name for name, count in holders(there).items() if count > 1]
                assert change.forced == any(name in there[id_] for name in twice), (before, after)
            assert stays <= holders(there).keys(), (before, after, change)
        assert {id_: sorted(names) for id_, names in there.items()} == after


def test_what_stays_for_a_moment_is_as_it_was() -> None:
    first = changes({"a": ["x"], "b": ["y"]}, {"a": ["y"], "b": ["x"]})[0]
    assert first.document == {"id": "a", "plugins": {"y": {"is": "new"}, "x": {"is": "old"}}}
