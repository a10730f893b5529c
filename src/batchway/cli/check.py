"""`batchway check`: would `serve` take this config file, and serve all that is stored?"""

import os
from collections.abc import Mapping
from pathlib import Path

import click

from batchway.cli import attributes
from batchway.cli.config_option import config_option
from batchway.cli.printable import printable
from batchway.cli.stored import Finding, examine
from batchway.config import Settings, load
from batchway.config.data_encryption import Keyring, read_keyring
from batchway.errors import ConfigError
from batchway.plugins import Registry, all_plugins
from batchway.server.from_settings import make_registry
from batchway.server.stores import is_declarative, reader
from batchway.store.sqlite import snapshot
from batchway.store.yaml_file import FaultyFile, read_once


@click.command()
@config_option()
@click.pass_context
def check(ctx: click.Context, path: Path) -> None:
    """Validate the config file and the stored resources. Writes nothing.

    Prints one line for each problem, of the config file the first. A gateway may be running on the same
    store.

    \b
    Exit codes:
      0  all is well; warnings and notes do no harm
      1  a stored resource has a problem, or the store cannot be read
      2  the config file is wrong, or the file of resources that it names
    """
    settings, registry = _settings(path, os.environ)
    if is_declarative(settings):
        if _check_file(settings, registry):
            ctx.exit(2)
        return
    store = Path(settings.store.path)
    problems = _check_store(store, registry, read_keyring(settings.data_encryption, store))
    if problems:
        ctx.exit(1)


def _settings(path: Path, environ: Mapping[str, str]) -> tuple[Settings, Registry]:
    """What the file says, once its warnings have been printed. Raises ConfigError."""
    loaded = load(path, known_plugins=all_plugins(), environ=environ)
    try:
        registry = make_registry(loaded.settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from None
    if not path.exists():
        _say(f"note: {path}: no such file: the defaults hold")
    for warning in (*loaded.warnings, *attributes.remark(path, loaded.settings, registry)):
        _say(f"warning: {warning}")
    if not loaded.settings.admin_keys and not is_declarative(loaded.settings):
        _say(f"note: no admin key yet: `batchway serve` will write one to {path}")
    return loaded.settings, registry


def _check_file(settings: Settings, registry: Registry) -> int:
    """How many problems there are in the file of resources, once they have been printed."""
    path = Path(settings.store.path)
    try:
        resources = reader(settings, registry).values(read_once(path))
    except FaultyFile as error:
        for fault in error.faults:
            _say(fault)
        _say(f"{_count(len(error.faults), 'problem')} ({path})")
        return len(error.faults)
    _say(f"no problems in {_count(len(resources), 'resource')} ({path})")
    return 0


def _check_store(path: Path, registry: Registry, keyring: Keyring) -> int:
    """How many problems there are in the store, once they have been printed. Raises StoreError."""
    listing = snapshot(path)
    if listing is None:
        _say(f"note: {path}: no store yet: `batchway serve` will make it")
        _say("no problems")
        return 0
    findings = list(examine(listing.entries, registry, keyring))
    for finding in findings:
        _say(_line(finding))
    problems = sum(not finding.is_warning for finding in findings)
    stored = _count(len(listing.entries), "stored resource")
    _say(f"{_count(problems, 'problem') if problems else 'no problems'} in {stored} ({path})")
    return problems


def _line(finding: Finding) -> str:
    return f"{'warning: ' * finding.is_warning}{finding.key}: {finding.text}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _say(line: str) -> None:
    click.echo(printable(line, max_chars=2000))
