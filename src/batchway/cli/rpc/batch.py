"""`batchway rpc batch`: a file of calls, sent as one batch, and what became of each."""

import sys
import time
from pathlib import Path

import click
from msgspec import Raw

from batchway.cli.failures import BadFile, NoAnswer
from batchway.cli.rpc import call_file
from batchway.cli.rpc.asking import client_of, request_options
from batchway.cli.rpc.call_file import CallFile
from batchway.cli.rpc.call_table import render
from batchway.rpc import ClientError
from batchway.rpc.client.answers import Said, key_of, settle
from batchway.rpc.client.calls import PendingCall, Reply
from batchway.rpc.client.settings import Hooks


@click.command(short_help="Send a file of calls as one batch.")
@click.argument("url")
@click.argument("file")
@click.option("--json", "is_raw", is_flag=True, help="Print the answer as it came, and nothing else.")
@click.option("--no-color", is_flag=True, help="No colours, as with the environment variable NO_COLOR.")
@request_options
@click.pass_context
def batch(
    ctx: click.Context,
    url: str,
    file: str,
    is_raw: bool,
    no_color: bool,
    headers: dict[str, str],
    timeout_s: float,
    ca_file: str | None,
    insecure: bool,
) -> None:
    """Send the calls in FILE to the service at URL as one batch, and show what became of each.

    FILE holds an array of calls, as JSON or YAML; "-" is the standard input. "jsonrpc" may be left out. A
    call without "id" is a notification: nobody answers it.

    \b
    Examples:
      batchway rpc batch http://127.0.0.1:8000/ calls.json
      echo '[{"method": "tennis@ping", "id": 1}]' | batchway rpc batch http://127.0.0.1:8000/ -
      batchway rpc batch http://127.0.0.1:8000/ calls.yaml --json | jq '.[].result'

    \b
    Exit codes:
      0  every call has a result
      1  a call failed, or there is no answer
      2  the file or the command line is wrong
    """
    calls = call_file.parse(_read(file), _name(file))
    started = time.monotonic()
    with client_of(url, headers, timeout_s, ca_file, insecure=insecure) as client:
        body = client.raw(calls.body)
    elapsed_s = time.monotonic() - started
    pending, error = _match(calls, body)
    if is_raw:
        click.echo(body or b"", nl=False)
    elif error is not None:
        raise NoAnswer(f"{error.message}: is this where the service answers?")
    else:
        click.echo(render(calls.calls, [one.reply for one in pending], elapsed_s, color=not no_color))
    if any(one.reply.error is not None for one in pending):
        ctx.exit(1)


def _match(calls: CallFile, body: bytes | None) -> tuple[list[PendingCall], ClientError | None]:
    pending = []
    for call in calls.calls:
        key = None if call.id is None else key_of(call.id)
        pending.append(PendingCall(call.method, key, b"", Raw, Hooks(), Reply()))
    return pending, settle(pending, Said(body))


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadFile(f"{file}: cannot be read: {error.strerror}") from None
