"""What `rpc call` and `rpc batch` share: options of a request, and what a person is told of a failure."""

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from msgspec import UNSET, Raw

from batchway.cli.failures import NoAnswer
from batchway.cli.post import parse_header
from batchway.cli.printable import printable
from batchway.errors import ConfigError
from batchway.rpc import ClientError, HttpError, Redirected, RpcClient, RpcError, Unreachable

TIMEOUT_S = 60.0


def _headers(ctx: click.Context, option: click.Parameter, value: Sequence[str]) -> dict[str, str]:
    try:
        return dict(map(parse_header, value))
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, option) from None


def _seconds(ctx: click.Context, option: click.Parameter, value: float) -> float:
    if value > 0 and math.isfinite(value):
        return value
    raise click.BadParameter("expected a number of seconds above 0", ctx, option)


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_OPTIONS: list[Decorator] = [
    click.option(
        "-H",
        "--header",
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'",
        callback=_headers,
        help="A header of the request. May be given more than once.",
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=float,
        default=TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        callback=_seconds,
        help="Give up after so long.",
    ),
    click.option(
        "--ca-file",
        type=click.Path(dir_okay=False, exists=True),
        help="PEM with the CAs to trust, in place of the system's.",
    ),
    click.option("--insecure", is_flag=True, help="Do not verify the certificate of the server."),
]


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a request: headers, timeout_s, ca_file, insecure."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def client_of(
    url: str, headers: dict[str, str], timeout_s: float, ca_file: str | None, *, insecure: bool
) -> Iterator[RpcClient]:
    """A client that tries once. Raises NoAnswer for what it says; UsageError for a URL that is none."""
    try:
        client = RpcClient(
            url,
            headers=headers,
            timeout_s=timeout_s,
            connect_timeout_s=timeout_s,
            ca_file=ca_file,
            verify=not insecure,
            retries=0,
        )
    except ConfigError as error:
        raise click.UsageError(error.message) from None
    with client:
        try:
            yield client
        except ClientError as error:
            raise NoAnswer(error.message + advice(error)) from None


def advice(error: ClientError) -> str:
    """What to do about it, in words behind the message."""
    match error:
        case TimeoutError():
            return ": give it more time with --timeout"
        case Redirected():
            return ": give that as the URL if you trust it"
        case HttpError(status=404 | 405):
            return ": is this where the service answers?"
        case Unreachable() if "certificate" in error.message:
            return ": give its CA with --ca-file"
        case Unreachable():
            return ": check the URL, and that the service runs"
    return ""


def pretty(value: Raw) -> str:
    """JSON for people, in several lines; on a terminal with nothing in it that the terminal might obey."""
    text = bytes(msgspec.json.format(value, indent=2)).decode(errors="replace")
    if not sys.stdout.isatty():
        return text
    return "\n".join(printable(line, max_chars=len(line)) for line in text.split("\n"))


def explained(error: RpcError) -> str:
    """An error of the server's, for stderr: its message and code, then its data if it has any."""
    lines = [f"batchway: {printable(str(error))}"]
    if error.data is not UNSET and error.data is not None:
        data = json.dumps(error.data, indent=2, ensure_ascii=False)
        lines += [printable(line) for line in data.split("\n")]
    return "\n".join(lines)
