"""Who calls, and with what: all that a method, a middleware or a loader may ask about its call."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, Protocol

import msgspec
from msgspec import UNSET

from batchway.formats.jsonrpc import NO_ID, Call, Malformed
from batchway.rpc.background import Background, Job

P = ParamSpec("P")

Proceed = Callable[[], Awaitable[Any]]
Middleware = Callable[["Context", Proceed], Awaitable[Any]]
"""Runs around a call, and returns its result; or around a batch, where there is nothing to return."""


class CallerHeaders(Mapping[str, str]):
    """The headers that came with a batch, under names of any case; those of one name joined by commas."""

    def __init__(self, headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._given = headers
        self._values: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._values is None:
            self._values = {}
            if isinstance(self._given, Mapping):
                pairs: Iterable[tuple[str, str]] = self._given.items()
            else:
                pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._given)
            for name, value in pairs:
                before = self._values.get(name.lower())
                self._values[name.lower()] = value if before is None else f"{before}, {value}"
        return self._values

    def __getitem__(self, name: str) -> str:
        return self._read()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


class Notified(Protocol):
    """What stays open after a response: notifications can be sent over it."""

    async def notify(self, method: str, params: Any) -> None: ...

    def notify_from_thread(self, method: str, params: Any) -> None: ...


class Context:
    """One call and its caller.

    Who passes one to the app says who calls. Each call then gets one of its own.
    """

    __slots__ = (
        "_background", "_state", "call", "calls", "client", "connection", "deadline", "headers", "jobs",
        "middleware", "party", "transport", "weight",
    )  # fmt: skip

    def __init__(
        self,
        *,
        headers: Mapping[str, str] | Iterable[tuple[bytes, bytes]] = (),
        client: str = "",
        transport: str = "",
        state: Mapping[str, Any] | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        """`middleware` is put around each call of this caller, outside of all other."""
        self.headers: Mapping[str, str] = CallerHeaders(headers)
        self.client = client
        self.transport = transport
        self.middleware = middleware
        self.connection: Notified | None = None
        """What the call came over, if that stays open."""
        self.deadline = math.inf
        """When the batch must be answered, in seconds of the event loop's clock."""
        self.calls: Sequence[Call | Malformed] = ()
        """The batch that the call is of, in wire order."""
        self.weight = 1
        self.jobs: list[Job] = []
        """What was put off by `after`."""
        self.call = _NO_CALL
        """As it was sent."""
        self.party: object = None
        """The same for all calls of a batch, and for no other: turns go round between parties."""
        self._state = {} if state is None else dict(state)
        self._background: Background | None = None

    @property
    def method(self) -> str:
        """The name that is called; `""` around a batch."""
        return self.call.method

    @property
    def id(self) -> Any:
        """The id of the call, None for a notification. An integer that Python does not read is its text."""
        if self.call.id is NO_ID:
            return None
        try:
            return msgspec.json.decode(self.call.id)
        except msgspec.ValidationError:
            return bytes(self.call.id).decode()

    @property
    def is_notification(self) -> bool:
        """Whether nobody waits for the result."""
        return self.call.id is NO_ID

    @property
    def params(self) -> Any:
        """The params as they were sent: a list or a dict, decoded anew each time."""
        return msgspec.json.decode(self.call.params)

    @property
    def state(self) -> dict[str, Any]:
        """What middleware leaves for the call. Each call has a copy of what was set around its batch."""
        return self._state

    @property
    def remaining_s(self) -> float:
        """How much of the batch's time is left."""
        return self.deadline - asyncio.get_running_loop().time()

    def after(self, function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call `function` after the response, if this call works; in a thread if it is not async.

        The app waits for it when it is closed. Raises Busy if too much was put off already.
        """
        if self._background is None:
            message = "after() is for calls"
            raise RuntimeError(message)
        self._background.promise()
        self.jobs.append(Job(partial(function, *args, **kwargs), copy_context()))

    async def notify(self, method: str, params: Any = UNSET) -> None:
        """Send the client a notification; waits for one that is slow to read. Also for work put off.

        Raises RuntimeError over HTTP, where `connection` is None, OSError once the client is gone.
        """
        await self._notified().notify(method, params)

    def notify_from_thread(self, method: str, params: Any = UNSET) -> None:
        """As `notify`, for methods and work that are not async: the thread waits.

        Raises RuntimeError in the event loop too, which would wait for itself.
        """
        connection = self._notified()
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            connection.notify_from_thread(method, params)
        else:
            message = "notify_from_thread() is for threads; await notify()"
            raise RuntimeError(message)

    def _notified(self) -> Notified:
        if self.connection is None:
            message = "notify() is for clients of a WebSocket or of standard input"
            raise RuntimeError(message)
        return self.connection

    def of_batch(self, calls: Sequence[Call | Malformed], deadline: float) -> "Context":
        """This caller, with a batch."""
        context = self._copy()
        context.calls = calls
        context.deadline = deadline
        context.party = object()
        return context

    def of_call(self, call: Call, weight: int, background: Background) -> "Context":
        """This caller, with one call of the batch."""
        context = self._copy()
        context.weight = weight
        context.call = call
        context._background = background
        return context

    def _copy(self) -> "Context":
        context = object.__new__(Context)
        context.headers = self.headers
        context.client = self.client
        context.transport = self.transport
        context.middleware = self.middleware
        context.connection = self.connection
        context.deadline = self.deadline
        context.calls = self.calls
        context.weight = self.weight
        context.jobs = []
        context.call = self.call
        context.party = self.party
        context._state = self._state.copy()
        context._background = self._background
        return context


_NO_CALL = Call("2.0", "")
