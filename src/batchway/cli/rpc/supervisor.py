"""Several processes that serve one app behind one socket; new ones for those that end, or are outdated."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct, field
from watchfiles import PythonFilter, awatch

from batchway.cli.rpc.serving import Ready, Serving
from batchway.server.signals import heard

RELOAD_GRACE_S = 3.0
"""What running calls may take when the code has changed."""
PAUSE_S = 1.0
"""Before a worker that has ended unasked gets a successor."""
KILL_S = 5.0
"""What a worker may take beyond its grace."""

log = structlog.get_logger(__name__)


class _Worker(Struct, eq=False):
    process: asyncio.subprocess.Process
    control: socket.socket
    is_ready: bool = False
    is_outdated: bool = False
    watch: set[asyncio.Task[None]] = field(default_factory=set)

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """Keeps workers. `run` returns when it is told to stop."""

    def __init__(
        self,
        serving: Serving,
        bound: socket.socket,
        *,
        workers: int,
        watched: Sequence[Path],
        on_ready: Callable[[Ready], None],
    ) -> None:
        """`watched`: directories; if Python code in them changes, all workers are replaced."""
        self._serving = serving
        self._bound = bound
        self._count = workers
        self._watched = watched
        self._on_ready = on_ready
        self._workers: set[_Worker] = set()
        self._was_ready = False
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit code. A second signal cuts the draining short."""
        with heard({signal.SIGTERM: self._told_to_stop, signal.SIGINT: self._told_to_stop}):
            await self._run()
        return self._exit_code

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        keeping = [loop.create_task(self._keep()) for _ in range(self._count)]
        watching = loop.create_task(self._watch())
        try:
            await self._stop.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await self._end_all(keeping)

    def _told_to_stop(self) -> None:
        if self._stop.is_set():  # a second one is for workers that drain
            for worker in self._workers:
                worker.tell(signal.SIGTERM)
        self._stop.set()

    async def _end_all(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        for worker in self._workers:
            if not worker.is_outdated:
                worker.tell(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=self._serving.grace_s + KILL_S)
        for worker in self._workers:
            worker.tell(signal.SIGKILL)
        if late:
            await asyncio.wait(late)

    # --- one worker after another

    async def _keep(self) -> None:
        """See to it that there is a worker."""
        while not self._stop.is_set():
            worker = await self._start()
            code = await worker.process.wait()
            self._workers.discard(worker)
            await asyncio.gather(*worker.watch)
            worker.control.close()
            if not self._stop.is_set() and not worker.is_outdated:
                await self._mourn(worker, code)

    async def _mourn(self, worker: _Worker, code: int) -> None:
        """What happens after a worker that was not told to end."""
        if not worker.is_ready and self._watched:
            log.error("waiting for the code to change")
            await self._until_changed()
        elif not self._was_ready:
            self._exit_code = code or 1
            self._stop.set()
        else:
            log.error("a worker has ended", pid=worker.process.pid, exit_code=code)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), PAUSE_S)

    async def _until_changed(self) -> None:
        changed = asyncio.ensure_future(self._changed.wait())
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([changed, stopped], return_when=asyncio.FIRST_COMPLETED)
        changed.cancel()
        stopped.cancel()

    async def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        # Bytecode passes for current if its source has its size and was last changed in the same second:
        # of code that changes all the time none must be kept.
        environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} if self._watched else None
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "batchway.cli.rpc.worker",
                msgspec.json.encode(self._serving).decode(),
                str(self._bound.fileno()),
                str(theirs.fileno()),
                pass_fds=[self._bound.fileno(), theirs.fileno()],
                env=environment,
                start_new_session=True,  # Ctrl-C is for us; a worker would hear of it twice
            )
        worker = _Worker(process, ours)
        self._workers.add(worker)
        worker.watch.add(asyncio.get_running_loop().create_task(self._hear(worker)))
        if self._stop.is_set():
            worker.tell(signal.SIGTERM)
        return worker

    async def _hear(self, worker: _Worker) -> None:
        """Note that a worker serves, once it says so."""
        worker.control.setblocking(False)
        said = b""
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while not said.endswith(b"\n"):
                data = await loop.sock_recv(worker.control, 4096)
                if not data:
                    return
                said += data
        worker.is_ready = True
        if not self._was_ready:
            self._was_ready = True
            self._on_ready(msgspec.json.decode(said, type=Ready))

    # --- code that changes

    async def _watch(self) -> None:
        if not self._watched:
            return
        async for changes in awatch(*self._watched, watch_filter=PythonFilter()):
            names = sorted({Path(path).name for _, path in changes})
            log.warning("the code has changed", files=names[:5])
            self._changed.set()
            self._changed.clear()
            await asyncio.gather(*(self._replace(worker) for worker in list(self._workers)))

    async def _replace(self, worker: _Worker) -> None:
        worker.is_outdated = True
        worker.tell(signal.SIGTERM)
        try:
            await asyncio.wait_for(worker.process.wait(), RELOAD_GRACE_S)
        except TimeoutError:
            worker.tell(signal.SIGTERM)  # the second one cuts running calls off
