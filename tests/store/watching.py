"""What a watch has."""

import asyncio
from contextlib import aclosing

from batchway.store.base import Event, Store


async def take(store: Store, from_revision: int, count: int) -> list[Event]:
    """The next `count` events, as long as they come."""
    events: list[Event] = []
    async with asyncio.timeout(30), aclosing(store.watch(from_revision)) as watch:
        async for event in watch:
            events.append(event)
            if len(events) == count:
                break
    return events
