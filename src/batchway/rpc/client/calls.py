"""Calls on their way out, and what becomes of them. No I/O."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from batchway.rpc.client.errors import BadAnswer, ClientError
from batchway.rpc.client.settings import Hooks
from batchway.rpc.errors import RpcError

T = TypeVar("T")

Params = Sequence[Any] | Mapping[str, Any] | None
"""By position, by name, or none."""

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Reply(Generic[T]):
    """What becomes of one call of a batch. Nothing is known before the batch is sent."""

    __slots__ = ("_error", "_is_done", "_result")

    def __init__(self) -> None:
        self._is_done = False
        self._error: RpcError | ClientError | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is a result or an error."""
        return self._is_done

    @property
    def error(self) -> RpcError | ClientError | None:
        """Why there is no result; None if there is one."""
        self._check()
        return self._error

    @property
    def result(self) -> T:
        """The result. Raises the call's own error: RpcError or ClientError."""
        self._check()
        if self._error is not None:
            raise self._error
        return self._result

    def _check(self) -> None:
        if not self._is_done:
            message = "the batch is not sent yet: it is at the end of its `with` block"
            raise RuntimeError(message)

    def settle(self, result: T) -> None:
        """There is a result."""
        self._result = result
        self._is_done = True

    def fail(self, error: RpcError | ClientError) -> None:
        """There is none."""
        self._error = error
        self._is_done = True

    def __repr__(self) -> str:
        if not self._is_done:
            return "<Reply: not sent>"
        return f"<Reply: {self._result!r}>" if self._error is None else f"<Reply: {self._error}>"


class PendingCall(Struct, eq=False):
    """A call that waits for its answer; a notification if its `key` is None."""

    method: str
    key: str | None
    """The id, be it a number or a string: Sajya sends every id back as a string."""
    body: bytes
    result_type: Any
    hooks: Hooks
    reply: Reply[Any]

    def settle(self, result: Raw) -> None:
        """The server has a result."""
        try:
            found = msgspec.json.decode(result, type=self.result_type, dec_hook=self.hooks.dec_hook)
        except _NOT_JSON as error:
            self.reply.fail(BadAnswer(f"{self.method}: the result is not what was expected: {error}"))
        else:
            self.reply.settle(found)


class _Request(Struct, tag_field="jsonrpc", tag="2.0"):
    method: str
    params: Any | UnsetType = UNSET
    id: int | UnsetType = UNSET


class CallMaker:
    """Makes calls, each with an id of its own. May be used by several threads."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._ids = itertools.count(1)
        self._encode: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=hooks.enc_hook).encode

    def make(
        self, method: str, params: Params, *, result_type: Any = Any, is_notification: bool = False
    ) -> PendingCall:
        """A call that can be sent. Raises TypeError for params that JSON has not."""
        id = UNSET if is_notification else next(self._ids)
        given = UNSET if params is None else params
        if isinstance(given, str | bytes) or not isinstance(given, Sequence | Mapping | UnsetType):
            message = f"params: expected a list or a dict, got {type(params).__name__}"
            raise TypeError(message)
        body = self._encode(_Request(method, given, id))
        key = None if is_notification else str(id)
        return PendingCall(method, key, body, result_type, self._hooks, Reply())


def params_of(args: tuple[Any, ...], named: dict[str, Any]) -> Params:
    """The params that a call was written with. Raises TypeError if they are of both kinds."""
    if args and named:
        message = "JSON-RPC has params by position or by name, not both"
        raise TypeError(message)
    return args or named or None


def body_of(calls: Sequence[PendingCall], *, as_array: bool) -> bytes:
    """What is sent for calls. One that stands alone needs no array."""
    if len(calls) == 1 and not as_array:
        return calls[0].body
    return b"[" + b",".join([call.body for call in calls]) + b"]"


CallSpec = str | tuple[str, Params]
"""A call in a list: its method, with params if it has any."""


def spell_out(spec: CallSpec) -> tuple[str, Params]:
    """Method and params of a call in a list."""
    return (spec, None) if isinstance(spec, str) else spec
