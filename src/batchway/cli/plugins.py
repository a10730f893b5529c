"""`batchway plugins`: what plugins there are, and which of them the config file switches on."""

import os
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batchway import __version__
from batchway.cli import logs
from batchway.cli.config_option import config_option
from batchway.cli.printable import printable
from batchway.config import LogSettings, load
from batchway.errors import ConfigError
from batchway.plugins import PLUGINS, Plugin, all_plugins
from batchway.plugins.registry import ENTRY_POINTS
from batchway.server.from_settings import make_registry

_PHASES = ("rewrite", "access", "filter_response", "log")


class Found(Struct, frozen=True):
    """A plugin as it is listed."""

    name: str
    priority: int
    phases: list[str]
    enabled: bool
    package: str
    """With its version."""


@click.command()
@config_option()
@click.option("--json", "as_json", is_flag=True, help="An array of objects instead of a table.")
def plugins(path: Path, as_json: bool) -> None:
    """List the plugins that are installed, in the order in which they see a request.

    Those of other packages that cannot be used are named on stderr.

    \b
    Exit codes:
      0  the plugins have been listed
      2  the config file is wrong
    """
    logs.configure(LogSettings())  # what cannot be loaded is logged, and not to stdout
    listed = found(path, os.environ)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(listed)).decode())
    else:
        click.echo(_table(listed))


def found(path: Path, environ: Mapping[str, str]) -> list[Found]:
    """All plugins, the highest priority first. Raises ConfigError."""
    known = all_plugins()
    settings = load(path, known_plugins=known, environ=environ).settings
    try:
        enabled = make_registry(settings).plugins
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from None
    packages = _packages()
    ordered = sorted(known.items(), key=lambda item: (-item[1].priority, item[0]))
    return [
        Found(name, plugin.priority, _phases(plugin), name in enabled, _package(plugin, packages))
        for name, plugin in ordered
    ]


def _phases(plugin: type[Plugin]) -> list[str]:
    own = [phase for phase in _PHASES if getattr(plugin, phase) is not getattr(Plugin, phase)]
    if plugin.counts and "access" not in own:
        own.append("access")
    return sorted(own, key=_PHASES.index)


def _packages() -> dict[str, str]:
    """The package of each entry point, by `module:name` of the plugin's class."""
    return {
        one.value: f"{one.dist.name} {one.dist.version}"
        for one in entry_points(group=ENTRY_POINTS)
        if one.dist is not None
    }


def _package(plugin: type[Plugin], packages: Mapping[str, str]) -> str:
    if PLUGINS.get(plugin.name) is plugin:
        return f"batchway {__version__}"
    module = plugin.__module__
    return packages.get(f"{module}:{plugin.__qualname__}", module.partition(".")[0])


def _table(listed: list[Found]) -> str:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("priority", justify="right")
    table.add_column("plugin", no_wrap=True)
    table.add_column("enabled")
    table.add_column("phases", no_wrap=True)
    table.add_column("package", overflow="fold")
    for one in listed:
        style = "" if one.enabled else "dim"
        cells = (one.name, "yes" if one.enabled else "no", " ".join(one.phases) or "-", one.package)
        table.add_row(str(one.priority), *(Text(printable(cell)) for cell in cells), style=style)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
