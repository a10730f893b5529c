"""What holds resources, and can be asked for them: a store on this machine, or a gateway elsewhere."""

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
import msgspec
from msgspec import Struct

from batchway.admin import resource_file, sealing
from batchway.admin.access import Access, PluginSchemas
from batchway.admin.kinds import Document, Place, locate
from batchway.admin.references import ParentMissing
from batchway.admin.resource import NotFound, Resources
from batchway.cli.config_option import config_option
from batchway.cli.failures import BadFile
from batchway.config import Settings, load
from batchway.config.data_encryption import read_keyring
from batchway.errors import ConfigError, InvalidResource
from batchway.plugins import Registry, all_plugins
from batchway.server.from_settings import make_registry
from batchway.server.stores import is_declarative, keyring
from batchway.store.base import Entry
from batchway.store.sqlite import SqliteStore, snapshot
from batchway.store.yaml_file import read_once

F = TypeVar("F", bound=Callable[..., Any])
Held = list[tuple[Place, Document]]


class Change(Struct, frozen=True):
    """One write; without a `document` it deletes."""

    place: Place
    document: Document | None
    forced: bool = False
    """A global rule that has for a moment what another one has, too: it is on its way from there."""


class NotWritten(Exception):
    """A change was refused. Those before it are done."""

    def __init__(self, place: Place, why: str) -> None:
        super().__init__(f"{place.key.removeprefix('/')}: {why}")


class Holder(Protocol):
    """Where resources are."""

    @property
    def plugins(self) -> PluginSchemas:
        """The plugins there, as far as they are known here."""

    def read(self) -> Held:
        """All of them, with their secrets in the clear. Raises BatchwayError."""

    def check_writable(self) -> None:
        """Raises BadFile where nothing can ever be written."""

    def write(self, changes: Iterable[Change], done: Callable[[], None]) -> None:
        """Make these changes in this order; `done` is called after each. Raises NotWritten."""


class LocalStore:
    """The store that a config file names. A gateway may be at work on it."""

    def __init__(self, config: Path) -> None:
        """Raises ConfigError."""
        self._settings = _settings(config)
        self._path = Path(self._settings.store.path)
        self._registry: Registry = make_registry(self._settings)

    def __str__(self) -> str:
        return str(self._path)

    @property
    def plugins(self) -> Registry:
        """Those that the config file switches on."""
        return self._registry

    def read(self) -> Held:
        """See Holder."""
        if is_declarative(self._settings):
            content = read_once(self._path)
            found = resource_file.read(content, self._path, os.environ)
            if found.faults:
                raise found.refusal(found.faults)
            return [(one.place, one.document) for one in found.resources.values()]
        listing = snapshot(self._path)
        return [] if listing is None else list(self._opened(listing.entries))

    def _opened(self, entries: Iterable[Entry]) -> Iterable[tuple[Place, Document]]:
        keys = read_keyring(self._settings.data_encryption, self._path)
        for entry in entries:
            place = locate(entry.key)
            if place is None:
                click.echo(f"warning: {entry.key}: no kind of resource that batchway has", err=True)
                continue
            try:
                document = msgspec.json.decode(entry.value, type=dict[str, Any])
                yield place, sealing.unseal(document, place.kind, self._registry.plugins, keys)
            except (msgspec.DecodeError, InvalidResource) as error:
                raise BadFile(f"{self._path}: {entry.key}: {error}") from None

    def check_writable(self) -> None:
        """See Holder."""
        if is_declarative(self._settings):
            raise BadFile(f"resources are read from {self._path}: change that file instead")

    def write(self, changes: Iterable[Change], done: Callable[[], None]) -> None:
        """See Holder."""
        asyncio.run(self._write(changes, done))

    async def _write(self, changes: Iterable[Change], done: Callable[[], None]) -> None:
        access = Access((), (), self._registry, keyring(self._settings))
        store = await SqliteStore.open(self._path)
        try:
            resources = Resources(store, _applied)
            for change in changes:
                await _make(resources, change, access)
                done()
        finally:
            await store.close()


async def _make(resources: Resources, change: Change, access: Access) -> None:
    try:
        if change.document is None:
            await resources.delete(change.place, force=True)
        else:
            await resources.put(change.place, change.document, access, forced=change.forced)
    except (InvalidResource, ParentMissing) as error:
        raise NotWritten(change.place, str(error)) from None
    except NotFound:
        return  # somebody else has deleted it


async def _applied(_revision: int) -> None:
    """A gateway that works on the store looks for itself."""


def _settings(path: Path) -> Settings:
    settings = load(path, known_plugins=all_plugins(), environ=os.environ).settings
    try:
        make_registry(settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from None
    return settings


# --- the options that say which


def options(command: F) -> F:
    """`--config`, `--admin` and `--key` for a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    config_option("config", "The config file that names the store."),
    click.option("--admin", metavar="URL", help="Of a gateway's Admin API, instead of a store."),
    click.option(
        "--key",
        envvar="BATCHWAY_ADMIN_KEY",
        show_envvar=True,
        help="The key to that Admin API.",
    ),
)


def chosen(config: Path, admin: str | None, key: str | None) -> Holder:
    """What the options name, for as long as the command runs. Raises BatchwayError, UsageError."""
    if admin is None:
        return LocalStore(config)
    if not key:
        message = "--admin needs --key, or the environment variable BATCHWAY_ADMIN_KEY"
        raise click.UsageError(message)
    from batchway.cli.remote import RemoteGateway  # noqa: PLC0415 - it needs this module, too

    return click.get_current_context().with_resource(RemoteGateway.at(admin, key))
