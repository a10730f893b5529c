"""`batchway rpc openrpc`: what a service offers, as a document for tools and people."""

from pathlib import Path

import click
import msgspec

from batchway.cli.failures import BadFile
from batchway.cli.rpc.service import load_app


@click.command(short_help="Write the OpenRPC document of an app.")
@click.argument("target", metavar="MODULE:APP")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write.  [default: the standard output]",
)
def openrpc(target: str, output: Path | None) -> None:
    """Write the OpenRPC document of an app. The app is imported, and not run.

    \b
    Examples:
      batchway rpc openrpc myservice:app | jq '.methods[].name'
      batchway rpc openrpc myservice:app -o openrpc.json
    """
    document = msgspec.json.format(msgspec.json.encode(load_app(target).openrpc()), indent=2) + b"\n"
    if output is None:
        click.echo(document, nl=False)
        return
    try:
        output.write_bytes(document)
    except OSError as error:
        raise BadFile(f"{output}: cannot be written: {error.strerror}") from None
