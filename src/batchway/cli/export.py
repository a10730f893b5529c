"""`batchway export`: all resources as a file that people can keep."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Literal

import click
import msgspec

from batchway.admin import declaration
from batchway.admin.declaration import Secrets
from batchway.admin.kinds import Document, Place
from batchway.cli import yaml_text
from batchway.cli.failures import BadFile
from batchway.cli.holder import Held, Holder, chosen, options
from batchway.cli.printable import printable


@click.command()
@options
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="[default: standard output]"
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["yaml", "json"]),
    help="[default: as OUTPUT is named, else yaml]",
)
@click.option("--with-secrets", is_flag=True, help="Secrets in the clear, instead of variables for them.")
@click.option("--with-times", is_flag=True, help="With create_time and update_time.")
def export(
    config: Path,
    admin: str | None,
    key: str | None,
    output: Path | None,
    form: Literal["yaml", "json"] | None,
    with_secrets: bool,
    with_times: bool,
) -> None:
    """Write all resources as one file, an apisix.yaml.

    They come from the store that the config file names, whether a gateway is at work on it or not, or
    with --admin from a running gateway. The declarative mode takes the file, `batchway import` too.

    In place of each secret stands a variable, such as ${{CONSUMERS_JACK_KEY_AUTH_KEY}}, which is named
    on standard error: set it in the environment of whoever reads the file.

    \b
    Exit codes:
      0  all is written
      1  the store or the gateway does not answer
      2  the config file or the command line is wrong
    """
    source = chosen(config, admin, key)
    held, secrets = source.read(), Secrets()
    documents = [
        (place, _shown(place, document, source, None if with_secrets else secrets, with_times=with_times))
        for place, document in held
    ]
    tree = declaration.literally(declaration.declare(documents))
    is_json = form == "json" or (form is None and output is not None and output.suffix == ".json")
    text = _json(tree) if is_json else yaml_text.dump(tree)
    if output is None:
        sys.stdout.buffer.write(text.encode())
    else:
        _write(output, text)
    _tell(held, secrets, source)


def _shown(
    place: Place, document: Document, source: Holder, secrets: Secrets | None, *, with_times: bool
) -> Document:
    if secrets is not None:
        document = secrets.hide(place, document, source.plugins.plugins)
    return declaration.essential(place.kind, document, with_times=with_times)


def _json(tree: object) -> str:
    return msgspec.json.format(msgspec.json.encode(tree, enc_hook=str), indent=2).decode() + "\n"


def _write(path: Path, text: str) -> None:
    """Replace the file whole, or leave it as it was. A new one is for its owner's eyes only."""
    target = path.resolve()
    try:
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o600
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
                os.fchmod(file.fileno(), mode)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise BadFile(f"{path}: cannot be written: {error.strerror}") from None


def _tell(held: Held, secrets: Secrets, source: Holder) -> None:
    known = source.plugins.plugins
    for place, document in held:
        for name in (document.get("plugins") or {}) if not place.kind.is_plain else ():
            if name not in known:
                _say(
                    f"warning: {place.key[1:]}: plugin {name} is not known here: its secrets are not hidden"
                )
    for name, where in secrets.hidden.items():
        _say(f"secret: {where}: ${{{{{name}}}}}")
    count = len(held)
    hidden = f", {len(secrets.hidden)} secrets left out" if secrets.hidden else ""
    _say(f"{count} resource{'s' * (count != 1)} from {source}{hidden}")


def _say(line: str) -> None:
    click.echo(printable(line), err=True)
