"""The store that the settings ask for."""

import os
from pathlib import Path

from batchway.admin.resource_file import Reader
from batchway.config import Settings
from batchway.config.data_encryption import Keyring, load_keyring, read_keyring
from batchway.errors import ConfigError
from batchway.plugins import Registry
from batchway.store.kept import Kept
from batchway.store.sqlite import SqliteStore
from batchway.store.yaml_file import FaultyFile, YamlFileStore, read_once, tell_faults

OpenStore = SqliteStore | YamlFileStore


def is_declarative(settings: Settings) -> bool:
    """Whether resources are read from a file, and nowhere else."""
    return settings.store.kind == "yaml"


async def open_store(settings: Settings, registry: Registry, kept: Kept | None = None) -> OpenStore:
    """Raises StoreError; ConfigError for a file that cannot be used, once its faults are logged.

    `kept` is what processes that take the same file have of it.
    """
    path = Path(settings.store.path)
    if not is_declarative(settings):
        return await SqliteStore.open(path)
    try:
        return await YamlFileStore.open(path, reader(settings, registry).values, kept)
    except FaultyFile as error:
        raise _told(error) from None


def keep(settings: Settings, registry: Registry) -> Kept | None:
    """What processes that are forked later share; None if there is nothing to share.

    Blocks. Raises ConfigError as `open_store`.
    """
    if not is_declarative(settings):
        return None
    try:
        content = read_once(Path(settings.store.path))
        reader(settings, registry).values(content)
    except FaultyFile as error:
        raise _told(error) from None
    kept = Kept()
    kept.put(content)
    return kept


def reader(settings: Settings, registry: Registry) -> Reader:
    """What reads the file of resources."""
    path = Path(settings.store.path)
    return Reader(path, os.environ, registry, keyring(settings))


def keyring(settings: Settings) -> Keyring:
    """For the store's secrets; none is made for a file that is only read. Raises ConfigError."""
    load = read_keyring if is_declarative(settings) else load_keyring
    return load(settings.data_encryption, Path(settings.store.path))


def _told(error: FaultyFile) -> ConfigError:
    tell_faults(error)
    return ConfigError(f"{error.path}: nothing is served: {error.count}")
