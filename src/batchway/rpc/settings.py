"""What may be set on an RpcApp, and the two profiles that set it."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from batchway.errors import ConfigError
from batchway.formats.jsonrpc import Dialect, Error
from batchway.formats.sajya import SajyaDialect
from batchway.model import Positive
from batchway.rpc import words
from batchway.rpc.faults import Fault

Seconds = Annotated[float, Meta(gt=0)]


class RpcLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What batches may cost. A bound that is reached costs the calls beyond it, not those before."""

    max_items: Positive = 100
    max_body_bytes: Positive = 1024 * 1024
    max_reply_bytes: Positive = 10 * 1024 * 1024
    max_response_bytes: Positive = 64 * 1024 * 1024
    max_depth: Positive = 128
    """How deep arrays and objects in the params of a call may be nested."""
    max_weight: Positive | None = None
    """What the calls of a batch may weigh together; a method's `weight` is 1 if it says nothing else."""
    timeout_s: Seconds = 30.0
    """For a batch."""
    call_timeout_s: Seconds | None = None
    """For a call whose method has no `timeout` of its own."""
    concurrency: Positive = 100
    """Calls of one batch that run at once."""
    threads: Positive = 16
    """Synchronous methods that run at once, of all batches."""
    max_waiting: Positive = 1000
    """Calls that may wait for a thread."""
    max_background: Positive = 1000
    """Pieces of work that were put off by `Context.after` and are not done."""
    background_concurrency: Positive = 16
    background_grace_s: Seconds = 10.0
    """How long such work may go on once the app is closed."""
    connection_concurrency: Positive = 32
    """Messages of one connection, or bodies on standard input, that are answered at once."""
    max_unsent_bytes: Positive = 1024 * 1024
    """Broadcasts that one connection may leave unread; it is closed if there are more."""


class LimitOptions(TypedDict, total=False):
    """Each limit of RpcLimits under its own name, in place of what `limits` says."""

    max_items: int
    max_body_bytes: int
    max_reply_bytes: int
    max_response_bytes: int
    max_depth: int
    max_weight: int | None
    timeout_s: float
    call_timeout_s: float | None
    concurrency: int
    threads: int
    max_waiting: int
    max_background: int
    background_concurrency: int
    background_grace_s: float
    connection_concurrency: int
    max_unsent_bytes: int


class TooMany(Struct, frozen=True):
    """The one answer to a batch of more than `max_items` calls; `in_array` puts it into an array."""

    code: int = -32000
    message: str = "Too many calls in one batch"
    data: Any | UnsetType = UNSET
    in_array: bool = False

    @property
    def error(self) -> Error:
        """The error object."""
        return Error(self.code, self.message, self.data)


class Profile(Struct, frozen=True):
    """A way to behave: how envelopes are written, what is said of params, and some defaults."""

    dialect: Dialect
    word: Callable[[Fault], str]
    too_many: TooMany
    limits: RpcLimits = RpcLimits()


PROFILES = {
    "standard": Profile(Dialect(), words.plain, TooMany()),
    "sajya": Profile(
        SajyaDialect(),
        words.laravel,
        TooMany(message="Maximum batch size exceeded."),
        RpcLimits(max_items=30),
    ),
}


def find_profile(name: str) -> Profile:
    """The profile of that name. Raises ConfigError."""
    if name not in PROFILES:
        message = f"profile: expected {' or '.join(PROFILES)}"
        raise ConfigError(message)
    return PROFILES[name]


def settle(limits: RpcLimits, options: Mapping[str, Any]) -> RpcLimits:
    """`limits` with what `options` has in its place. Raises ConfigError naming the one that is wrong."""
    try:
        return msgspec.convert({**msgspec.structs.asdict(limits), **options}, RpcLimits)
    except msgspec.ValidationError as error:
        complaint, _, where = str(error).partition(" - at `$.")
        message = f"{where.rstrip('`')}: {complaint}" if where else complaint
        raise ConfigError(message) from None
