"""JSON documents as Structs, and what is wrong with one that is none, in words. No I/O.

A property that APISIX has and batchway has not is refused by name, and so is one that neither knows.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Struct

from batchway.config.resources.common import Label, Weight, shown, type_name
from batchway.config.resources.route import Route, Service
from batchway.config.resources.upstream import Tls, Upstream
from batchway.errors import InvalidResource

T = TypeVar("T", bound=Struct)


def decode(document: object, kind: type[T], what: str, *, show_values: bool = True) -> T:
    """`document` (parsed JSON) as a `kind`.

    Raises InvalidResource with one line: `invalid {what}: property "a.b": expected X, got Y`.
    Without `show_values`, Y is only the type of the value: for documents that hold credentials.
    """
    try:
        value = msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        text = _explain(str(error), document, kind, show_values=show_values)
        msg = f"invalid {what}: {text}"
        raise InvalidResource(msg) from None
    if null := _find_null(document):
        msg = f"invalid {what}: property {shown(null)}: expected a value, got null"
        raise InvalidResource(msg)
    return value


_INNER = frozenset(
    "active checks healthy keepalive_pool nodes passive timeout tls unhealthy upstream".split()
)
"""Properties whose objects are Structs: others may have nulls that mean something."""


def _find_null(value: object, where: str = "") -> str:
    """A property that is null, or "": APISIX refuses it, msgspec takes it for absent."""
    if value is None:
        return where
    inner: Iterable[tuple[str, object]] = ()
    if isinstance(value, dict):
        inner = ((_joined(where, name), one) for name, one in value.items() if _is_ours(name, one))
    elif isinstance(value, list):
        inner = ((f"{where}[{index}]", one) for index, one in enumerate(value))
    return next((found for place, one in inner if (found := _find_null(one, place))), "")


def _is_ours(name: str, value: object) -> bool:
    return value is None or name in _INNER


# --- msgspec's messages in our words

_NOT_SUPPORTED: dict[type[Struct], frozenset[str]] = {
    Route: frozenset("enable_websocket filter_func script script_id service_protocol".split()),
    Service: frozenset("enable_websocket script".split()),
    Upstream: frozenset("discovery_args discovery_type service_name warm_up_conf".split()),
    Tls: frozenset(["ca_id", "client_cert_id"]),
}
"""APISIX's properties that batchway does not have."""

_VALUES_NOT_SUPPORTED: dict[tuple[type[Struct], str], Callable[[object], bool]] = {
    (Upstream, "scheme"): {"grpc", "grpcs", "tcp", "tls", "udp", "kafka"}.__contains__,
}
"""APISIX's values that batchway does not have."""

_SECRETS = frozenset({"client_key"})
"""Properties whose values are never shown."""

_DICT_VALUES: dict[str, Any] = {"labels": Label, "nodes": Weight, "plugins": dict[str, Any]}
"""Types of values in properties with free keys: msgspec does not tell which key it was."""

_PATH = re.compile(r"(?P<text>.*) - at `\$(?P<path>[^`]*)`", re.DOTALL)
_PATH_STEP = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")


def _explain(message: str, document: object, kind: type[Struct], *, show_values: bool) -> str:
    parts = _PATH.fullmatch(message)
    text, path = (parts["text"], parts["path"]) if parts else (message, "")
    where, value, owner = _locate(path, document, kind)
    if unknown := _UNKNOWN.fullmatch(text):
        return _explain_unknown(unknown[1], where, owner)
    if missing := _MISSING.fullmatch(text):
        return f"property {shown(_joined(where, missing[1]))} is required"
    prefix = f"property {shown(where)}: " if where else ""
    step = where.rpartition(".")[2]
    is_shown = show_values and step not in _SECRETS
    got = shown(value) if is_shown else type_name(value)
    if text.startswith("Invalid enum value"):
        return prefix + _explain_choice(step, value, owner, got if is_shown else f"another {got}")
    if not text.startswith("Expected"):
        return prefix + text  # from a __post_init__
    expected = text.partition(", got")[0].replace("`", "").replace(" | null", "")
    return f"{prefix}{expected[0].lower()}{expected[1:]}, got {got}"


def _explain_unknown(name: str, where: str, owner: type[Struct]) -> str:
    property_ = shown(_joined(where, name))
    if name in _NOT_SUPPORTED.get(owner, ()):
        return f"property {property_} is not supported by batchway"
    return f"unknown property {property_}"


def _explain_choice(step: str, value: object, owner: type[Struct], got: str) -> str:
    name = step.partition("[")[0]
    choices = [shown(choice) for choice in _literals(get_type_hints(owner)[name])]
    expected = choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    is_apisix = _VALUES_NOT_SUPPORTED.get((owner, name))
    if is_apisix is not None and is_apisix(value):
        return f"{got} is not supported by batchway, expected {expected}"
    return f"expected {expected}, got {got}"


def _literals(annotation: object) -> Iterator[object]:
    """The values that a Literal allows, wherever it stands in `annotation`."""
    for arg in get_args(annotation):
        if isinstance(arg, str | int):
            yield arg
        else:
            yield from _literals(arg)


def _locate(path: str, value: Any, owner: type[Struct]) -> tuple[str, object, type[Struct]]:
    """Where msgspec's `path` leads: as text, the value there, the Struct that it belongs to."""
    where = ""
    for name, index in _PATH_STEP.findall(path):
        step = name or (_culprit(where, value) if index == "..." else int(index))
        try:
            value = value[step]
        except (LookupError, TypeError):  # no path, but a property that is named like one
            break
        if name:
            owner = _struct_in(get_type_hints(owner).get(name)) or owner
        where = _joined(where, name) if name else f"{where}[{step}]"
    return where, value, owner


def _struct_in(annotation: object) -> type[Struct] | None:
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _struct_in(arg))), None)


def _culprit(where: str, values: dict[str, object]) -> str:
    """The key whose value is not what the property at `where` asks for."""
    wanted = _DICT_VALUES.get(where.rpartition(".")[2], Any)
    for key, value in values.items():
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError:
            return key
    return ""


def _joined(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
