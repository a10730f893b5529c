"""The command `batchway`: a group whose commands are imported when they are run, one file each."""

import errno
import io
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import click
from msgspec import Struct

from batchway import __version__
from batchway.cli.failures import exit_code
from batchway.cli.printable import printable
from batchway.errors import BatchwayError

INTERRUPTED = 130
"""Exit code after Ctrl-C: what a shell says of a program that SIGINT has ended."""
BROKEN_PIPE = 141
"""Exit code when nobody reads the output any more: likewise, of SIGPIPE."""


class Entry(Struct, frozen=True):
    """Where a command is defined, as what the module is named after, and its line in the help."""

    module: str
    summary: str


COMMANDS = {
    "check": Entry("batchway.cli.check", "Validate the config file and the stored resources."),
    "export": Entry("batchway.cli.export", "Write all resources as one file, an apisix.yaml."),
    "import": Entry("batchway.cli.import_", "Take the resources of a file over into a store or gateway."),
    "plugins": Entry("batchway.cli.plugins", "List the plugins that are installed."),
    "rpc": Entry("batchway.cli.rpc", "Run, call and begin JSON-RPC services."),
    "send": Entry("batchway.cli.send", "Post a batch file and show what became of its items."),
    "serve": Entry("batchway.cli.serve", "Run the gateway and its Admin API."),
}


class Commands(click.Group):
    """The commands in `entries`. The help of the group imports none of them."""

    entries: ClassVar[Mapping[str, Entry]] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None if there is none of that name."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        name = entry.module.rpartition(".")[2]  # `import_`: no function can be named `import`
        command: click.Command = getattr(import_module(entry.module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for the help."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What goes wrong on purpose is one line on stderr and an exit code."""
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
        try:
            return self._run(ctx)
        except BatchwayError as error:
            click.echo(f"batchway: {printable(error.message)}", err=True)
            ctx.exit(exit_code(error))
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            _drop_output()
            ctx.exit(BROKEN_PIPE)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            _drop_output()
            click.echo(f"batchway: {error.strerror}", err=True)
            ctx.exit(1)

    def _run(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()


def _drop_output() -> None:
    """Keep Python from writing, when it ends, what is still buffered, and from complaining of it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="batchway")
def main() -> None:
    """One request in, many requests run, one response out."""
