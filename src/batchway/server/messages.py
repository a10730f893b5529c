"""What a supervisor and its workers say to each other, and how it stands on the wire.

A message is its length in four bytes, then msgpack. Both ends are the same program, since a worker
is a fork of its supervisor: there are no versions to get along with.
"""

import pickle
from typing import Self

import msgspec
from msgspec import Struct

from batchway.config import Address, Settings

_LENGTH_BYTES = 4


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


class PleaseReload(Struct, frozen=True, tag=True):
    """Somebody has asked the worker that all read the configuration again."""

    request: int
    """Tells the answer from others to the same worker."""


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
    """Go on with other settings. The sockets of `fresh` come along, in this order."""

    pickled: bytes
    """The settings: msgspec knows no IP networks, and who says this is who forked us."""
    fresh: tuple[Address, ...]

    @classmethod
    def to(cls, settings: Settings, fresh: tuple[Address, ...]) -> Self:
        """Go on with these settings."""
        return cls(pickle.dumps(settings), fresh)

    def settings(self) -> Settings:
        """Those to go on with."""
        found: Settings = pickle.loads(self.pickled)  # noqa: S301 - see there
        return found


class ReloadDone(Struct, frozen=True, tag=True):
    """The answer to PleaseReload: None if it went well."""

    request: int
    error: str | None


class Stop(Struct, frozen=True, tag=True):
    """Drain, then end."""


class Hurry(Struct, frozen=True, tag=True):
    """Cut the draining short."""


FromWorker = Joining | Ready | Failed | Wrote | Applied | Reloaded | PleaseReload
FromSupervisor = Welcome | Written | Settled | Reload | ReloadDone | Stop | Hurry
Message = FromWorker | FromSupervisor


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """The message as it stands on the wire."""
    body = _encoder.encode(message)
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
