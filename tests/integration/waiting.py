"""Waiting for what a test has brought about: as short as can be, and long enough for a busy machine."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 20.0
"""What is waited for is there much sooner, unless the machine is very busy."""


def wait(condition: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
    """Return as soon as `condition` holds; fails after so long."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"still not: {what}"
        time.sleep(0.01)


def in_time(ask: Callable[[int], T], is_right: Callable[[T], object]) -> T:
    """What `ask` comes to in so many milliseconds: few, and more where it is not right.

    For what some of has to be there by then, and some must not: the machine may be too busy for the one.
    """
    for timeout_ms in (1000, 4000):
        found = ask(timeout_ms)
        if is_right(found):
            return found
    return ask(16_000)
