"""One method as it is called: its params read, its parameters filled, its limits kept."""

import dis
import inspect
import types
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct

from batchway.errors import ConfigError
from batchway.rpc.binding import Binder
from batchway.rpc.context import Context, Middleware, Proceed
from batchway.rpc.errors import Unfit
from batchway.rpc.faults import OUT_OF_RANGE, DecodeHook
from batchway.rpc.guard import Guard
from batchway.rpc.injection import Injection, Resolver
from batchway.rpc.procedure import Options, Proxy
from batchway.rpc.signature import read
from batchway.rpc.threads import Threads
from batchway.rpc.words import Words

_decode_params = msgspec.json.Decoder(list[Any] | dict[str, Any]).decode

# What `await`, `async for`, `async with` and async comprehensions are compiled to; `yield` is none of ours.
_SUSPENDING = frozenset({"GET_AWAITABLE", "GET_ANEXT", "SEND", "YIELD_VALUE"})


class Tools(Struct, frozen=True):
    """What an app has for all of its methods."""

    threads: Threads
    word: Words
    resolver: Resolver | None = None
    dec_hook: DecodeHook | None = None
    call_timeout_s: float | None = None


class Method:
    """One method. `is_prompt`: it has its result on the spot, and needs but its params for it."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        options: Options,
        middleware: Sequence[Middleware],
        tools: Tools,
    ) -> None:
        """Raises ConfigError if the function is none that could be called from JSON."""
        self.name = name
        self.procedure: str | None = None
        """The name of the procedure that it is of."""
        self.function = function
        self.options = options
        self.weight = options.weight
        self.is_async = is_async(function)
        self.signature = read(function, name)
        if _is_generator(inspect.unwrap(function)):
            message = f"{name}: a generator has no result"
            raise ConfigError(message)
        parameters = self.signature.parameters
        try:
            self._injection = Injection(
                parameters,
                resolver=tools.resolver,
                threads=tools.threads,
                word=tools.word,
                dec_hook=tools.dec_hook,
            )
            self.binder = Binder(
                parameters,
                self._injection.sent,
                tools.word,
                tools.dec_hook,
                filled=self.signature.filled,
            )
        except ConfigError as error:
            message = f"{name}: {error.message}"
            raise ConfigError(message) from None
        self._threads = tools.threads
        self._middleware = tuple(middleware)
        timeout_s = tools.call_timeout_s if options.timeout is None else options.timeout
        self._guard = Guard(timeout_s=timeout_s, concurrency=options.concurrency, rate=options.rate)
        self.is_prompt = (
            self.binder.is_plain
            and not self._injection
            and not middleware
            and options.rate is None  # time and turns are nothing to what never suspends
            and (never_suspends(function) if self.is_async else options.inline)
            and (self.is_async or not is_async(inspect.unwrap(function)))  # its result is to be awaited
        )

    async def run(self, context: Context) -> Any:
        """The result of a call. Raises RpcError or what the function raises, Unfit."""
        return await self._guard.run(
            context.party, around((*context.middleware, *self._middleware), context, self._invoke)
        )

    async def _invoke(self, context: Context) -> Any:
        binder = self.binder
        values = binder.values(context.call.params)
        await self._injection.fill(values, context)
        args, kwargs = binder.arrange(values)
        if self.is_async:
            return await self.function(*args, **kwargs)
        call = partial(self.function, *args, **kwargs)
        found = call() if self.options.inline else await self._threads.run(context.party, call)
        return await found if inspect.isawaitable(found) else found


class ProxyMethod:
    """A method that a proxy was called by and does not have."""

    is_prompt = False
    weight = 1

    def __init__(
        self, name: str, proxy: Proxy, part: str, middleware: Sequence[Middleware], tools: Tools
    ) -> None:
        self.name = name
        self._proxy = proxy
        self._part = part
        self._middleware = tuple(middleware)
        self._guard = Guard(timeout_s=tools.call_timeout_s)

    async def run(self, context: Context) -> Any:
        """What the proxy has for it."""
        return await self._guard.run(
            context.party, around((*context.middleware, *self._middleware), context, self._invoke)
        )

    async def _invoke(self, context: Context) -> Any:
        return await self._proxy.forward(self._part, read_params(context.call.params), context)


def around(
    middleware: Sequence[Middleware], context: Context, innermost: Callable[[Context], Any]
) -> Proceed:
    """`innermost` with middleware around it, the first one outside of all."""
    proceed: Proceed = partial(innermost, context)
    for one in reversed(middleware):
        proceed = partial(one, context, proceed)
    return proceed


def read_params(params: Raw) -> Any:
    """The params as they were sent, a list or a dict. Raises Unfit if they are neither."""
    try:
        return _decode_params(params)
    except msgspec.ValidationError as error:
        is_json = str(error).partition(" - at ")[0] not in OUT_OF_RANGE
        raise Unfit(msgspec.UNSET if is_json else "a number is out of range") from None


def is_async(function: Callable[..., Any]) -> bool:
    """Whether it is a coroutine function, or an object that is called as one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def never_suspends(function: Callable[..., Any]) -> bool:
    """Whether a coroutine function has no place where it could suspend. Errs on the other side.

    What is but marked as one returns a coroutine that nobody has seen.
    """
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType) or not code.co_flags & inspect.CO_COROUTINE:
        return False
    return not any(instruction.opname in _SUSPENDING for instruction in dis.get_instructions(code))
