"""All connections of an app that are open, and what is told to all of them."""

from collections.abc import Iterator
from typing import Any, Protocol

from msgspec import UNSET, Raw, Struct

from batchway.formats.jsonrpc import Encode


class Recipient(Protocol):
    """A connection."""

    def post(self, message: bytes) -> bool: ...


class Notification(Struct, tag_field="jsonrpc", tag="2.0", omit_defaults=True):
    """A call that has no response."""

    method: str
    params: Any = UNSET


class Connections:
    """Those that are open, in the order in which they were opened."""

    def __init__(self, encode: Encode) -> None:
        self._encode = encode
        self._open: dict[Recipient, None] = {}

    def __iter__(self) -> Iterator[Recipient]:
        return iter(list(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Recipient) -> None:
        """Count it in."""
        self._open[connection] = None

    def discard(self, connection: Recipient) -> None:
        """Count it out, if it is in."""
        self._open.pop(connection, None)

    def notification(self, method: str, params: Any) -> bytes:
        """A notification as it is sent; without params if they are UNSET. Raises TypeError for none."""
        if params is UNSET:
            return self._encode(Notification(method))
        encoded = self._encode(params)
        if encoded[:1] not in (b"[", b"{"):
            message = "params: expected an array or an object"
            raise TypeError(message)
        return self._encode(Notification(method, Raw(encoded)))

    def broadcast(self, method: str, params: Any) -> int:
        """Send a notification to all, and wait for none. How many are to get it."""
        message = self.notification(method, params)
        return sum([connection.post(message) for connection in self])
