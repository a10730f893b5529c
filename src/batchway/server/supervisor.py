"""Several workers behind the same sockets: starts them, replaces those that die, tells all what is new.

One thread and no event loop: that is what makes it safe to fork at any time. Nothing here waits for a
worker; what is due by a time is looked at when the time has come.
"""

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import socket
from typing import NoReturn, Self

import structlog
import uvloop
from msgspec import Struct

from batchway.config import Address, Settings
from batchway.errors import BatchwayError, ConfigError
from batchway.server.barrier import Barrier
from batchway.server.channel import Channel, Closed
from batchway.server.listener import bind, places
from batchway.server.messages import (
    Applied,
    Failed,
    FromSupervisor,
    Hurry,
    Joining,
    Message,
    Ready,
    Reload,
    Reloaded,
    Settled,
    Stop,
    Welcome,
    Written,
    Wrote,
)
from batchway.server.restarts import Restarts
from batchway.server.runtime import say_ready, without_restart
from batchway.server.shared_counters import SharedCounters
from batchway.server.signals import STOPPING, Signals, how_it_ended
from batchway.server.worker import Job, work

log = structlog.get_logger(__name__)

_RELOAD_S = 30.0
"""How long a worker may take to go on with new settings."""
_LAST_S = 5.0
"""How long it may take to end once its grace is over."""


class WorkersFailed(BatchwayError):
    """The workers cannot be started."""

    code = "workers_failed"


class _Member(Struct, eq=False):
    """A worker, as its supervisor knows it."""

    number: int
    pid: int
    channel: Channel
    born: float
    is_ready: bool = False
    failed: Failed | None = None
    is_cut: bool = False
    """Whether its channel is watched no more."""


class Supervisor:
    """Serves with `count` workers, from `run` until it is told to stop."""

    def __init__(
        self,
        settings: Settings,
        count: int,
        reload: Callable[[], Settings],
        adopt: Callable[[Settings], None],
    ) -> None:
        """`adopt` is called in each worker with the settings of a reload."""
        self._settings = settings
        self._count = count
        self._load = reload
        self._adopt = adopt
        self._counters = SharedCounters(settings.limits.counter_keys)
        self._sockets: dict[tuple[str, Address], socket] = {}
        self._members: dict[int, _Member] = {}
        self._barrier = Barrier()
        self._restarts = Restarts()
        self._selector = DefaultSelector()
        self._signals = Signals()
        self._is_started = False
        self._is_stopping = False
        self._failure: BatchwayError | None = None
        self._is_reload_wanted = False
        self._reloading: set[int] | None = None
        self._reload_until: float | None = None
        self._kill_at: float | None = None

    def __enter__(self) -> Self:
        self._signals.__enter__()
        self._selector.register(self._signals, EVENT_READ, self._on_signals)
        return self

    def __exit__(self, *_: object) -> None:
        """End what is left, if it was no good end."""
        for member in self._members.values():
            os.kill(member.pid, signal.SIGKILL)
            os.waitpid(member.pid, 0)
            member.channel.close()
        self._close_sockets()
        self._selector.close()
        self._counters.close()
        self._signals.__exit__()
