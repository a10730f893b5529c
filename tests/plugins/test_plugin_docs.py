"""The pages of plugins: what stands there is what there is."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchway.model import Limits
from batchway.plugins import Registry, all_plugins

PAGES = Path(__file__).parents[2] / "docs" / "plugins"
PLUGINS = sorted(all_plugins())
_PHASES = ("rewrite", "access", "filter_response", "log")
_IMPORTS = ("json-rpc",)
"""Their examples name modules that are not there."""


def page(name: str) -> str:
    elsewhere = {"prometheus": PAGES.parent / "observability.md"}
    return elsewhere.get(name, PAGES / f"{name}.md").read_text()


def rows() -> dict[str, tuple[int, list[str]]]:
    """Of the table on the index: priorities and phases, in their order."""
    found = re.findall(r"^\| (\d+) \| \[([\w-]+)\]\(\S+\) \| ([^|]*) \|", page("index"), re.MULTILINE)
    return {
        name: (int(priority), [phase for phase in phases.split(", ") if phase != "–"])
        for priority, name, phases in found
    }


def test_index_has_all_of_them_in_their_order() -> None:
    listed = rows()
    assert sorted(listed) == PLUGINS
    priorities = [priority for priority, _ in listed.values()]
    assert priorities == sorted(priorities, reverse=True)


@pytest.mark.parametrize("name", PLUGINS)
def test_index_tells_priority_and_phases(name: str) -> None:
    plugin = all_plugins()[name]
    priority, phases = rows()[name]
    assert priority == plugin.priority
    own = {phase for phase in _PHASES if phase in dir(plugin) and plugin.counts and phase == "access"}
    for one in plugin.__mro__[:-1]:
        if one.__module__ != "batchway.plugins.base":
            own |= set(_PHASES) & vars(one).keys()
    assert phases == [phase for phase in _PHASES if phase in own]


@pytest.mark.parametrize("name", PLUGINS)
def test_page_names_every_setting(name: str) -> None:
    plugin, text = all_plugins()[name], page(name)
    for kind in (plugin.Config, plugin.Metadata, plugin.ConsumerConfig):
        for field in () if kind is None else msgspec.structs.fields(kind):
            assert re.search(rf"\b{field.name}\b", text), field.name


def examples() -> list[Any]:
    found = []
    for path in sorted(PAGES.glob("*.md")):
        for number, block in enumerate(re.findall(r"```json\n(.*?)```", path.read_text(), re.DOTALL)):
            found.append(pytest.param(json.loads(block), id=f"{path.stem}-{number}"))
    return found


@pytest.mark.parametrize("document", examples())
def test_examples_are_taken(document: dict[str, Any]) -> None:
    registry = Registry()
    configs = document.get("plugins", document)
    for name, config in configs.items():
        if name in _IMPORTS or name not in registry.plugins:
            continue
        registry.check_plugin(name, config, consumer="username" in document)


def test_limits_of_batches_are_those_of_the_page() -> None:
    told = dict(
        re.findall(r"^\| (`\w+`(?:, `\w+`)?) \| ([\d, ]+) \|", page("batch-requests"), re.MULTILINE)
    )
    found = {
        name: int(value)
        for names, values in told.items()
        for name, value in zip(re.findall(r"`(\w+)`", names), values.split(", "), strict=True)
    }
    assert found == {field.name: field.default for field in msgspec.structs.fields(Limits)}
