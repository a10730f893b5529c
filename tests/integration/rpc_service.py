"""A JSON-RPC service that takes large batches: `uvicorn tests.integration.rpc_service:app`."""

import asyncio

from batchway.rpc import RpcApp

MAX_ITEMS = 20_000

app = RpcApp(max_items=MAX_ITEMS, max_body_bytes=4 * 1024 * 1024)


@app.method
async def ping() -> str:
    """Costs nothing."""
    return "pong"


@app.method
async def compute(number: int) -> int:
    """Has its result on the spot, after some work."""
    return number + sum(range(2000))


@app.method
async def wait(number: int) -> int:
    """Has its result after some turns of the loop."""
    for _ in range(3):
        await asyncio.sleep(0)
    return number


@app.method
def block(number: int) -> int:
    """Runs in a thread."""
    return number
