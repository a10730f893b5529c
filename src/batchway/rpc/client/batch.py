"""Calls that are put together by hand, to be sent as one batch."""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from batchway.rpc.client.calls import CallMaker, Params, PendingCall, Reply, params_of
from batchway.rpc.client.errors import ClientError

T = TypeVar("T")


class Proxy:
    """The methods of one procedure as attributes: `proxy.ping()` calls `tennis@ping`."""

    def __init__(self, call: Callable[..., Any], prefix: str) -> None:
        self._call = call
        self._prefix = prefix

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):  # what copy, pickle and others ask of every object
            raise AttributeError(name)

        def call(*params: Any, **named: Any) -> Any:
            return self._call(self._prefix + name, *params, **named)

        return call


class Batch:
    """Collects calls; they are sent at the end of the `with` block, unless that raises."""

    def __init__(self, make: CallMaker, delimiter: str) -> None:
        self._make = make
        self._delimiter = delimiter
        self._is_sent = False
        self.calls: list[PendingCall] = []

    @overload
    def call(self, method: str, /, *params: Any, result_type: type[T], **named: Any) -> Reply[T]: ...
    @overload
    def call(self, method: str, /, *params: Any, **named: Any) -> Reply[Any]: ...
    def call(self, method: str, /, *params: Any, result_type: Any = Any, **named: Any) -> Reply[Any]:
        """Add a call. Its reply has a `result` once the batch is sent."""
        return self.request(method, params_of(params, named), result_type=result_type)

    def request(self, method: str, params: Params = None, *, result_type: Any = Any) -> Reply[Any]:
        """As `call`, with the params as they are."""
        return self._add(self._make.make(method, params, result_type=result_type))

    def notify(self, method: str, /, *params: Any, **named: Any) -> None:
        """Add a call that has no answer."""
        self._add(self._make.make(method, params_of(params, named), is_notification=True))

    def proxy(self, name: str, *, delimiter: str | None = None) -> Proxy:
        """The methods of a procedure as attributes, which add calls."""
        return Proxy(self.call, name + (self._delimiter if delimiter is None else delimiter))

    def _add(self, call: PendingCall) -> Reply[Any]:
        if self._is_sent:
            message = "the batch is sent already"
            raise RuntimeError(message)
        self.calls.append(call)
        return call.reply

    def _close(self) -> list[PendingCall]:
        self._is_sent = True
        return self.calls


AsyncDeliver = Callable[[Sequence[PendingCall]], Awaitable[ClientError | None]]
"""Sends calls and settles each; what it returns concerns more than one of them."""


class AsyncBatch(Batch):
    """A batch for `async with`. Leaving it raises ClientError where there was no answer to speak of."""

    def __init__(self, make: CallMaker, delimiter: str, deliver: AsyncDeliver) -> None:
        super().__init__(make, delimiter)
        self._deliver = deliver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        calls = self._close()
        error = await self._deliver(calls) if calls and kind is None else None
        if error is not None:
            raise error


class SyncBatch(Batch):
    """A batch for `with`. Leaving it raises ClientError where there was no answer to speak of."""

    def __init__(
        self,
        make: CallMaker,
        delimiter: str,
        deliver: Callable[[Sequence[PendingCall]], ClientError | None],
    ) -> None:
        super().__init__(make, delimiter)
        self._deliver = deliver

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        calls = self._close()
        error = self._deliver(calls) if calls and kind is None else None
        if error is not None:
            raise error
