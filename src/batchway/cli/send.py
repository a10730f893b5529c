"""`batchway send`: post a batch file to a batch endpoint, show what became of its items."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from batchway.cli import batch_file
from batchway.cli.failures import BadFile
from batchway.cli.post import Endpoint, parse_header, parse_url, post
from batchway.cli.printable import printable
from batchway.cli.replies import is_json, outcomes
from batchway.cli.table import render

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:9080/apisix/batch-requests"
BATCH_TIMEOUT_S = 30.0
"""What a batch may take that does not say so: the gateway's default."""
SPARE_S = 60.0
"""For connecting, and for the way of the bytes in both directions."""
MAX_TIMEOUT_S = 86_400.0
"""A day: a socket takes no timeout of any size."""


def _each(convert: Callable[[str], T]) -> Callable[..., Any]:
    """A callback for an option that turns its value, or each of its values, by `convert`."""

    def callback(ctx: click.Context, option: click.Parameter, value: str | tuple[str, ...]) -> Any:
        try:
            return convert(value) if isinstance(value, str) else [convert(one) for one in value]
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, option) from None

    return callback


def _seconds(ctx: click.Context, option: click.Parameter, value: float | None) -> float | None:
    if value is None or (value > 0 and math.isfinite(value)):
        return value
    raise click.BadParameter("expected a number of seconds above 0", ctx, option)


@click.command()
@click.argument("file", required=False)
@click.option(
    "--url",
    "endpoint",
    default=DEFAULT_URL,
    envvar="BATCHWAY_URL",
    show_default=True,
    show_envvar=True,
    callback=_each(parse_url),
    help="The batch endpoint.",
)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=_each(parse_header),
    help="A header of the request, which the items inherit. May be given more than once.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    metavar="SECONDS",
    callback=_seconds,
    help="Give up after so long.  [default: the batch's own timeout and 60 s]",
)
@click.option(
    "--batch-timeout",
    "batch_timeout_ms",
    type=click.IntRange(min=1),
    metavar="MS",
    help="How long the gateway may take: the batch's `timeout`.",
)
@click.option("--json", "is_raw", is_flag=True, help="Print the answer as it came, and nothing else.")
@click.option("--no-color", is_flag=True, help="No colours, as with the environment variable NO_COLOR.")
@click.pass_context
def send(
    ctx: click.Context,
    file: str | None,
    endpoint: Endpoint,
    headers: list[tuple[str, str]],
    timeout_s: float | None,
    batch_timeout_ms: int | None,
    is_raw: bool,
    no_color: bool,
) -> None:
    """Post a batch file and show what became of its items.

    FILE holds a batch {"pipeline": [...]}, an array of items, or one item a line; "-" or nothing is
    the standard input.

    \b
    Examples:
      batchway send batch.json
      batchway send -H 'Authorization: Bearer abc' --url https://gw.example/batch batch.json
      echo '{"path": "/hello"}' | batchway send
      batchway send --json batch.json | jq '.[].status'

    \b
    Exit codes:
      0  every item has a status below 400
      1  an item failed, the batch was refused, or there is no answer
      2  the file or the command line is wrong
    """
    content = _read(file)
    batch = batch_file.parse(content, _name(file), batch_timeout_ms)
    if timeout_s is None:
        asked_s = BATCH_TIMEOUT_S if batch.timeout_ms is None else max(batch.timeout_ms, 0) / 1000
        timeout_s = asked_s + SPARE_S
    with _progress(len(batch.labels), endpoint, color=not no_color):
        answer = post(endpoint, headers, batch.body, min(timeout_s, MAX_TIMEOUT_S))
    if is_raw and is_json(answer.body):
        click.echo(answer.body, nl=False)
    found = outcomes(answer, batch.labels, endpoint)
    if not is_raw:
        click.echo(render(found, answer, color=not no_color))
    if any(outcome.is_failure for outcome in found):
        ctx.exit(1)


def _name(file: str | None) -> str:
    return "standard input" if file in (None, "-") else str(file)


def _read(file: str | None) -> bytes:
    """What the file holds. Raises BadFile; UsageError if there is neither a file nor a pipe."""
    if file is None and (sys.stdin is None or sys.stdin.isatty()):
        message = "no FILE, and nothing is piped in: name a batch file, or - to type one in"
        raise click.UsageError(message)
    try:
        if file is None or file == "-":
            return sys.stdin.buffer.read()
        return Path(file).read_bytes()
    except OSError as error:
        raise BadFile(f"{_name(file)}: cannot be read: {error.strerror}") from None


@contextmanager
def _progress(count: int, endpoint: Endpoint, *, color: bool) -> Iterator[None]:
    """What is being waited for and how long already, on a terminal, until it is over."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    what = f"{count} item{'s' * (count != 1)} to {printable(str(endpoint))}"
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    console = Console(stderr=True, no_color=None if color else True)
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(what, total=None)
        yield
