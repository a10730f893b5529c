"""The OpenRPC document of a service, from signatures and docstrings. Source: OpenRPC Specification 1.3."""

import inspect
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import NODEFAULT, Raw

from batchway.rpc.errors import CallTimedOut, LimitExceeded
from batchway.rpc.method import Method
from batchway.rpc.procedure import Options, Procedure
from batchway.rpc.registry import RESERVED, Registry
from batchway.rpc.signature import KEYWORD, MORE, REST, Parameter

DISCOVER = "rpc.discover"
OPENRPC_VERSION = "1.3.2"

SPREAD = "x-spread"
"""Says of a parameter that what it has is sent in its place: further params, by position or by name."""

_REFERENCE = "#/components/schemas/{name}"


class Discovery:
    """Describes all methods of a registry, but for reserved ones."""

    def __init__(self, registry: Registry, *, title: str, version: str) -> None:
        self._registry = registry
        self._info = {"title": title, "version": version}
        self._made: tuple[int, bytes] | None = None

    async def discover(self) -> Raw:
        """The OpenRPC document of this service."""
        return Raw(self.encoded())

    def encoded(self) -> bytes:
        """The document as JSON: the same object, until a method is added."""
        count = len(self._registry.methods)  # methods are added, and never taken away
        if self._made is None or self._made[0] != count:
            self._made = (count, msgspec.json.encode(self.document()))
        return self._made[1]

    def document(self) -> dict[str, Any]:
        """The document, as JSON has it."""
        found = [one for one in self._registry if not one.name.startswith(RESERVED)]
        schemas = _Schemas(found)
        methods = [self._describe(one, schemas) for one in sorted(found, key=lambda one: one.name)]
        document = {"openrpc": OPENRPC_VERSION, "info": self._info, "methods": methods}
        if schemas.components:
            document["components"] = {"schemas": schemas.components}
        return document

    def _describe(self, method: Method, schemas: "_Schemas") -> dict[str, Any]:
        sent = method.binder.sent
        described: dict[str, Any] = {"name": method.name}
        if method.procedure is not None:
            procedure = type(self._registry.procedures[method.procedure])
            described["tags"] = [_tag(method.procedure, procedure)]
        described |= _words(method.function)
        by_name = any(one.kind is KEYWORD and one.required for one in sent)
        described["paramStructure"] = "by-name" if by_name else "either"
        # Required ones stand first, whatever Python allows: OpenRPC, Method Object.
        ordered = sorted(sent, key=lambda one: not one.required)
        described["params"] = [_content(one, schemas) for one in ordered]
        described["result"] = {"name": "result", "schema": schemas.of(method.signature.returns)}
        errors = _errors(method.options)
        if errors:
            described["errors"] = errors
        return described


def _errors(options: Options) -> list[dict[str, Any]]:
    """The errors that a method is said to have, and those that its limits bring."""
    kinds = list(options.errors)
    if options.rate is not None:
        kinds.append(LimitExceeded)
    if options.timeout is not None:
        kinds.append(CallTimedOut)
    return [{"code": one.code, "message": one.message} for one in kinds]


def _content(parameter: Parameter, schemas: "_Schemas") -> dict[str, Any]:
    """The content descriptor of a parameter."""
    schema = schemas.of(parameter.type)
    if parameter.kind is REST:
        schema = {"type": "array", "items": schema}
    elif parameter.kind is MORE:
        schema = {"type": "object", "additionalProperties": schema}
    elif parameter.default is not NODEFAULT:
        schema |= _default(parameter.default)
    content = {"name": parameter.name, "required": parameter.required, "schema": schema}
    if "description" in schema:
        content["description"] = schema["description"]
    if parameter.kind in (REST, MORE):
        content[SPREAD] = True
    return content


def _default(value: Any) -> dict[str, Any]:
    try:
        return {"default": msgspec.to_builtins(value)}
    except TypeError:  # none that JSON has, as that of a parameter for which something is loaded
        return {}


def _tag(name: str, procedure: type[Procedure]) -> dict[str, str]:
    """A procedure, with its docstring. Tags have no summary."""
    text = inspect.cleandoc(procedure.__doc__ or "")
    return {"name": name, "description": text} if text else {"name": name}


def _words(documented: Any) -> dict[str, str]:
    """The first line of a docstring, and the rest of it."""
    while isinstance(documented, partial):  # what partial says of itself is not meant
        documented = documented.func
    text = inspect.cleandoc(documented.__doc__ or "")
    summary, _, description = text.partition("\n")
    found = {"summary": summary, "description": description.strip()}
    return {name: words for name, words in found.items() if words}


class _Schemas:
    """JSON Schemas of all types that methods have; those of classes are kept apart, as `components`."""

    def __init__(self, methods: Sequence[Method]) -> None:
        kinds = [kind for method in methods for kind in _kinds(method) if _has_schema(kind)]
        self.components: dict[str, Any] = {}
        self._schemas: dict[int, dict[str, Any]] = {}
        self._kinds = kinds  # kept, so that no other gets the id of one
        try:
            self._add(kinds)  # all at once, so that classes of one name get different ones
        except KeyError:  # two of one module and name are too much for msgspec
            for kind in kinds:
                self._add([kind])

    def _add(self, kinds: Sequence[Any]) -> None:
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
        self.components |= components
        self._schemas |= {id(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type; of one that msgspec does not know, one that takes all."""
        return dict(self._schemas.get(id(kind), {}))


def _kinds(method: Method) -> Iterator[Any]:
    yield method.signature.returns
    yield from (one.type for one in method.binder.sent)


def _has_schema(kind: Any) -> bool:
    try:
        msgspec.json.schema_components([kind])
    except (TypeError, RuntimeError):
        return False
    return True
