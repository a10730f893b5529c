"""Stores for the commands that read and write them, and a gateway's Admin API over one."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import uvicorn

from batchway.admin.access import Access
from batchway.admin.app import AdminApp
from batchway.config import AdminKey
from batchway.plugins import Registry
from batchway.store.sqlite import SqliteStore, snapshot

KEY = "the-admin-key"
ROUTES = """\
upstreams:
- id: u
  nodes: {"127.0.0.1:1": 1}
consumers:
- username: jack
  plugins: {key-auth: {key: jacks-secret}}
- id: jack/credentials/c
  plugins: {basic-auth: {username: jack, password: passes}}
routes:
- {id: a, uri: /a, upstream_id: u}
- {id: b, uri: /b, upstream_id: u, plugins: {key-auth: {}}}
"""


def stored(directory: Path) -> dict[str, Any]:
    """What the store in the directory holds, as it holds it."""
    listing = snapshot(directory / "data" / "batchway.db")
    return {} if listing is None else {one.key: json.loads(one.value) for one in listing.entries}


@contextmanager
def admin_api(directory: Path) -> Iterator[str]:
    """The URL of an Admin API over a store in the directory."""
    server: list[uvicorn.Server] = []
    started = threading.Event()

    async def serve() -> None:
        store = await SqliteStore.open(directory / "data" / "batchway.db")
        keys = (AdminKey("admin", KEY, "admin"), AdminKey("viewer", "viewers", "viewer"))
        app = AdminApp(
            store, access=Access(keys, (ip_network("127.0.0.0/8"),), Registry()), applied=_applied
        )
        config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off")
        server.append(uvicorn.Server(config))
        serving = asyncio.create_task(server[0].serve())
        while not server[0].started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.001)
        started.set()
        await serving
        await store.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(30)
    try:
        port = server[0].servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server[0].should_exit = True
        thread.join()


async def _applied(_revision: int) -> None:
    """Nobody has to be waited for."""
