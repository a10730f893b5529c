"""An upstream that answers a GET with "slow" in its target after a fixed time, and others at once.

However many are waiting, none waits for another.
"""

import argparse
import asyncio
from typing import cast

import uvloop

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"


class SlowProtocol(asyncio.Protocol):
    """One connection; requests have no body, so a blank line ends each."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._rest = b""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answers that are still due go nowhere."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole, now or later."""
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            if b"slow" in request.partition(b"\r\n")[0]:
                self._loop.call_later(self._delay_s, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(RESPONSE)


async def serve(port: int, delay_ms: float) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SlowProtocol(delay_ms / 1000), "127.0.0.1", port, backlog=1024)
    await loop.create_future()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay-ms", type=float, default=20)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.delay_ms))


if __name__ == "__main__":
    main()
