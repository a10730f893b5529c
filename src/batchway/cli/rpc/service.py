"""The app that a user names on the command line, and the trace of one that cannot be imported."""

import importlib
import traceback
from types import TracebackType

import click

from batchway.cli.printable import printable
from batchway.errors import ConfigError
from batchway.rpc import RpcApp, importing
from batchway.rpc.importing import ModuleFailed


def load_app(target: str, profile: str | None = None) -> RpcApp:
    """The app under that name, with another profile if one is given.

    Raises ConfigError, in one line. If the module itself fails, its traceback is printed before.
    """
    try:
        return importing.load_app(target, profile)
    except ModuleFailed as failed:
        _show(failed.__cause__)
        raise ConfigError(printable(failed.message)) from None


def _show(error: BaseException | None) -> None:
    """Print where the module has failed, without how it was imported."""
    if error is None:
        return
    trace = error.__traceback__
    while trace is not None and _is_import(trace):
        trace = trace.tb_next
    click.echo("".join(traceback.format_exception(type(error), error, trace)), err=True, nl=False)


def _is_import(trace: TracebackType) -> bool:
    filename = trace.tb_frame.f_code.co_filename
    return filename in (importing.__file__, importlib.__file__) or filename.startswith("<frozen importlib")
