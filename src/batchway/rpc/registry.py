"""All methods of an app, under their full names."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from batchway.errors import ConfigError
from batchway.rpc.context import Middleware
from batchway.rpc.method import Method, ProxyMethod, Tools
from batchway.rpc.procedure import Options, Procedure, Proxy, marked_methods
from batchway.rpc.prompt import Prompt

RESERVED = "rpc."
"""Names that begin so are for extensions of the protocol. Source: JSON-RPC 2.0, section 4."""


class Registry:
    """What can be called: what was added here, and nothing else."""

    def __init__(self, delimiter: str, middleware: Sequence[Middleware], tools: Tools) -> None:
        if not delimiter:
            message = "delimiter: expected one or more characters"
            raise ConfigError(message)
        self.methods: dict[str, Method] = {}
        self.prompts: dict[str, Prompt] = {}
        """Those of the methods that have their results on the spot."""
        self.procedures: dict[str, Procedure] = {}
        self._proxies: dict[str, Proxy] = {}
        self._delimiter = delimiter
        self._middleware = tuple(middleware)
        self._tools = tools

    def __iter__(self) -> Iterator[Method]:
        return iter(self.methods.values())

    def add_procedure(self, procedure: Procedure) -> None:
        """Add all methods of a procedure that may be called. Raises ConfigError."""
        for name, function, options in marked_methods(procedure):
            self.add(f"{procedure.name}{self._delimiter}{name}", function, options, procedure)
        self.procedures[procedure.name] = procedure
        if isinstance(procedure, Proxy):
            _check_name(procedure.name + self._delimiter)
            if procedure.name in self._proxies:
                message = f"{procedure.name}: there are two proxies of that name"
                raise ConfigError(message)
            self._proxies[procedure.name] = procedure

    def add(
        self,
        name: str,
        function: Callable[..., Any],
        options: Options,
        procedure: Procedure | None = None,
        *,
        reserved: bool = False,
    ) -> None:
        """Add one function under its full name. Raises ConfigError. `reserved`: it is one of ours."""
        if not reserved:
            _check_name(name)
        if name in self.methods:
            message = f"{name}: there are two methods of that name"
            raise ConfigError(message)
        own = () if procedure is None else procedure.middleware
        middleware = (*self._middleware, *own, *options.middleware)
        method = Method(name, function, options, middleware, self._tools)
        method.procedure = None if procedure is None else procedure.name
        self.methods[name] = method
        if method.is_prompt:
            binder = method.binder
            self.prompts[name] = (binder.decode, binder.named, function, method.is_async)

    def find_proxy(self, name: str) -> ProxyMethod | None:
        """The proxy for a name that no method has. The last delimiter ends the name of the procedure."""
        procedure, delimiter, part = name.rpartition(self._delimiter)
        proxy = self._proxies.get(procedure)
        if proxy is None or not delimiter:
            return None
        return ProxyMethod(name, proxy, part, (*self._middleware, *proxy.middleware), self._tools)


def _check_name(name: str) -> None:
    if name.startswith(RESERVED):
        message = f"{name}: names that begin with {RESERVED} are reserved"
        raise ConfigError(message)
