"""What may be set on a client."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
from msgspec import Meta, Struct

from batchway.errors import ConfigError
from batchway.model import Positive
from batchway.rpc.faults import DecodeHook

Seconds = Annotated[float, Meta(gt=0)]


class ClientOptions(TypedDict, total=False):
    """What may be given to a client by name; see `ClientSettings`."""

    headers: Mapping[str, str]
    bearer: str | None
    timeout_s: float
    connect_timeout_s: float
    max_batch: int
    auto_batch: bool
    batch_window_s: float
    retries: int
    idempotent: Sequence[str]
    max_connections: int
    idle_timeout_s: float
    max_answer_bytes: int
    verify: bool
    ca_file: str | Path | None
    delimiter: str
    enc_hook: Callable[[Any], Any] | None
    dec_hook: DecodeHook | None


class ClientSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a client asks."""

    headers: dict[str, str] = {}
    """Of every request."""
    bearer: str | None = None
    """A token, sent as `Authorization: Bearer ...`."""
    timeout_s: Seconds = 60.0
    """For a call, or a batch: from the connection to the last byte of the answer, all tries together."""
    connect_timeout_s: Seconds = 10.0
    max_batch: Positive = 100
    """Calls in one request; a batch of more is sent as several."""
    auto_batch: bool = False
    """Calls that are made within `batch_window_s` of each other leave as one batch."""
    batch_window_s: Seconds = 0.002
    retries: Annotated[int, Meta(ge=0)] = 2
    """How often to try again where nothing was sent, or all calls are `idempotent`."""
    idempotent: frozenset[str] = frozenset()
    """Methods that may run twice without harm."""
    max_connections: Positive = 10
    """Requests under way at once; more wait."""
    idle_timeout_s: Seconds = 30.0
    """How long a connection is kept that nobody uses."""
    max_answer_bytes: Positive = 64 * 1024 * 1024
    verify: bool = True
    """Whether the server's certificate has to be valid."""
    ca_file: str | None = None
    """PEM with the CAs to trust, in place of the system's."""
    delimiter: str = "@"
    """Between the names of a procedure and its method, for `proxy`."""


class Hooks(Struct, frozen=True):
    """msgspec's hooks, for types that it does not know."""

    enc_hook: Callable[[Any], Any] | None = None
    dec_hook: DecodeHook | None = None


def settle(options: ClientOptions) -> tuple[ClientSettings, Hooks]:
    """The settings that `options` stand for. Raises ConfigError naming the one that is wrong."""
    given: dict[str, Any] = dict(options)
    hooks = Hooks(given.pop("enc_hook", None), given.pop("dec_hook", None))
    if isinstance(given.get("ca_file"), Path):
        given["ca_file"] = str(given["ca_file"])
    if "headers" in given:
        given["headers"] = dict(given["headers"])
    try:
        return msgspec.convert(given, ClientSettings), hooks
    except msgspec.ValidationError as error:
        complaint, _, where = str(error).partition(" - at `$.")
        message = f"{where.rstrip('`')}: {complaint}" if where else complaint
        raise ConfigError(message) from None
