"""Pages of the documentation, their commands run in bash as they stand there.

A block of `sh` is run; the block of another kind behind it, if there is one, is what it prints, and else
it prints nothing. In what it prints, `…` stands for anything within a line, alone on a line for any lines.
A block behind a comment that says "not run" is not.
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

TOP = Path(__file__).parents[2]
SOME = "…"
_MARK = "---- end of block ----"
_BLOCK = re.compile(r"(?P<comment><!-- [^\n]* -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)\n```\n", re.DOTALL)


class Block(Struct, frozen=True):
    """Commands, and what they print; None if the page does not tell."""

    commands: str
    shown: str | None
    is_run: bool


def blocks(page: Path) -> list[Block]:
    """All commands on the page, in order. Blocks of other kinds that no commands precede are left out."""
    text = page.read_text()
    found: list[Block] = []
    is_open = False
    for match in _BLOCK.finditer(text):
        if match["kind"] == "sh":
            found.append(Block(match["text"], None, "not run" not in (match["comment"] or "")))
            is_open = True
        elif is_open and "not printed" not in (match["comment"] or ""):
            found[-1] = Block(found[-1].commands, match["text"], found[-1].is_run)
            is_open = False
    return [block for block in found if block.is_run]


def run(found: list[Block], folder: Path, environment: dict[str, str], timeout_s: float = 50) -> list[str]:
    """What each block prints, on either stream, run one after another by one bash.

    It starts in the project's top folder, and `mktemp` makes what it makes in `folder`. What it leaves
    running is ended.
    """
    script = folder / "page.sh"
    script.write_text("".join(f"{block.commands}\nprintf '\\n{_MARK}\\n'\n" for block in found))
    variables = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    output = folder / "page.out"
    with output.open("wb") as out:
        shell = subprocess.Popen(
            ["bash", str(script)],
            cwd=TOP,
            env=os.environ | variables | environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            shell.wait(timeout_s)
        finally:
            _end_all(shell.pid)
            shell.wait()
    return output.read_text().split(_MARK)[: len(found)]


def _end_all(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def check(block: Block, printed: str) -> None:
    """What the block printed is what the page shows. Layout within a line does not count."""
    if block.shown is None:
        assert printed.strip() == "", f"{block.commands}\nprints, and the page does not say so:\n{printed}"
        return
    told, real = _spaced(block.shown), _spaced(printed)
    assert re.fullmatch(_pattern(told), real), f"{block.commands}\nprints:\n{real}\nand not:\n{told}"


def _spaced(text: str) -> str:
    """Without what only lays it out: blank lines, and blanks but for one between words."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _pattern(shown: str) -> str:
    lines = []
    for line in shown.splitlines():
        if line == SOME:
            lines.append(r"(?:[^\n]*\n)*?")
        else:
            lines.append(re.escape(line).replace(re.escape(SOME), r"[^\n]*?") + "\n")
    return "".join(lines).removesuffix("\n")
