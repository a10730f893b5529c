"""A worker's end of the line to its supervisor, on the worker's event loop."""

import asyncio
import itertools
from collections.abc import Callable

from batchway.errors import ConfigError, StoreError
from batchway.server.channel import Channel, Closed
from batchway.server.messages import (
    Applied,
    FromSupervisor,
    FromWorker,
    Joining,
    PleaseReload,
    ReloadDone,
    Settled,
    Welcome,
    Wrote,
)

_GONE = "the supervisor is gone"


class Line:
    """Says and hears. What is no answer goes to `obey`; `on_lost` is called when the line breaks."""

    def __init__(
        self,
        channel: Channel,
        obey: Callable[[FromSupervisor], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._obey = obey
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._welcome: asyncio.Future[int] = self._loop.create_future()
        self._unsettled: dict[int, asyncio.Future[None]] = {}
        self._reloads: dict[int, asyncio.Future[str | None]] = {}
        self._numbers = itertools.count()
        self._is_open = False

    def open(self) -> None:
        """Begin to hear."""
        self._is_open = True
        self._loop.add_reader(self._channel.fileno(), self._hear)

    def close(self) -> None:
        """Hear no more. The channel stays open until the process ends: that tells the supervisor."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._channel.fileno())
        self._loop.remove_writer(self._channel.fileno())
        for settled in self._unsettled.values():
            settled.cancel()
        for reload in self._reloads.values():
            reload.cancel()

    # --- the other workers

    async def join(self) -> int:
        """Take part in every write from now on; the newest revision that was written before.

        Raises StoreError if there is nobody to tell.
        """
        self.say(Joining())
        return await self._welcome

    def joined(self, revision: int) -> None:
        """Tell that all up to `revision` is applied here."""
        self.say(Applied(revision))

    async def applied(self, revision: int) -> None:
        """Return once all other workers have what `revision` wrote, or are not waited for."""
        if not self._is_open:
            return
        settled = self._unsettled[revision] = self._loop.create_future()
        self.say(Wrote(revision))
        try:
            await settled
        finally:
            self._unsettled.pop(revision, None)

    async def reload(self) -> None:
        """Have all workers read the configuration again. Raises ConfigError if it cannot be used."""
        request = next(self._numbers)
        done = self._reloads[request] = self._loop.create_future()
        self.say(PleaseReload(request))
        try:
            error = await done if self._is_open else _GONE
        finally:
            del self._reloads[request]
        if error is not None:
            raise ConfigError(error)

    # --- the line

    def say(self, message: FromWorker) -> None:
        """Say it; nothing happens if nobody listens any more."""
        try:
            self._channel.send(message)
        except Closed:
            self._lose()
        else:
            self._write_rest()

    def _write_rest(self) -> None:
        if self._channel.has_unsent and self._is_open:
            self._loop.add_writer(self._channel.fileno(), self._flush)

    def _flush(self) -> None:
        try:
            self._channel.flush()
        except Closed:
            self._lose()
        else:
            if not self._channel.has_unsent:
                self._loop.remove_writer(self._channel.fileno())

    def _hear(self) -> None:
        try:
            for message in self._channel.receive():
                self._take(message)
        except Closed:
            self._lose()

    def _take(self, message: object) -> None:
        match message:
            case Welcome(revision):
                if not self._welcome.done():  # told to end, nobody waits for it any more
                    self._welcome.set_result(revision)
            case Settled(revision):
                settled = self._unsettled.get(revision)
                if settled is not None and not settled.done():
                    settled.set_result(None)
            case ReloadDone(request, error):
                done = self._reloads.get(request)
                if done is not None and not done.done():
                    done.set_result(error)
            case _:
                self._obey(message)  # type: ignore[arg-type] # the supervisor says nothing else

    def _lose(self) -> None:
        """There is nobody to ask: who waits for the others waits no longer."""
        if not self._is_open:
            return
        if not self._welcome.done():
            self._welcome.set_exception(StoreError(_GONE))
            self._welcome.exception()  # perhaps nobody waits for it
        for future in self._unsettled.values():
            if not future.done():
                future.set_result(None)
        for reload in self._reloads.values():
            if not reload.done():
                reload.set_result(_GONE)
        self.close()
        self._on_lost()
