"""`batchway rpc new`: the first files of a service."""

import importlib.util
from pathlib import Path

import click

from batchway.cli.failures import BadFile
from batchway.cli.rpc.scaffold import CONFTEST, check_name, files
from batchway.errors import ConfigError


@click.command(short_help="Begin a service: a procedure and its test.")
@click.argument("name")
def new(name: str) -> None:
    """Begin a service in the current directory: NAME.py with a procedure and its app, and a test.

    Nothing is overwritten. A conftest.py is added if there is none, so that the test finds the module.
    """
    check_name(name)
    _check_installed(name)
    made = files(name)
    taken = [path for path in made if Path(path).exists() or Path(path).is_symlink()]
    if taken:
        raise BadFile(f"{taken[0]}: there is such a file already; nothing was written")
    if not Path("conftest.py").exists():
        made["conftest.py"] = CONFTEST
    for path, content in made.items():
        _write(Path(path), content)
        click.echo(f"wrote {path}")
    click.echo(
        "\nNext:\n"
        f"  pytest tests/test_{name}.py\n"
        f"  batchway rpc serve {name}:app --reload\n"
        f"  batchway rpc call http://127.0.0.1:8000/ {name}@ping"
    )


def _check_installed(name: str) -> None:
    """Raises ConfigError if a file of that name would stand before a package that others import."""
    found = importlib.util.find_spec(name)
    if found is not None and found.origin is not None and Path(found.origin).parent != Path.cwd():
        raise ConfigError(f"{name}: a package of this name is installed")


def _write(path: Path, content: str) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        raise BadFile(f"{path}: cannot be written: {error.strerror}") from None
