"""What became of the calls of a batch, as a table for people and a closing line."""

import sys
from collections.abc import Sequence

from msgspec import UNSET, Raw
from rich.console import Console
from rich.table import Table
from rich.text import Text

from batchway.cli.printable import printable
from batchway.cli.rpc.call_file import FileCall
from batchway.rpc import ClientError, Reply, RpcError

MAX_CHARS = 2000
"""Of a result; more is cut off."""


def render(
    calls: Sequence[FileCall], replies: Sequence[Reply[Raw]], elapsed_s: float, *, color: bool
) -> str:
    """The text for stdout: coloured and as wide as the terminal, or plain and as wide as need be."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("id", no_wrap=True)
    table.add_column("method", overflow="fold")
    table.add_column("answer", overflow="fold")
    for call, reply in zip(calls, replies, strict=True):
        table.add_row(_id(call), Text(printable(call.method)), _answer(call, reply))
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else 2 * MAX_CHARS + max(len(call.method) for call in calls)
    console = Console(width=width, no_color=None if color else True, highlight=False)
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().splitlines()
    if not is_terminal:
        lines = [line.rstrip() for line in lines]
    return "\n".join([*lines, _closing_line(replies, elapsed_s)])


def _id(call: FileCall) -> Text:
    return Text("-" if call.id is None else printable(bytes(call.id).decode(errors="replace"), 40))


def _answer(call: FileCall, reply: Reply[Raw]) -> Text:
    match reply.error:
        case RpcError() as error:
            data = "" if error.data is UNSET or error.data is None else f" {error.data}"
            return Text(printable(f"{error}{data}", MAX_CHARS), "red")
        case ClientError() as error:
            return Text(printable(error.message.removeprefix(f"{call.method}: "), MAX_CHARS), "bold red")
    if call.id is None:
        return Text("notification", "cyan")
    return Text(printable(bytes(reply.result).decode(errors="replace"), MAX_CHARS), "green")


def _closing_line(replies: Sequence[Reply[Raw]], elapsed_s: float) -> str:
    count = len(replies)
    failed = sum(reply.error is not None for reply in replies)
    calls = "1 call" if count == 1 else f"{count} calls"
    return f"{calls}, {failed or 'none'} failed, in {elapsed_s * 1000:.0f} ms"
