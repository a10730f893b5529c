import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchway.store.sqlite import SqliteStore


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batchway.db"


@pytest.fixture
def store(runner: asyncio.Runner, path: Path) -> Iterator[SqliteStore]:
    store = runner.run(SqliteStore.open(path))
    yield store
    runner.run(store.close())
