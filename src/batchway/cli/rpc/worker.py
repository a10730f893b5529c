"""One of several processes that serve an app: `python -m batchway.cli.rpc.worker`, for the supervisor.

Its parent gives it a bound socket, and a control socket: that is told what is served once it is, and its
end is the parent's.
"""

import asyncio
import socket
import sys

import click
import msgspec
import uvloop

from batchway.cli import logs
from batchway.cli.failures import exit_code
from batchway.cli.rpc.service import load_app
from batchway.cli.rpc.serving import Serving, describe, serve
from batchway.config import LogSettings
from batchway.errors import BatchwayError
from batchway.rpc import RpcApp


def main(options: str, listen_fd: str, control_fd: str) -> int:
    """Serve until told to stop; the exit code."""
    logs.configure(LogSettings())
    serving = msgspec.json.decode(options, type=Serving)
    bound, control = (socket.socket(fileno=int(fd)) for fd in (listen_fd, control_fd))
    with control, bound:
        try:
            app = load_app(serving.target, serving.profile)
        except BatchwayError as error:
            click.echo(f"batchway: {error.message}", err=True)
            return exit_code(error)
        uvloop.run(_serve(app, serving, bound, control))
    return 0


async def _serve(app: RpcApp, serving: Serving, bound: socket.socket, control: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=control)
    ready = msgspec.json.encode(describe(app))
    try:
        await serve(app, serving, bound, lambda: writer.write(ready + b"\n"), reader)
    finally:
        writer.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
