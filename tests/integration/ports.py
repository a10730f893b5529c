"""Free TCP ports, outside the range that the kernel gives to outgoing connections.

Between the look whether a port is free and its use, another run of these tests could take it. So each run
has blocks of ports to itself: it holds a name for each that no other process of this machine can have.
"""

import socket
import threading
from collections.abc import Iterator

_RANGE = range(10_240, 32_000)
_BLOCK = 256
_lock = threading.Lock()


def free_port() -> int:
    """A port that nobody listens on, another one each time."""
    with _lock:
        return next(port for port in _ours if _is_free(port))


def _blocks() -> Iterator[int]:
    for first in _RANGE[::_BLOCK]:
        if _hold(f"\0batchway-tests-{first}"):
            yield from range(first, first + _BLOCK)


def _hold(name: str) -> bool:
    """Whether nobody has had the abstract socket of that name; now we do, until the process ends."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(name)
    except OSError:
        holder.close()
        return False
    holder.detach()
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


_ours = _blocks()
