"""`batchway rpc call`: one call to a service, from a shell."""

import sys

import click
import msgspec
from msgspec import Raw

from batchway.cli.rpc.asking import client_of, explained, pretty, request_options
from batchway.rpc import RpcError

Params = list[Raw] | dict[str, Raw] | None


def _params(ctx: click.Context, option: click.Parameter, value: str | None) -> Params:
    if value is None:
        return None
    text = sys.stdin.buffer.read() if value == "-" else value.encode()
    try:
        return msgspec.json.decode(text, type=list[Raw] | dict[str, Raw])
    except msgspec.ValidationError:
        problem = "expected a JSON array or object, such as '[1]' or '{\"id\": 1}'"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"not JSON: {error}"
    raise click.BadParameter(problem, ctx, option)


@click.command(short_help="Call one method and print its result.")
@click.argument("url")
@click.argument("method")
@click.option(
    "--params",
    metavar="JSON",
    callback=_params,
    help="An array, by position, or an object, by name; - reads it from the standard input.",
)
@click.option("--notify", "is_notification", is_flag=True, help="Wait for no result: print nothing.")
@click.option("--compact", is_flag=True, help="Print the result in one line, as it came.")
@request_options
@click.pass_context
def call(
    ctx: click.Context,
    url: str,
    method: str,
    params: Params,
    is_notification: bool,
    compact: bool,
    headers: dict[str, str],
    timeout_s: float,
    ca_file: str | None,
    insecure: bool,
) -> None:
    """Call one METHOD of the service at URL and print its result as JSON.

    \b
    Examples:
      batchway rpc call http://127.0.0.1:8000/ tennis@ping
      batchway rpc call http://127.0.0.1:8000/ tennis@serve --params '[1, "fast"]'
      batchway rpc call http://127.0.0.1:8000/ tennis@serve --params '{"speed": "fast"}'
      batchway rpc call https://rpc.example/ rpc.discover -H 'Authorization: Bearer abc' | jq .

    \b
    Exit codes:
      0  there is a result
      1  the call failed, or there is no answer
      2  the command line is wrong
    """
    with client_of(url, headers, timeout_s, ca_file, insecure=insecure) as client:
        try:
            if is_notification:
                named = params if isinstance(params, dict) else {}
                client.notify(method, *(params if isinstance(params, list) else ()), **named)
                return
            result = client.request(method, params, result_type=Raw)
        except RpcError as error:
            click.echo(explained(error), err=True)
            ctx.exit(1)
    click.echo(bytes(result) if compact else pretty(result))
