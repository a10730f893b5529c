"""The app that somebody names: `myservice:app`, imported from the current directory or the path."""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from batchway.errors import ConfigError
from batchway.rpc.app import RpcApp

DEFAULT_NAME = "app"
EXPECTED = "expected MODULE:APP, such as myservice:app"


class ModuleFailed(ConfigError):
    """The module raises something while it is imported: `__cause__` says what and where."""

    code = "module_failed"


def load_app(target: str, profile: str | None = None) -> RpcApp:
    """The app under that name, with another profile if one is given. Raises ConfigError, in one line."""
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
        raise _failed(name, error) from error
    except ConfigError as error:  # from an RpcApp, and in plain words
        raise ConfigError(f"{name}: {error.message}") from None
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> ModuleFailed:
    return ModuleFailed(f"{name}: it cannot be imported: {type(error).__name__}: {error}")


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
