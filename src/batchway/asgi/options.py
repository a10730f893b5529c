"""What may be set on a batch endpoint."""

from collections.abc import Iterable
from typing import Annotated, Any, TypedDict, TypeVar

import msgspec
from msgspec import Meta, Struct

from batchway.errors import ConfigError
from batchway.model import Limits, Positive

S = TypeVar("S", bound=Struct)
Seconds = Annotated[float, Meta(ge=0)]
HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$")]


class LimitOptions(TypedDict, total=False):
    """Each limit of `Limits` under its own name, in place of what `limits` says."""

    max_body_size: int
    max_pipeline_items: int
    timeout: int
    max_timeout: int
    concurrency: int
    max_reply_size: int
    max_response_size: int


class Options(LimitOptions, total=False):
    """The keyword arguments of BatchMiddleware and BatchEndpoint; `Settings` has the defaults."""

    limits: Limits
    protected: Iterable[str]
    max_calls: int
    background_grace_s: float


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Options that have been checked."""

    limits: Limits = Limits()
    protected: frozenset[HeaderName] = frozenset()
    """Headers that only a proxy in front may set: no item can, each has the outer request's."""
    max_calls: Positive = 1000
    """Calls of the app that may be under way for all batches, those in their background work included."""
    background_grace_s: Seconds = 10.0
    """How long background work may go on once the server shuts down."""


def settle(options: Options) -> Settings:
    """The settings that `options` ask for. Raises ConfigError naming the first wrong one."""
    given: dict[str, Any] = dict(options)
    limits = given.pop("limits", Settings().limits)
    if not isinstance(limits, Limits):
        message = "limits: expected an instance of Limits"
        raise ConfigError(message)
    own = {name: given.pop(name) for name in Limits.__struct_fields__ if name in given}
    limits = _convert({**msgspec.structs.asdict(limits), **own}, Limits)
    if isinstance(given.get("protected"), str):  # an iterable of strings too, but not of names
        message = "protected: expected several header names"
        raise ConfigError(message)
    settings = _convert({**given, "limits": limits}, Settings)
    # `_` and `-` are one to servers that make environment variables of headers, and to Django.
    protected = frozenset(name.lower().replace("_", "-") for name in settings.protected)
    return msgspec.structs.replace(settings, protected=protected)


def _convert(given: dict[str, Any], kind: type[S]) -> S:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        complaint, _, where = str(error).partition(" - at ")
        if complaint.startswith("Object contains unknown field"):
            message = f"unknown option {complaint.rpartition(' ')[2]}"
        else:
            message = f"{where.strip('`').removeprefix('$.')}: {complaint}"
        raise ConfigError(message) from None
