"""A store is opened while another process is at the same."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from batchway.store.sqlite import SqliteStore


def test_a_lock_on_a_new_file_is_waited_for(path: Path) -> None:
    """Such as that of another process between making the file and setting it up."""

    async def check() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            opening = asyncio.create_task(SqliteStore.open(path))
            done, _ = await asyncio.wait((opening,), timeout=0.05)
            assert not done
            other.execute("COMMIT")
            store = await opening
            await store.put("/routes/1", b"{}")
            await store.close()

    asyncio.run(check())
