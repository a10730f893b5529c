"""The calls of one app that are under way. They may outlast their item, so somebody must own them."""

import asyncio

from batchway.asgi.call import Call, log
from batchway.wire import App, Message, Receive

STOP_S = 1.0
"""How long calls that were cancelled at the end may take to stop."""


class Calls:
    """Starts calls, at most `max_calls` at once, and keeps them until they end.

    A call counts until the app returns: also while it works in the background, and while a thread of it
    that cannot be stopped goes on after the item was cancelled.
    """

    def __init__(self, app: App, *, max_calls: int, grace_s: float) -> None:
        self._app = app
        self._grace_s = grace_s
        self._slots = asyncio.Semaphore(max_calls)
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    async def start(self, call: Call) -> None:
        """Start the call in a task of its own, once there is room for one more."""
        await self._slots.acquire()
        # A task of its own: the app sees itself as the current task, sets context variables that
        # neither its neighbours nor the batch see, and may go on when its item has its reply.
        task = asyncio.get_running_loop().create_task(call.run(self._app))
        call.task = task
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def finish(self) -> None:
        """Wait for all calls; those that take longer than `grace_s` are cancelled."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=self._grace_s)
        for task in late:
            task.cancel()
        if late:
            _, stuck = await asyncio.wait(late, timeout=STOP_S)
            log.warning("%d calls cancelled at shutdown, %d of them go on", len(late), len(stuck))

    def until_shutdown(self, receive: Receive) -> Receive:
        """`receive` of a lifespan that waits for all calls before it tells the app of the shutdown."""

        async def receive_after_calls() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.finish()
            return message

        return receive_after_calls
