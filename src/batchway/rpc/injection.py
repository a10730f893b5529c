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
from batchway.rpc.signature import MORE, REST, Parameter, hints_of, is_context
from batchway.rpc.threads import Threads
from batchway.rpc.words import Words, data

Resolver = Callable[[Any], Any]
Fill = Callable[[Values, Context], Awaitable[None]]
"""Puts one parameter into the values."""
Load = Callable[[Any, Context], Awaitable[Any]]

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
        self._fills: list[Fill] = []
        self._paths: list[tuple[str, Parameter]] = []
        self._resolver = resolver
        self._threads = threads
        self._word = word
        self._dec_hook = dec_hook
        own = {one.name for one in parameters if one.is_sent}
        for one in parameters:
            if one.kind in (REST, MORE) and one.source != "wire" and not one.is_sent:
                message = f"parameter {one.name}: * and ** are for what is sent, each under its own name"
                raise ConfigError(message)
            match one.source:
                case "wire":
                    self.sent.append(one)
                case "context":
                    self._fills.append(_giving(one))
                case Inject():
                    self._fills.append(self._resolving(one))
                case Bind(path=None) as bind:
                    self.sent.append(_optional(one))
                    self._fills.append(self._loading(one, bind))
                case Bind(path=path) as bind:
                    root = str(path).partition(".")[0]
                    if root not in own:
                        own.add(root)
                        kind = msgspec.structs.replace(one, name=root, type=Any, source="wire")
                        self.sent.append(_optional(kind))
                    self._paths.append((str(path), one))
                    self._fills.append(self._loading(one, bind))

    def __bool__(self) -> bool:
        """Whether there is anything to fill."""
        return bool(self._fills)

    async def fill(self, values: Values, context: Context) -> None:
        """Put all that is not sent as it is into `values`, one after the other. Raises InvalidParams."""
        if self._paths:
            self._find_all(values, context)
        for fill in self._fills:
            await fill(values, context)

    def _resolving(self, parameter: Parameter) -> Fill:
        resolver = self._resolver
        if resolver is None:
            message = f"parameter {parameter.name}: there is no resolver"
            raise ConfigError(message)

        async def fill(values: Values, _: Context) -> None:
            found = resolver(parameter.type)
            values.named[parameter.name] = await found if inspect.isawaitable(found) else found

        return fill

    def _loading(self, parameter: Parameter, bind: Bind) -> Fill:
        name, load = parameter.name, self._loader(parameter, bind)

        async def fill(values: Values, context: Context) -> None:
            sent = values.named[name]
            values.named[name] = parameter.default if sent is _NOT_SENT else await load(sent, context)

        async def fill_rest(values: Values, context: Context) -> None:
            values.rest = [await load(sent, context) for sent in values.rest]

        async def fill_more(values: Values, context: Context) -> None:
            values.more = {name: await load(sent, context) for name, sent in values.more.items()}

        return {REST: fill_rest, MORE: fill_more}.get(parameter.kind, fill)

    def _loader(self, parameter: Parameter, bind: Bind) -> Load:
        loader = bind.loader
        is_async = inspect.iscoroutinefunction(loader)
        contexts = [name for name, hint in hints_of(loader).items() if is_context(hint)]
        _check_loader(parameter, loader, contexts)

        async def load(sent: Any, context: Context) -> Any:
            call = partial(loader, sent, **dict.fromkeys(contexts, context))
            if is_async:
                return await call()
            found = call() if bind.inline else await self._threads.run(context.party, call)
            return await found if inspect.isawaitable(found) else found

        return load

    def _find_all(self, values: Values, context: Context) -> None:
        """Put what loaders get that stands at a path into `values`. Raises InvalidParams."""
        params = context.params
        if isinstance(params, list):
            params = dict(zip((one.name for one in self.sent), params, strict=False))
        search = Search(self._dec_hook)
        for path, parameter in self._paths:
            values.named[parameter.name] = _find(params, path, parameter, search)
        if search.found:
            raise InvalidParams(data=data(search.found, self._word))


def _find(params: Any, path: str, parameter: Parameter, search: Search) -> Any:
    """What stands at `path` in params as they were sent; None if that is wrong."""
    found = params
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        elif parameter.default is not NODEFAULT:
            return _NOT_SENT
        else:
            search.add(Fault(path, "missing"))
            return None
    return search.decode(Raw(msgspec.json.encode(found)), parameter.type, path)


def _check_loader(parameter: Parameter, loader: Callable[..., Any], contexts: Sequence[str]) -> None:
    """Raises ConfigError for one that cannot be called with what was sent, and the context."""
    try:
        inspect.signature(loader).bind(None, **dict.fromkeys(contexts))
    except TypeError as error:
        message = f"parameter {parameter.name}: its loader gets what was sent, and the Context: {error}"
        raise ConfigError(message) from None


def _giving(parameter: Parameter) -> Fill:
    async def fill(values: Values, context: Context) -> None:
        values.named[parameter.name] = context

    return fill


def _optional(parameter: Parameter) -> Parameter:
    """The parameter, where its default says that nothing was sent: that is not for a loader."""
    if parameter.default is NODEFAULT:
        return parameter
    return msgspec.structs.replace(parameter, default=_NOT_SENT)
