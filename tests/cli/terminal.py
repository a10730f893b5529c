"""`batchway` on a terminal of its own."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from msgspec import Struct

SIZE = {"COLUMNS": "100", "LINES": "40"}


class Ended(Struct):
    """What a run came to, and all that the terminal was sent."""

    code: int
    screen: str


def run(
    *args: str | Path, terminal_stdin: bool = False, typed: str = "", environ: dict[str, str] | None = None
) -> Ended:
    """`batchway` with stdout and stderr, and if asked stdin, on a terminal where `typed` is typed."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "batchway", *map(str, args)],
        stdin=terminal if terminal_stdin else subprocess.DEVNULL,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, **SIZE, "TERM": "xterm-256color", **(environ or {})},
    ) as process:
        os.close(terminal)
        os.write(controller, typed.encode())
        screen = _read_all(controller)
        return Ended(process.wait(30), screen)


def _read_all(controller: int) -> str:
    pieces = []
    try:
        while piece := os.read(controller, 65536):
            pieces.append(piece)
    except OSError:  # Linux: nobody has the terminal open any more
        pass
    finally:
        os.close(controller)
    return b"".join(pieces).decode()
