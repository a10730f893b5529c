"""The option that names the config file, in every command that reads one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DEFAULT = Path("conf/config.yaml")


def config_option(
    name: str = "path", help: str = "The config file that `batchway serve` is given."
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--config`, passed on under `name`."""
    return click.option(
        "--config",
        "-c",
        name,
        type=click.Path(path_type=Path, dir_okay=False),
        default=DEFAULT,
        show_default=True,
        help=help,
    )
