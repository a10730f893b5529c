"""What the author of a service writes: procedures, and which of their methods may be called."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar, overload

from msgspec import Struct

from batchway.errors import ConfigError
from batchway.rpc.context import Context, Middleware
from batchway.rpc.errors import RpcError

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__batchway_method__"


_NUMBERS: dict[str, Any] = {"timeout": int | float, "concurrency": int, "rate": int | float, "weight": int}


class Options(Struct, frozen=True, kw_only=True):
    """What may be said of a method."""

    name: str | None = None
    """What it is called; else as the function."""
    inline: bool = False
    """A synchronous one is quick: it runs in the event loop, not in a thread."""
    timeout: float | None = None
    """Seconds that a call may take; what it waits for its turn counts."""
    concurrency: int | None = None
    """Calls that run at once, of all batches."""
    rate: float | None = None
    """Calls a second, of all batches; a second's worth may come at once."""
    weight: int = 1
    """What a call counts for under `max_weight`. With the limits of a gateway each counts for one."""
    idempotent: bool = False
    """A call changes nothing, so that it may come by GET."""
    middleware: tuple[Middleware, ...] = ()
    """Around each call, inside of that of the procedure and the app."""
    errors: tuple[type[RpcError], ...] = ()
    """Those that it raises, for the OpenRPC document."""


@overload
def method(function: F, /) -> F: ...
@overload
def method(
    *,
    name: str | None = None,
    inline: bool = False,
    timeout: float | None = None,
    concurrency: int | None = None,
    rate: float | None = None,
    weight: int = 1,
    idempotent: bool = False,
    middleware: Sequence[Middleware] = (),
    errors: Sequence[type[RpcError]] = (),
) -> Callable[[F], F]: ...
def method(function: F | None = None, /, **options: Any) -> F | Callable[[F], F]:
    """Mark a method of a Procedure as one that may be called. For the options see `Options`."""
    found = make_options(options)
    if function is not None and not callable(getattr(function, "__func__", function)):
        message = "@method: a name is given as name="
        raise ConfigError(message)

    def mark(function: F) -> F:
        setattr(function, _MARK, found)
        return function

    return mark if function is None else mark(function)


def make_options(options: dict[str, Any]) -> Options:
    """Options that have been checked. Raises ConfigError."""
    sequences = {name: tuple(options.get(name, ())) for name in ("middleware", "errors")}
    found = Options(**{**options, **sequences})
    for name, kind in _NUMBERS.items():
        value = getattr(found, name)
        if value is not None and not (isinstance(value, kind) and value > 0):
            message = f"{name}: expected a {'whole number' if kind is int else 'number'} above 0"
            raise ConfigError(message)
    return found


class Procedure:
    """Methods under one name: those marked with `@method`, in the class itself.

    None that is private, inherited or not marked can be called. To offer an inherited one, mark it anew:
    `ping = method(Base.ping)`.
    """

    name: ClassVar[str] = ""
    """What its methods are called by: `tennis` in `tennis@ping`."""
    middleware: ClassVar[Sequence[Middleware]] = ()
    """Around each call of its methods, inside of the app's."""


class Proxy(Procedure):
    """A procedure that also receives each call under its name for which it has no method."""

    async def forward(self, method: str, params: list[Any] | dict[str, Any], context: Context) -> Any:
        """The result of a call. `method`: the name without that of the procedure, whatever was sent."""
        raise NotImplementedError


def marked_methods(procedure: Procedure) -> Iterator[tuple[str, Callable[..., Any], Options]]:
    """Name, function and options of each method that may be called. Raises ConfigError for private ones."""
    cls = type(procedure)
    for attribute, value in vars(cls).items():
        options = getattr(value, _MARK, None) or getattr(getattr(value, "__func__", None), _MARK, None)
        if options is None:
            continue
        name = options.name or attribute
        if attribute.startswith("_") or name.startswith("_"):
            message = f"{cls.__name__}.{attribute}: a private method cannot be called"
            raise ConfigError(message)
        # Of the class, not of the instance: an attribute of that name must not take its place.
        bound = value.__get__(procedure, cls) if hasattr(value, "__get__") else value
        yield name, bound, options


def make(given: type[Procedure] | Procedure, resolver: Callable[[Any], Any] | None) -> Procedure:
    """The procedure itself; a class is made one of by the resolver, if there is one. Raises ConfigError."""
    found = given
    if inspect.isclass(given):
        found = given() if resolver is None else resolver(given)
    if not isinstance(found, Procedure):
        message = f"{getattr(given, '__name__', given)!r} is no Procedure"
        raise ConfigError(message)
    if not found.name:
        message = f"{type(found).__name__}: a procedure needs a name"
        raise ConfigError(message)
    return found
