"""A small FastAPI app with a batch endpoint: users, orders, a receipt that is sent in the background.

    pip install fastapi batchway
    uvicorn --app-dir examples fastapi_app:app

docs/asgi.md has a batch to send.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request
from fastapi.middleware.cors import CORSMiddleware
from pydantic import BaseModel

from batchway.asgi import BatchMiddleware

log = logging.getLogger("orders")


class Order(BaseModel):
    """What a user wants."""

    user: int
    item: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    """What every request finds in `request.state`, each item of a batch too."""
    yield {"users": {1: "Ada", 2: "Grace"}, "orders": [Order(user=1, item="tea")]}


app = FastAPI(lifespan=lifespan)
# The last that is added stands outermost: CORS answers for /batch as well, and what you add before
# these two lines (authentication, sessions, ids for the log) is passed by every item for itself.
app.add_middleware(BatchMiddleware, path="/batch", max_pipeline_items=50)
app.add_middleware(
    CORSMiddleware,
    allow_origins=["https://shop.example"],
    allow_methods=["POST"],
    allow_headers=["Content-Type"],
)


@app.get("/users/{user_id}")
async def user(user_id: int, request: Request) -> dict[str, object]:
    """One user."""
    users: dict[int, str] = request.state.users
    if user_id not in users:
        raise HTTPException(404, "no such user")
    return {"id": user_id, "name": users[user_id]}


@app.get("/orders")
def orders(user: int, request: Request) -> list[Order]:
    """A user's orders. A plain `def` runs in a thread, in a batch as without."""
    found: list[Order] = request.state.orders
    return [order for order in found if order.user == user]


@app.post("/orders", status_code=201)
async def order(order: Order, request: Request, tasks: BackgroundTasks) -> Order:
    """Take an order; its receipt is sent when the reply is out, which does not wait for it."""
    request.state.orders.append(order)
    tasks.add_task(send_receipt, order)
    return order


async def send_receipt(order: Order) -> None:
    """Pretend to send a mail."""
    await asyncio.sleep(0.01)
    log.info("receipt for %s sent to user %d", order.item, order.user)
