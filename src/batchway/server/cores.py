"""How many workers `auto` is."""

import math
import os
from pathlib import Path

from batchway.config import Settings

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def worker_count(settings: Settings) -> int:
    """The workers to run."""
    return cores() if settings.workers == "auto" else settings.workers


def cores(quota: Path = _QUOTA) -> int:
    """Cores that this process may use: a container may be given less than the machine has."""
    has = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(has, _allowed(quota)))


def _allowed(quota: Path) -> int:
    """By the container's CPU quota, rounded up. Source: Linux, cgroup-v2.rst, cpu.max."""
    try:
        most, period = quota.read_text().split()
        return math.ceil(int(most) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # there is none, or it is "max"
        return os.cpu_count() or 1
