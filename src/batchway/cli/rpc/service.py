"""The app that a user names: `myservice:app`, imported from the current directory or the path."""

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import click

from batchway.cli.printable import printable
from batchway.errors import ConfigError
from batchway.rpc import RpcApp

DEFAULT_NAME = "app"
EXPECTED = "expected MODULE:APP, such as myservice:app"


def load_app(target: str, profile: str | None = None) -> RpcApp:
    """The app under that name, with another profile if one is given.

    Raises ConfigError, in one line. If the module itself fails, its traceback is printed before.
    """
    module_name, _, attribute = target.partition(":")
    attribute = attribute or DEFAULT_NAME
    if module_name.endswith(".py"):
        raise ConfigError(f"{target}: {EXPECTED}: try {Path(module_name).stem}:{attribute}")
    if not all(part.isidentifier() for part in [*module_name.split("."), *attribute.split(".")]):
        raise ConfigError(f"{target}: {EXPECTED}")
    app = _attribute(_import(module_name), module_name, attribute)
    return app if profile is None else app.with_profile(profile)


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            message = f"{error.name}: there is no such module, neither here nor where Python looks"
            raise ConfigError(message) from None
        _fail(name, error)
    except ConfigError as error:  # from an RpcApp, and in plain words
        raise ConfigError(f"{name}: {error.message}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything
        _fail(name, error)
    raise AssertionError


def _fail(name: str, error: BaseException) -> None:
    """Show where the module has failed, without how it was imported."""
    trace = error.__traceback__
    while trace is not None and _is_import(trace):
        trace = trace.tb_next
    click.echo("".join(traceback.format_exception(type(error), error, trace)), err=True, nl=False)
    problem = printable(f"{type(error).__name__}: {error}")
    raise ConfigError(f"{name}: it cannot be imported: {problem}") from None


def _is_import(trace: TracebackType) -> bool:
    filename = trace.tb_frame.f_code.co_filename
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")


def _attribute(module: ModuleType, module_name: str, attribute: str) -> RpcApp:
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{module_name}: there is no {attribute} in it{_others(module)}")
        found = getattr(found, part)
    if not isinstance(found, RpcApp):
        kind = type(found).__name__
        message = f"{module_name}:{attribute}: expected an RpcApp, got one of type {kind}{_others(module)}"
        raise ConfigError(message)
    return found


def _others(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, RpcApp)]
    return f"; an RpcApp is {' or '.join(f'{module.__name__}:{name}' for name in names)}" if names else ""
