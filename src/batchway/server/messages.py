"""What a supervisor and its workers say to each other, and how it stands on the wire.

A message is its length in four bytes, then msgpack. Both ends are the same program, since a worker
is a fork of its supervisor: there are no versions to get along with.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import msgspec
from msgspec import Struct

from batchway.config import Address, Settings
from batchway.errors import BatchwayError

_LENGTH_BYTES = 4


class NotSayable(BatchwayError):
    """A value that does not fit into a message."""

    code = "not_sayable"


# --- from a worker


class Joining(Struct, frozen=True, tag=True):
    """The worker follows the store: from now on every write waits for it, too."""


class Ready(Struct, frozen=True, tag=True):
    """The worker takes connections."""


class Failed(Struct, frozen=True, tag=True):
    """The worker cannot start; it ends."""

    message: str
    is_config: bool


class Wrote(Struct, frozen=True, tag=True):
    """The worker has written this revision, and waits until all have applied it."""

    revision: int


class Applied(Struct, frozen=True, tag=True):
    """The worker has applied all up to this revision."""

    revision: int


class Reloaded(Struct, frozen=True, tag=True):
    """What became of a Reload: None if it went well."""

    error: str | None


# --- from the supervisor


class Welcome(Struct, frozen=True, tag=True):
    """The answer to Joining: what others wrote before, which nobody waits for the worker with."""

    revision: int


class Written(Struct, frozen=True, tag=True):
    """Another worker has written this revision: apply it, and say so."""

    revision: int


class Settled(Struct, frozen=True, tag=True):
    """All workers have applied this revision, or are not waited for any longer."""

    revision: int


class Reload(Struct, frozen=True, tag=True):
    """Go on with these settings. The sockets of `fresh` come along, in this order."""

    settings: Settings
    fresh: tuple[Address, ...]


class Stop(Struct, frozen=True, tag=True):
    """Drain, then end."""


class Hurry(Struct, frozen=True, tag=True):
    """Cut the draining short."""


FromWorker = Joining | Ready | Failed | Wrote | Applied | Reloaded
FromSupervisor = Welcome | Written | Settled | Reload | Stop | Hurry
Message = FromWorker | FromSupervisor


def _encode_other(value: object) -> str:
    if isinstance(value, IPv4Network | IPv6Network):
        return str(value)
    message = f"a {type(value).__name__} cannot be said"
    raise NotImplementedError(message)


def _decode_other(kind: type, value: Any) -> object:
    return ip_network(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_other)
_decoder = msgspec.msgpack.Decoder(Message, dec_hook=_decode_other)


def encode(message: Message) -> bytes:
    """The message as it stands on the wire. Raises NotSayable."""
    try:
        body = _encoder.encode(message)
    except (NotImplementedError, OverflowError, ValueError, TypeError) as error:
        text = f"the settings cannot be given to the workers: {error}"
        raise NotSayable(text) from error
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def take(pending: bytearray) -> Message | None:
    """The first message in `pending`, which is taken out of there; None if it is not whole."""
    size = int.from_bytes(pending[:_LENGTH_BYTES], "big")
    end = _LENGTH_BYTES + size
    if len(pending) < end or len(pending) < _LENGTH_BYTES:
        return None
    body = bytes(pending[_LENGTH_BYTES:end])
    del pending[:end]
    message: Message = _decoder.decode(body)
    return message
