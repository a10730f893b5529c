"""Filling the parameters that are not sent as they are: the context, what is loaded, what is resolved."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import NODEFAULT, Raw

from batchway.errors import ConfigError
from batchway.rpc.binding import Values
from batchway.rpc.context import Context
from batchway.rpc.errors import InvalidParams
from batchway.rpc.faults import DecodeHook, Fault, Search
from batchway.rpc.inject import Bind, Inject
from batchway.rpc.signature import Parameter, hints_of
from batchway.rpc.threads import Threads
from batchway.rpc.words import Words, data

Resolver = Callable[[Any], Any]
Fill = Callable[[Values, Context], Awaitable[Any]]

_NOT_SENT: Any = object()


class Injection:
    """Fills the parameters of one function that need it.

    `sent` is what there may be in params, where a loader takes the place of what it loads.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        *,
        resolver: Resolver | None,
        threads: Threads,
        word: Words,
        dec_hook: DecodeHook | None,
    ) -> None:
        """Raises ConfigError if something is to be resolved and there is no resolver."""
        self.sent: list[Parameter] = []
        self._fills: list[tuple[str, Fill]] = []
        self._resolver = resolver
        self._threads = threads
        self._word = word
        self._dec_hook = dec_hook
        own = {one.name for one in parameters if one.is_sent}
        for one in parameters:
            match one.source:
                case "wire":
                    self.sent.append(one)
                case "context":
                    self._fills.append((one.name, _context))
                case Inject():
                    self._fills.append((one.name, self._resolving(one)))
                case Bind(path=None) as bind:
                    self.sent.append(_optional(one))
                    self._fills.append((one.name, self._loading(one, bind)))
                case Bind(path=path) as bind:
                    root = str(path).partition(".")[0]
                    if root not in own:
                        own.add(root)
                        kind = msgspec.structs.replace(one, name=root, type=Any, source="wire")
                        self.sent.append(_optional(kind))
                    self._fills.append((one.name, self._loading(one, bind)))

    def __bool__(self) -> bool:
        """Whether there is anything to fill."""
        return bool(self._fills)

    async def fill(self, values: Values, context: Context) -> None:
        """Put all that is not sent as it is into `values`, one after the other."""
        for name, fill in self._fills:
            values.named[name] = await fill(values, context)

    def _resolving(self, parameter: Parameter) -> Fill:
        resolver = self._resolver
        if resolver is None:
            message = f"parameter {parameter.name}: there is no resolver"
            raise ConfigError(message)

        async def fill(_values: Values, _context: Context) -> Any:
            found = resolver(parameter.type)
            return await found if inspect.isawaitable(found) else found

        return fill

    def _loading(self, parameter: Parameter, bind: Bind) -> Fill:
        is_async = inspect.iscoroutinefunction(bind.loader)
        contexts = [name for name, hint in hints_of(bind.loader).items() if hint is Context]

        async def fill(values: Values, context: Context) -> Any:
            if bind.path is None:
                sent = values.named[parameter.name]
            else:
                sent = self._find(bind.path, parameter, context)
            if sent is _NOT_SENT:
                return parameter.default
            load = partial(bind.loader, sent, **dict.fromkeys(contexts, context))
            if is_async:
                return await load()
            found = load() if bind.inline else await self._threads.run(context.party, load)
            return await found if inspect.isawaitable(found) else found

        return fill

    def _find(self, path: str, parameter: Parameter, context: Context) -> Any:
        """What stands at `path` in the params as they were sent. Raises InvalidParams."""
        found = context.params
        if isinstance(found, list):
            found = dict(zip((one.name for one in self.sent), found, strict=False))
        search = Search(self._dec_hook)
        for step in path.split("."):
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            elif parameter.default is not NODEFAULT:
                return _NOT_SENT
            else:
                search.add(Fault(path, "missing"))
                break
        else:
            found = search.decode(Raw(msgspec.json.encode(found)), parameter.type, path)
        if search.found:
            raise InvalidParams(data=data(search.found, self._word))
        return found


async def _context(_values: Values, context: Context) -> Context:
    return context


def _optional(parameter: Parameter) -> Parameter:
    """The parameter, where its default says that nothing was sent: that is not for a loader."""
    if parameter.default is NODEFAULT:
        return parameter
    return msgspec.structs.replace(parameter, default=_NOT_SENT)
