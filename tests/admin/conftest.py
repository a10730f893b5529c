import asyncio
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from batchway.admin.access import Access
from batchway.admin.app import AdminApp
from batchway.config import AdminKey
from batchway.config.resources import decode
from batchway.errors import InvalidResource
from batchway.plugins import Plugin
from batchway.store.sqlite import SqliteStore

from .client import Client


class KnownMetadata(Struct, frozen=True):
    """Anything goes."""


class Known(Plugin):
    """Refuses a config or metadata with `bad` in it."""

    name = "known"
    priority = 10
    Metadata = KnownMetadata
    secrets = ("token", "deep.keys.secret", "headers")


class KeyConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What a consumer holds of `key`."""

    key: Annotated[str, Meta(min_length=1)]


class KeyAuth(Plugin):
    """An auth plugin."""

    name = "key"
    priority = 2500
    is_auth = True
    ConsumerConfig = KeyConfig
    identity = "key"
    secrets = ("key",)


class FakePlugins:
    """Knows the plugin `known`, and the auth plugin `key`."""

    plugins: Mapping[str, type[Plugin]] = {plugin.name: plugin for plugin in (Known, KeyAuth)}

    def check_plugin(self, name: str, config: object, *, consumer: bool = False) -> object:
        if name not in self.plugins:
            message = f"unknown plugin [{name}]"
            raise InvalidResource(message)
        if name == "key" and consumer:
            return decode(config, KeyConfig, "config of plugin key", show_values=False)
        if isinstance(config, dict) and "bad" in config:
            message = f'plugin "{name}": property "bad" is wrong'
            raise InvalidResource(message)
        return config

    def check_metadata(self, name: str, document: object) -> object:
        self.check_plugin(name, document)
        if isinstance(document, dict) and "id" in document:
            message = "metadata has no id"
            raise InvalidResource(message)
        return document


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        return self.time


class Applied:
    """Notes the revisions that the data plane is told of."""

    def __init__(self) -> None:
        self.revisions: list[int] = []

    async def __call__(self, revision: int) -> None:
        self.revisions.append(revision)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def store(runner: asyncio.Runner, tmp_path: Path) -> Iterator[SqliteStore]:
    store = runner.run(SqliteStore.open(tmp_path / "batchway.db"))
    yield store
    runner.run(store.close())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def applied() -> Applied:
    return Applied()


@pytest.fixture
def app(store: SqliteStore, clock: Clock, applied: Applied) -> AdminApp:
    access = Access(
        keys=(AdminKey("admin", "admin-key", "admin"), AdminKey("viewer", "viewer-key", "viewer")),
        allow=(ip_network("127.0.0.0/24"), ip_network("fd00::/8")),
        plugins=FakePlugins(),
    )
    return AdminApp(store, access=access, applied=applied, now=clock)


@pytest.fixture
def call(app: AdminApp, runner: asyncio.Runner) -> Client:
    return Client(app, runner)
