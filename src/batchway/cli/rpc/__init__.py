"""`batchway rpc`: a group whose commands are imported when they are run, one file each."""

import click

from batchway.cli import Commands, Entry


class RpcCommands(Commands):
    """The commands for JSON-RPC services."""

    entries = {
        "serve": Entry("batchway.cli.rpc.serve", "Serve an app over HTTP and WebSocket, or stdio."),
        "call": Entry("batchway.cli.rpc.call", "Call one method and print its result."),
        "batch": Entry("batchway.cli.rpc.batch", "Send a file of calls as one batch."),
        "openrpc": Entry("batchway.cli.rpc.openrpc", "Write the OpenRPC document of an app."),
        "new": Entry("batchway.cli.rpc.new", "Begin a service: a procedure and its test."),
    }


@click.command(cls=RpcCommands, short_help="Run, call and begin JSON-RPC services.")
def rpc() -> None:
    """Run, call and begin JSON-RPC services.

    \b
    A first service, from nothing:
      batchway rpc new tennis
      batchway rpc serve tennis:app --reload
      batchway rpc call http://127.0.0.1:8000/ tennis@ping
    """
