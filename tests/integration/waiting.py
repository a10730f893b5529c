"""Waiting for what a test has brought about: as short as can be, and long enough for a busy machine."""

import time
from collections.abc import Callable

PATIENCE_S = 20.0
"""What is waited for is there much sooner, unless the machine is very busy."""


def wait(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Return as soon as `condition` holds; fails after so long."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"still not: {what}"
        time.sleep(0.01)
