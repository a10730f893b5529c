"""Several processes open one store at the same moment."""

import subprocess
import sys
from pathlib import Path

OPEN_AT_ONCE = """
import asyncio, os, sys
from pathlib import Path
from batchway.store.sqlite import SqliteStore

async def use(path):
    store = await SqliteStore.open(path)
    await store.put(f"/routes/{os.getpid()}", b"{}")
    await store.close()

for turn in range(20):
    pids = []
    read, write = os.pipe()
    for _ in range(4):
        pid = os.fork()
        if not pid:
            os.close(write)
            os.read(read, 1)  # all of them begin when this closes
            code = 1
            try:
                asyncio.run(use(Path(sys.argv[1]) / f"{turn}.db"))
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    os.close(read)
    os.close(write)
    print(*(os.waitpid(pid, 0)[1] for pid in pids))
"""


def test_processes_that_open_a_new_store_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_AT_ONCE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["0 0 0 0"] * 20
