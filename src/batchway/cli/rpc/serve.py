"""`batchway rpc serve`: an RpcApp over HTTP and WebSocket, or over standard input and output."""

import asyncio
import contextlib
import signal
import socket
from pathlib import Path
from typing import get_args

import click
import uvloop
from click.core import ParameterSource

from batchway.cli import logs
from batchway.cli.rpc.service import load_app
from batchway.cli.rpc.serving import Ready, Serving, banner, describe
from batchway.cli.rpc.serving import serve as serve_here
from batchway.cli.rpc.supervisor import Supervisor
from batchway.config import Address, LogSettings
from batchway.rpc import RpcApp
from batchway.rpc.framing import FramingName
from batchway.rpc.settings import PROFILES
from batchway.rpc.stdio import own_descriptors, serve_descriptors
from batchway.server.listener import bind
from batchway.server.signals import heard

_FOR_SOCKETS = ("host", "port", "path", "workers", "is_reloading", "watched", "grace_s")


def _path(ctx: click.Context, option: click.Parameter, value: str) -> str:
    if not value.startswith("/") or "?" in value or "#" in value:
        raise click.BadParameter("expected a path such as / or /api/v1/endpoint", ctx, option)
    return value


@click.command(short_help="Serve an app over HTTP and WebSocket, or stdio.")
@click.argument("target", metavar="MODULE:APP")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on; 0 is any that is free.",
)
@click.option("--path", default="/", show_default=True, callback=_path, help="Where the app answers.")
@click.option(
    "--profile",
    type=click.Choice(sorted(PROFILES)),
    help="How the app is to behave, in place of the profile that it was made with.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that share the port. One that ends is replaced.",
)
@click.option("--reload", "is_reloading", is_flag=True, help="Start anew whenever Python code changes.")
@click.option(
    "--reload-dir",
    "watched",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where code may change. May be given more than once.  [default: the current directory]",
)
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long running calls may go on after SIGTERM.",
)
@click.option("--stdio", "is_stdio", is_flag=True, help="Serve standard input and output, and no port.")
@click.option(
    "--framing",
    type=click.Choice(get_args(FramingName)),
    default="auto",
    show_default=True,
    help="How messages are told apart, with --stdio.",
)
@click.pass_context
def serve(
    ctx: click.Context,
    target: str,
    host: str,
    port: int,
    path: str,
    profile: str | None,
    workers: int,
    is_reloading: bool,
    watched: tuple[Path, ...],
    grace_s: float,
    is_stdio: bool,
    framing: FramingName,
) -> None:
    """Serve an RpcApp over HTTP and WebSocket, or stdio.

    MODULE:APP names it, such as myservice:app for the `app` in myservice.py; `app` may be left out. Modules
    are looked for in the current directory first.

    SIGTERM and SIGINT drain: running calls finish, then it exits with 0; a second signal cuts that short.

    \b
    Examples:
      batchway rpc serve myservice:app --reload
      batchway rpc serve myservice:app --host 0.0.0.0 --port 80 --workers 4
      batchway rpc serve myservice:app --path /api/v1/endpoint --profile sajya
      batchway rpc serve myservice:app --stdio
    """
    logs.configure(LogSettings())
    if is_stdio:
        _refuse_options(ctx)
        with own_descriptors() as (stdin, stdout):  # what the module prints is no message
            app = load_app(target, profile)
            uvloop.run(_serve_stdio(app, stdin, stdout, framing))
        return
    serving = Serving(target, path, profile, grace_s)
    with bind(Address(host, port)) as bound:
        if workers == 1 and not is_reloading:
            _serve_alone(serving, bound)
            return
        watch = (watched or (Path.cwd(),)) if is_reloading else ()
        ctx.exit(uvloop.run(_serve_with_workers(serving, bound, workers, watch)))


def _refuse_options(ctx: click.Context) -> None:
    for option in ctx.command.params:
        if option.name in _FOR_SOCKETS and ctx.get_parameter_source(option.name) != ParameterSource.DEFAULT:
            message = f"{option.opts[-1]} is for a port, and --stdio has none"
            raise click.UsageError(message, ctx)


async def _serve_stdio(app: RpcApp, stdin: int, stdout: int, framing: FramingName) -> None:
    serving = asyncio.create_task(serve_descriptors(app, stdin, stdout, framing))
    with heard({signal.SIGTERM: serving.cancel}), contextlib.suppress(asyncio.CancelledError):
        await serving


def _serve_alone(serving: Serving, bound: socket.socket) -> None:
    app = load_app(serving.target, serving.profile)
    ready = describe(app)
    uvloop.run(serve_here(app, serving, bound, lambda: _announce(serving, bound, ready)))


async def _serve_with_workers(
    serving: Serving, bound: socket.socket, workers: int, watched: tuple[Path, ...]
) -> int:
    return await Supervisor(
        serving,
        bound,
        workers=workers,
        watched=watched,
        on_ready=lambda ready: _announce(serving, bound, ready),
    ).run()


def _announce(serving: Serving, bound: socket.socket, ready: Ready) -> None:
    click.echo(banner(serving, bound, ready))
