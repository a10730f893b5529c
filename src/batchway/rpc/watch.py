"""A batch that somebody watches: what becomes of each of its entries. Nobody else's batch pays for it."""

import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any
from uuid import uuid4

from msgspec import Raw, Struct

from batchway.formats.jsonrpc import INTERNAL_ERROR, Batch, Call, Error, Malformed
from batchway.model import CallReport
from batchway.rpc.context import Context
from batchway.rpc.errors import RpcError
from batchway.rpc.prompt import Response, Started
from batchway.rpc.session import Send, Service, Session


class _Fate(Struct, gc=False):
    """What has become of an entry. `code` is 0 for one that has worked, None until it is known.

    With `took_s` it is over, also where it has no code: then it was cut off.
    """

    began: float | None = None
    took_s: float | None = None
    code: int | None = None

    def end(self, code: int | None) -> None:
        """Unless it has ended before: of two answers the first is sent."""
        if self.took_s is None:
            self.took_s = self.took()
            self.code = code

    def took(self) -> float:
        if self.took_s is not None:
            return self.took_s
        return 0.0 if self.began is None else time.perf_counter() - self.began


class Watch:
    """Of one request: the calls in its body, at any time as far as they are."""

    def __init__(self) -> None:
        self._entries: Sequence[Call | Malformed] = ()
        self._fates: dict[int, _Fate] = {}
        self._is_single = True
        self._id: str | None = None

    @property
    def id(self) -> str | None:
        """Names the batch in logs: 32 hexadecimal digits; None for a call that is in none."""
        if self._id is None and not self._is_single:
            self._id = uuid4().hex
        return self._id

    def __iter__(self) -> Iterator[CallReport]:
        for index, entry in enumerate(self._entries):
            fate = self._fates[id(entry)]
            yield CallReport(index, entry.method, fate.code, fate.took())

    def open(self, batch: Batch) -> None:
        """There are calls, and this is the time when none has begun."""
        self._entries, self._is_single = batch.entries, batch.single
        self._fates = {id(entry): _Fate() for entry in batch.entries}

    def refuse(self, error: Error) -> None:
        """There are no calls: that is what their client is told."""
        self.open(Batch([Malformed(error)], single=True))
        self.fail_all(error.code)

    def begin(self, entry: Call | Malformed) -> None:
        """The entry is taken up."""
        self._fates[id(entry)].began = time.perf_counter()

    def succeed(self, entry: Call | Malformed) -> None:
        """There is a response, and if it were an error, `fail` was called."""
        self._fates[id(entry)].end(0)

    def fail(self, entry: Call | Malformed, code: int) -> None:
        """The entry is answered with an error, or would be if it were no notification."""
        self._fates[id(entry)].end(code)

    def replace(self, entry: Call | Malformed, code: int) -> None:
        """An error is sent instead of the response that there was."""
        fate = self._fates[id(entry)]
        fate.end(code)
        fate.code = code

    def fail_all(self, code: int) -> None:
        """An error is sent instead of all responses."""
        for entry in self._entries:
            self.replace(entry, code)

    def fail_rest(self, code: int) -> None:
        """An error is sent in place of those responses that were not sent before it."""
        for fate in self._fates.values():
            fate.end(code)

    def close(self) -> None:
        """The batch is over; what has not ended was cut off."""
        for fate in self._fates.values():
            fate.end(None)


class Watched(Context):
    """A caller whose calls are watched."""

    __slots__ = ("watch",)

    def __init__(self, watch: Watch, **caller: Any) -> None:
        super().__init__(**caller)
        self.watch = watch


def note_refusal(context: Context | None, error: Error) -> None:
    """Tell who watches, if somebody does, that there are no calls: the client is told `error`."""
    if isinstance(context, Watched):
        context.watch.refuse(error)


class WatchedSession(Session):
    """A session that tells of each entry what becomes of it."""

    def __init__(self, service: Service, batch: Batch, caller: Watched) -> None:
        super().__init__(service, batch, caller)
        self._watch = watch = caller.watch
        self._fail = watch.fail_all
        watch.open(batch)
        self._teller = service.teller.watched(watch.fail)

    async def answer(self) -> bytes | None:
        """As any other session."""
        try:
            return await super().answer()
        finally:
            self._watch.close()

    async def stream(self, send: Send) -> None:
        """As any other session."""
        self._fail = self._watch.fail_rest
        try:
            await super().stream(send)
        finally:
            self._watch.close()

    def _target(self) -> Callable[[Call], Started]:
        start, watch = super()._target(), self._watch

        async def finish(call: Call, work: Coroutine[Any, Any, Response]) -> Response:
            response = await work
            watch.succeed(call)
            return response

        def watched(call: Call) -> Started:
            watch.begin(call)
            started = start(call)
            if isinstance(started, Coroutine):
                return finish(call, started)
            watch.succeed(call)
            return started

        return watched

    def _instead(self, entry: Call | Malformed, error: RpcError) -> Raw:
        self._watch.replace(entry, error.code)
        return super()._instead(entry, error)

    def _refusal(self, error: BaseException) -> bytes | None:
        self._fail(error.code if isinstance(error, RpcError) else INTERNAL_ERROR)
        return super()._refusal(error)
