"""Keys of `plugin_attr` that a plugin does not take: misspelt, or APISIX's and of no use here."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from batchway.config import Settings
from batchway.plugins import Registry


def remark(path: Path, settings: Settings, registry: Registry) -> list[str]:
    """One line that names them, as others of the config file at `path`; none if there are no such keys."""
    unused = [
        key
        for name, plugin in registry.plugins.items()
        for key in _unused(settings.plugin_attr.get(name), plugin.Attributes, f"plugin_attr.{name}")
    ]
    return [f"{path}: batchway has no use for: {', '.join(unused)}"] if unused else []


def _unused(given: object, kind: type[Struct], where: str) -> Iterator[str]:
    if not isinstance(given, dict):
        return
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in given.items():
        inner = types.get(key)
        if key not in types:
            yield f"{where}.{key}"
        elif inspect.isclass(inner) and issubclass(inner, Struct):
            yield from _unused(value, inner, f"{where}.{key}")
