"""What became of a batch, as a table for people and a closing line."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from batchway.cli.post import Answer
from batchway.cli.printable import printable
from batchway.cli.replies import Outcome

_STYLES = {1: "cyan", 2: "green", 3: "cyan", 4: "yellow", 5: "red"}
_MAX_REASON = 40
_MAX_PATH = 8192


def render(outcomes: Sequence[Outcome], answer: Answer, *, color: bool) -> str:
    """The text for stdout: coloured and as wide as the terminal, or plain and as wide as need be.

    Nothing that a server said is taken for markup or reaches the terminal as a control character.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("#", justify="right")
    table.add_column("status", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("path", overflow="fold")
    for number, outcome in enumerate(outcomes, 1):
        table.add_row(str(number), *_cells(outcome))
    is_terminal = sys.stdout.isatty()
    width = None if is_terminal else 200 + 2 * max(len(outcome.label) for outcome in outcomes)
    console = Console(width=width, no_color=None if color else True, highlight=False)
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().splitlines()
    if not is_terminal:
        lines = [line.rstrip() for line in lines]
    return "\n".join([*lines, closing_line(outcomes, answer)])


def closing_line(outcomes: Sequence[Outcome], answer: Answer) -> str:
    """How many items, how many of them failed, and what the whole batch took."""
    count = len(outcomes)
    failed = sum(outcome.is_failure for outcome in outcomes)
    items = "1 item" if count == 1 else f"{count} items"
    size = decimal(len(answer.body))
    if answer.wire_bytes != len(answer.body):
        size += f" ({decimal(answer.wire_bytes)} compressed)"
    return f"{items}, {failed or 'none'} failed, in {_time(answer.elapsed_s * 1000)}, {size}"


def _cells(outcome: Outcome) -> tuple[Text, Text, Text, Text]:
    status, style = "no reply", "bold red"
    if outcome.status is not None:
        status = f"{outcome.status} {printable(outcome.reason, _MAX_REASON)}".rstrip()
        style = _STYLES.get(outcome.status // 100, "red")
    size = "-" if outcome.body_bytes is None else decimal(outcome.body_bytes)
    time = "-" if outcome.duration_ms is None else _time(outcome.duration_ms)
    return Text(status, style), Text(time), Text(size), Text(printable(outcome.label, _MAX_PATH))


def _time(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2f} s"
    return f"{milliseconds:.0f} ms"
