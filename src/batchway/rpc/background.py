"""Work that goes on after the response. It outlasts its call, so the app owns it."""

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable, Collection
from contextvars import Context as Variables
from typing import Any

import structlog
from msgspec import Struct

from batchway.rpc.errors import Busy
from batchway.rpc.threads import Threads

STOP_S = 1.0
"""How long work that was cancelled may take to stop."""

log = structlog.get_logger(__name__)


class Job(Struct, frozen=True):
    """One piece of work, with the context variables of the call that has put it off."""

    function: Callable[[], Any]
    variables: Variables


class Background:
    """Runs jobs, at most `concurrency` at once; at most `max_jobs` are put off or under way."""

    def __init__(self, threads: Threads, *, max_jobs: int, concurrency: int) -> None:
        self._threads = threads
        self._max_jobs = max_jobs
        self._concurrency = concurrency
        self._promised = 0  # jobs of calls that have not ended yet
        self._queue: deque[Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = threading.RLock()  # for loops in several threads, as under WSGI

    def __len__(self) -> int:
        return self._promised + len(self._queue) + len(self._tasks)

    def promise(self) -> None:
        """Keep room for one job. Raises Busy if there is none."""
        with self._lock:
            if len(self) >= self._max_jobs:
                raise Busy
            self._promised += 1

    def forget(self, jobs: Collection[Job]) -> None:
        """Give up the room for jobs that will not come."""
        with self._lock:
            self._promised -= len(jobs)

    def start(self, jobs: Collection[Job]) -> None:
        """Run jobs that were promised, as soon as there is room."""
        with self._lock:
            self._promised -= len(jobs)
            self._queue.extend(jobs)
            self._fill()

    def _fill(self) -> None:
        """Start what there is room for, in the loop that runs here."""
        while self._queue and len(self._tasks) < self._concurrency:
            job = self._queue.popleft()
            task = asyncio.get_running_loop().create_task(self._run(job), context=job.variables)
            self._tasks.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[None]") -> None:
        with self._lock:
            self._tasks.discard(task)
            self._fill()

    def _here(self, loop: asyncio.AbstractEventLoop) -> set["asyncio.Task[None]"]:
        """The tasks of a loop. Those of others are theirs to wait for."""
        with self._lock:
            return {task for task in self._tasks if task.get_loop() is loop}

    async def _run(self, job: Job) -> None:
        try:
            if inspect.iscoroutinefunction(job.function):
                await job.function()
            else:
                found = await self._threads.run(self, job.function)
                if inspect.isawaitable(found):
                    await found
        except (Exception, SystemExit):
            log.exception("background work failed")

    async def finish(self, grace_s: float) -> None:
        """Wait for all jobs; what is not done after `grace_s` is cancelled or not begun."""
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s
        while (tasks := self._here(loop)) and loop.time() < end:
            await asyncio.wait(tasks, timeout=end - loop.time(), return_when=asyncio.FIRST_COMPLETED)
        late, dropped = self._here(loop), 0
        with self._lock:
            if len(late) == len(self._tasks):  # or else another loop begins what waits
                dropped = len(self._queue)
                self._queue.clear()
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=STOP_S)
        if late or dropped:
            log.warning("background work given up", cancelled=len(late), not_begun=dropped)
