"""`batchway serve`: the gateway and its Admin API, until it is told to stop."""

import os
from pathlib import Path

import click
import structlog

from batchway.cli import attributes, logs
from batchway.cli.config_option import config_option
from batchway.config import Settings, document, ensure_admin_key, load
from batchway.errors import ConfigError
from batchway.plugins import all_plugins
from batchway.server import make_registry, run

log = structlog.get_logger(__name__)


@click.command(short_help="Run the gateway and its Admin API.")
@config_option(help="Configuration with APISIX's keys. Need not exist: the defaults work.")
def serve(path: Path) -> None:
    """Run the gateway (127.0.0.1:9080) and its Admin API (127.0.0.1:9180).

    Beside them: metrics (127.0.0.1:9091) and the control API (127.0.0.1:9090). If the configuration
    has no admin key, one is generated and written to it.

    SIGTERM and SIGINT drain: running batches finish, then it exits with 0; a second signal cuts that
    short. SIGHUP reads the configuration again without dropping a request.

    \b
    Exit codes:
      0  it was told to stop
      1  a port is taken, or the store cannot be opened
      2  the config file is wrong
    """
    settings = _settings(path)
    has_said = _says_something(path)
    run(settings, lambda: _again(path, has_said=has_said), lambda settings: logs.configure(settings.log))


def _says_something(path: Path) -> bool:
    """Whether there is more in the file than comments."""
    text = document.read(path)
    return text is not None and document.parse(text, path) is not None


def _again(path: Path, *, has_said: bool) -> Settings:
    """As `_settings`; raises ConfigError also if a file that has said something says nothing any more.

    Who saves a file empties it first, or moves it away. All defaults are not what was meant by that, and a
    new admin key, written by us, would end what is being written.
    """
    if has_said and not _says_something(path):
        raise ConfigError(f"{path}: it is empty or gone: reload again once it is written")
    return _settings(path)


def _settings(path: Path) -> Settings:
    """What the file says, with an admin key. Raises ConfigError."""
    loaded = load(path, known_plugins=all_plugins(), environ=os.environ)
    try:
        registry = make_registry(loaded.settings)  # before anything is written to a file that is refused
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}") from error
    logs.configure(loaded.settings.log)
    for warning in (*loaded.warnings, *attributes.remark(path, loaded.settings, registry)):
        log.warning(warning)
    settings, generated = ensure_admin_key(path, loaded.settings)
    if generated:
        log.info("admin key generated", file=str(path), key="deployment.admin.admin_key[0].key")
    return settings
