"""config.yaml to settings: APISIX's keys where the same thing exists, ours under `batchway`."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from batchway.config import document
from batchway.config.place import Place, Reading, dotted
from batchway.config.readers import section
from batchway.config.schema import SCHEMA
from batchway.config.settings import Settings


class Loaded(Struct, frozen=True):
    """The settings, and what whoever wrote the file should know: each warning is one line."""

    settings: Settings
    warnings: list[str]


def load(path: Path, *, known_plugins: Collection[str], environ: Mapping[str, str]) -> Loaded:
    """The settings in the file at `path`; all defaults if there is none, or nothing is in it.

    A key without a value has its default. Variables are replaced where a value is used: one that
    is not set does no harm in a key that batchway has no use for.
    Raises ConfigError, in one line with the file and the key path, for a file that cannot be read,
    for what is not YAML, for a key that neither APISIX nor batchway knows, and for a wrong value.
    """
    reading = Reading(path, known_plugins, environ, SCHEMA.homes())
    content = document.read(path)
    tree = None if content is None else document.parse(content, path)
    found = {} if tree is None else section(SCHEMA, tree, Place(reading))
    for refused in ("https_admin", "normalize_uri_like_servlet"):
        found.pop(refused, None)
    for key, field in (("admin_key", "admin_keys"), ("http", "router")):
        if key in found:
            found[field] = found.pop(key)
    _read_resources_from_file(found, reading)
    return Loaded(Settings(**found), _warnings(reading))


def _read_resources_from_file(found: dict[str, Any], reading: Reading) -> None:
    """Make the file that `deployment` names, if any, the store."""
    role, of_data_plane = found.pop("role", None), found.pop("role_data_plane", None)
    file = found.pop("config_provider", None) or (of_data_plane if role == "data_plane" else None)
    if file is not None:
        if "store" in found:
            reading.unused.append("batchway.store")
        found["store"] = file
    elif role == "data_plane":
        wanted = "role_data_plane.config_provider: yaml"
        reading.remarks.append(
            f"{reading.path}: deployment.role: data_plane has no effect without {wanted}"
        )
    elif of_data_plane is not None:
        reading.unused.append("deployment.role_data_plane")


def _warnings(reading: Reading) -> list[str]:
    """At most one line for each kind, and one for each remark."""
    lines = []
    if reading.unused:
        keys = ", ".join(reading.unused)
        lines.append(f"{reading.path}: batchway has no use for: {keys}")
    if reading.missing_plugins:
        names = ", ".join(dotted((name,)) for name in reading.missing_plugins)
        lines.append(f"{reading.path}: plugins: batchway does not have: {names}")
    return lines + reading.remarks
