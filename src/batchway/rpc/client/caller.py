"""What all clients can do, whatever carries their bytes: calls, notifications, batches, raw bodies."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import msgspec

from batchway.rpc.client.batch import AsyncBatch, Proxy, SyncBatch
from batchway.rpc.client.calls import CallMaker, CallSpec, Params, PendingCall, Reply, params_of, spell_out
from batchway.rpc.client.errors import ClientError
from batchway.rpc.client.settings import Hooks

T = TypeVar("T")

Run = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine from code that is not async."""


class AsyncCaller(ABC):
    """Calls methods from async code."""

    def __init__(self, hooks: Hooks, delimiter: str) -> None:
        self._make = CallMaker(hooks)
        self._delimiter = delimiter

    # --- what carries the bytes

    @abstractmethod
    async def _ask(self, call: PendingCall, timeout_s: float | None) -> None:
        """Settle one call."""

    @abstractmethod
    async def _ask_all(self, calls: Sequence[PendingCall], timeout_s: float | None) -> ClientError | None:
        """Settle all calls of a batch; what is returned concerns more than one of them."""

    @abstractmethod
    async def _ask_raw(self, body: bytes, timeout_s: float | None) -> bytes | None:
        """What the server says to a body; None if nothing."""

    @abstractmethod
    async def aclose(self) -> None:
        """Free what the client holds."""

    # --- calls

    @overload
    async def call(self, method: str, /, *params: Any, result_type: type[T], **named: Any) -> T: ...
    @overload
    async def call(self, method: str, /, *params: Any, **named: Any) -> Any: ...
    async def call(self, method: str, /, *params: Any, result_type: Any = Any, **named: Any) -> Any:
        """The result of a call, with params by position or by name.

        `result_type`: what to make of the result, as msgspec does. Raises RpcError if the server says that
        the call failed, ClientError if there is no answer.
        """
        return await self.request(method, params_of(params, named), result_type=result_type)

    async def request(
        self, method: str, params: Params = None, *, result_type: Any = Any, timeout_s: float | None = None
    ) -> Any:
        """As `call`, with the params as they are: also for those that are named `result_type`."""
        call = self._make.make(method, params, result_type=result_type)
        await self._ask(call, timeout_s)
        return call.reply.result

    async def notify(self, method: str, /, *params: Any, **named: Any) -> None:
        """Call without an answer; returns once the server has it. Raises as `call`, if it was refused."""
        call = self._make.make(method, params_of(params, named), is_notification=True)
        await self._ask(call, None)
        if call.reply.error is not None:
            raise call.reply.error

    def proxy(self, name: str, *, delimiter: str | None = None) -> Proxy:
        """The methods of a procedure as attributes: `await client.proxy("tennis").ping()`."""
        return Proxy(self.call, name + (self._delimiter if delimiter is None else delimiter))

    @overload
    def batch(self, calls: None = None, /, *, timeout_s: float | None = None) -> AsyncBatch: ...
    @overload
    def batch(
        self, calls: Iterable[CallSpec], /, *, timeout_s: float | None = None
    ) -> Coroutine[Any, Any, list[Reply[Any]]]: ...
    def batch(
        self, calls: Iterable[CallSpec] | None = None, /, *, timeout_s: float | None = None
    ) -> AsyncBatch | Coroutine[Any, Any, list[Reply[Any]]]:
        """Calls that are sent together.

        Without a list, for `async with client.batch() as batch: reply = batch.call(...)`. With a list of
        methods, or of `(method, params)`, it is awaited, and there is a reply to each of them.
        """
        collected = AsyncBatch(self._make, self._delimiter, lambda made: self._ask_all(made, timeout_s))
        return collected if calls is None else _send_list(collected, calls)

    @overload
    async def raw(self, body: bytes, /, *, timeout_s: float | None = None) -> bytes | None: ...
    @overload
    async def raw(self, body: Any, /, *, timeout_s: float | None = None) -> Any: ...
    async def raw(self, body: Any, /, *, timeout_s: float | None = None) -> Any:
        """The answer to a body as it is, well-formed or not; None if there is none.

        Bytes are answered with bytes, anything else goes through JSON both ways.
        """
        if isinstance(body, bytes):
            return await self._ask_raw(body, timeout_s)
        said = await self._ask_raw(msgspec.json.encode(body), timeout_s)
        return msgspec.json.decode(said) if said else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _send_list(batch: AsyncBatch, calls: Iterable[CallSpec]) -> list[Reply[Any]]:
    async with batch:
        return [batch.request(*spell_out(spec)) for spec in calls]


class Caller:
    """Calls methods from code that is not async: each method as AsyncCaller has it, run to its end."""

    def __init__(self, inner: AsyncCaller, run: Run) -> None:
        self._inner = inner
        self._run = run

    @overload
    def call(self, method: str, /, *params: Any, result_type: type[T], **named: Any) -> T: ...
    @overload
    def call(self, method: str, /, *params: Any, **named: Any) -> Any: ...
    def call(self, method: str, /, *params: Any, result_type: Any = Any, **named: Any) -> Any:
        """The result of a call, with params by position or by name.

        `result_type`: what to make of the result, as msgspec does. Raises RpcError if the server says that
        the call failed, ClientError if there is no answer.
        """
        return self.request(method, params_of(params, named), result_type=result_type)

    def request(
        self, method: str, params: Params = None, *, result_type: Any = Any, timeout_s: float | None = None
    ) -> Any:
        """As `call`, with the params as they are: also for those that are named `result_type`."""
        return self._run(self._inner.request(method, params, result_type=result_type, timeout_s=timeout_s))

    def notify(self, method: str, /, *params: Any, **named: Any) -> None:
        """Call without an answer; returns once the server has it. Raises as `call`, if it was refused."""
        self._run(self._inner.notify(method, *params, **named))

    def proxy(self, name: str, *, delimiter: str | None = None) -> Proxy:
        """The methods of a procedure as attributes: `client.proxy("tennis").ping()`."""
        return Proxy(self.call, name + (self._inner._delimiter if delimiter is None else delimiter))

    @overload
    def batch(self, calls: None = None, /, *, timeout_s: float | None = None) -> SyncBatch: ...
    @overload
    def batch(
        self, calls: Iterable[CallSpec], /, *, timeout_s: float | None = None
    ) -> list[Reply[Any]]: ...
    def batch(
        self, calls: Iterable[CallSpec] | None = None, /, *, timeout_s: float | None = None
    ) -> SyncBatch | list[Reply[Any]]:
        """Calls that are sent together.

        Without a list, for `with client.batch() as batch: reply = batch.call(...)`. With a list of methods,
        or of `(method, params)`, it sends them, and there is a reply to each of them.
        """
        inner = self._inner
        batch = SyncBatch(
            inner._make, inner._delimiter, lambda made: self._run(inner._ask_all(made, timeout_s))
        )
        if calls is None:
            return batch
        with batch:
            return [batch.request(*spell_out(spec)) for spec in calls]

    @overload
    def raw(self, body: bytes, /, *, timeout_s: float | None = None) -> bytes | None: ...
    @overload
    def raw(self, body: Any, /, *, timeout_s: float | None = None) -> Any: ...
    def raw(self, body: Any, /, *, timeout_s: float | None = None) -> Any:
        """The answer to a body as it is, well-formed or not; None if there is none.

        Bytes are answered with bytes, anything else goes through JSON both ways.
        """
        return self._run(self._inner.raw(body, timeout_s=timeout_s))

    def close(self) -> None:
        """Free what the client holds."""
        self._run(self._inner.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
