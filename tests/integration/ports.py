"""Free TCP ports, outside the range that the kernel gives to outgoing connections."""

import random
import socket

_RANGE = range(10_240, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on, another one each time."""
    while True:
        port = random.choice(_RANGE)  # noqa: S311 - no secret
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        _given.add(port)
        return port
