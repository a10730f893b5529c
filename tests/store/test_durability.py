"""What was acknowledged is there after `kill -9`."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from batchway.store.base import Entry
from batchway.store.sqlite import SqliteStore

WRITER = """
import asyncio, sys
from pathlib import Path
from batchway.store.sqlite import SqliteStore

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    for number in range(1_000_000):
        key = f"/routes/{number}"
        await store.put(key, b"x" * 2000)
        print(key, flush=True)

asyncio.run(main())
"""


async def stored(path: Path) -> tuple[Entry, ...]:
    store = await SqliteStore.open(path)
    listing = await store.list("/routes/")
    await store.close()
    return listing.entries


@pytest.mark.parametrize("acknowledged", [1, 30])
def test_every_acknowledged_write_survives_a_kill(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "batchway.db"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        printed = [writer.stdout.readline().strip() for _ in range(acknowledged)]
        writer.kill()
        printed += writer.stdout.read().split()

    entries = asyncio.run(stored(path))
    assert printed[0] == "/routes/0"
    assert set(printed) <= {entry.key for entry in entries}
    assert all(entry.value == b"x" * 2000 for entry in entries)
