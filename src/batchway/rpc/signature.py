"""What a function asks for, parameter by parameter."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

from msgspec import NODEFAULT, Struct

from batchway.errors import ConfigError
from batchway.rpc.context import Context
from batchway.rpc.inject import Bind, Inject

Source = Literal["wire", "context"] | Bind | Inject

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
KEYWORD = inspect.Parameter.KEYWORD_ONLY
REST = inspect.Parameter.VAR_POSITIONAL
MORE = inspect.Parameter.VAR_KEYWORD


class Parameter(Struct, frozen=True):
    """One parameter: what is sent for it, and how it is filled."""

    name: str
    kind: Any
    """One of inspect.Parameter's kinds."""
    type: Any
    """Of what is sent; for `*args` and `**kwargs`, of each. For one that is injected, its own."""
    default: Any = NODEFAULT
    source: Source = "wire"

    @property
    def required(self) -> bool:
        """Whether a call without it is wrong."""
        return self.default is NODEFAULT and self.kind not in (REST, MORE)

    @property
    def is_sent(self) -> bool:
        """Whether something under its own name comes over the wire."""
        match self.source:
            case "wire":
                return True
            case Bind(path=None):
                return True
        return False


class Signature(Struct, frozen=True):
    """The parameters of a function, in order, and what it returns."""

    parameters: tuple[Parameter, ...]
    returns: Any
    filled: frozenset[str] = frozenset()
    """Names that cannot be given, as they have their values already: `self`, and what `partial` binds."""


def read(function: Callable[..., Any], name: str) -> Signature:
    """The signature of a function or bound method. Raises ConfigError, which begins with `name`."""
    try:
        hints = hints_of(function)
        found = inspect.signature(function).parameters.values()
        parameters = tuple(_read(one, hints.get(one.name, Any)) for one in found)
        filled = frozenset(_filled(function))
    except (NameError, TypeError, ValueError) as error:
        message = f"{name}: {error}"
        raise ConfigError(message) from error
    return Signature(parameters, hints.get("return", Any), filled)


def _filled(function: Callable[..., Any]) -> Iterator[str]:
    """Names of what stands behind `function` that are none of its own."""
    if inspect.isclass(function) or inspect.isbuiltin(function):
        return
    behind = getattr(function, "__func__", None)
    if isinstance(function, partial):
        behind = function.func
    elif not inspect.isroutine(function):
        behind = type(function).__call__
    if behind is None:
        return
    own = inspect.signature(function).parameters
    for one in inspect.signature(behind).parameters.values():
        if one.name not in own and one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            yield one.name
    yield from _filled(behind)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The type hints of a function, a method, a partial, or an object that can be called."""
    if isinstance(function, partial):
        return hints_of(function.func)
    if inspect.isclass(function):
        function = function.__init__
    elif not inspect.isroutine(function):
        function = type(function).__call__
    return typing.get_type_hints(inspect.unwrap(function), include_extras=True)


def _read(parameter: inspect.Parameter, hint: Any) -> Parameter:
    default = NODEFAULT if parameter.default is inspect.Parameter.empty else parameter.default
    source: Source = "wire"
    kind = Any if hint is object else hint
    if is_context(hint):
        source = "context"
    for own, extra in _extras(hint):
        if isinstance(extra, Bind):
            source, kind = extra, _sent_to(extra.loader)
        elif _is_inject(extra):
            source, kind = Inject(), own
    if source == "wire" and _is_marked_within(hint):
        message = f"parameter {parameter.name}: Bind and Inject are for a whole parameter"
        raise TypeError(message)
    return Parameter(parameter.name, parameter.kind, kind, default, source)


def _extras(hint: Any) -> Iterator[tuple[Any, Any]]:
    """What is annotated, each with the type that it stands beside; of `Annotated[...] | None`, too."""
    if typing.get_origin(hint) is typing.Annotated:
        yield from _extras(typing.get_args(hint)[0])
        yield from ((typing.get_args(hint)[0], extra) for extra in hint.__metadata__)
    elif typing.get_origin(hint) in (typing.Union, types.UnionType):
        for one in typing.get_args(hint):
            yield from _extras(one)


def _is_inject(extra: Any) -> bool:
    return isinstance(extra, Inject) or extra is Inject


def _is_marked_within(hint: Any) -> bool:
    """Whether a part of a type is to be loaded or resolved. msgspec would take what was sent for it."""
    extras = getattr(hint, "__metadata__", ())
    return any(isinstance(extra, Bind) or _is_inject(extra) for extra in extras) or any(
        map(_is_marked_within, typing.get_args(hint))
    )


def is_context(hint: Any) -> bool:
    """Whether it is the Context, be it annotated, or one of `Context | None`."""
    while typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return any(map(is_context, typing.get_args(hint)))
    return isinstance(hint, type) and issubclass(hint, Context)


def _sent_to(loader: Callable[..., Any]) -> Any:
    """The type of a loader's first parameter."""
    hints = hints_of(loader)
    first = next(iter(inspect.signature(loader).parameters), "")
    return hints.get(first, Any)
