"""Several workers behind the same sockets: starts them, replaces those that die, tells all what is new.

One thread and no event loop: that is what makes it safe to fork at any time. Nothing here waits for a
worker; what is due by a time is looked at when the time has come.
"""

import gc
import signal
import time
from collections.abc import Callable, Iterable
from selectors import EVENT_READ, DefaultSelector
from socket import socket

import structlog
import uvloop

from batchway.config import Settings
from batchway.errors import BatchwayError, ConfigError
from batchway.server.barrier import Barrier
from batchway.server.channel import Channel
from batchway.server.crew import Crew, Member
from batchway.server.from_settings import make_registry, without_restart
from batchway.server.listener import Place, bind, bind_if_possible, places
from batchway.server.messages import (
    Applied,
    Failed,
    Hurry,
    Joining,
    Message,
    PleaseReload,
    Ready,
    Reload,
    ReloadDone,
    Reloaded,
    Settled,
    Stop,
    Welcome,
    Written,
    Wrote,
)
from batchway.server.reloads import Asker, Reloads
from batchway.server.restarts import Restarts
from batchway.server.runtime import say_ready
from batchway.server.shared_counters import SharedCounters
from batchway.server.signals import WELL, Signals, how_it_ended
from batchway.server.stores import keep
from batchway.server.worker import Job, work

log = structlog.get_logger(__name__)

END_S = 5.0
"""How long it may take to end once its grace is over."""


class WorkersFailed(BatchwayError):
    """The workers cannot be started."""

    code = "workers_failed"


def supervise(
    settings: Settings,
    count: int,
    reload: Callable[[], Settings],
    adopt: Callable[[Settings], None],
) -> None:
    """Serve with `count` workers until SIGTERM or SIGINT; the rest is as `serve` has it.

    `adopt` is called in each worker with the settings of a reload.
    """
    with Signals() as signals:
        supervisor = Supervisor(settings, count, signals, reload, adopt)
        try:
            supervisor.run()
        finally:
            supervisor.close()


class Supervisor:
    """See `supervise`."""

    def __init__(
        self,
        settings: Settings,
        count: int,
        signals: Signals,
        reload: Callable[[], Settings],
        adopt: Callable[[Settings], None],
    ) -> None:
        self._settings = settings
        self._count = count
        self._signals = signals
        self._reload = reload
        self._adopt = adopt
        self._kept = keep(settings, make_registry(settings))
        self._counters = SharedCounters(settings.limits.counter_keys)
        self._selector = DefaultSelector()
        self._selector.register(signals, EVENT_READ, self._on_signals)
        self._crew = Crew(self._selector, self._become_worker, self._hear)
        self._sockets: dict[Place, socket] = {}
        self._barrier = Barrier()
        self._restarts = Restarts()
        self._is_started = False
        self._is_stopping = False
        self._failure: BatchwayError | None = None
        self._reloads = Reloads()
        self._kill_at: float | None = None

    def run(self) -> None:
        """Raises BatchwayError for what keeps it from starting."""
        self._sockets = self._bind_new(self._settings)
        gc.collect()
        gc.freeze()  # else the children's collectors would copy, page by page, all that they share
        for number in range(1, self._count + 1):
            if self._failure is None:
                self._start(number)
        while self._crew or not self._is_stopping:
            for key, mask in self._selector.select(self._patience_s()):
                key.data(mask)
            self._look_at_the_clock(time.monotonic())
        if self._failure is not None:
            raise self._failure
        log.info("stopped")

    def close(self) -> None:
        """Free everything; workers that are left are killed."""
        self._crew.close()
        self._close_sockets()
        self._selector.close()
        self._counters.close()
        if self._kept is not None:
            self._kept.close()

    # --- the clock

    def _patience_s(self) -> float | None:
        """How long there is nothing to do but to wait for events."""
        times = (
            self._restarts.next_due(),
            self._barrier.next_deadline(),
            self._reloads.until,
            self._kill_at,
        )
        known = [at for at in times if at is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    def _look_at_the_clock(self, now: float) -> None:
        for number in self._restarts.take_due(now):
            self._start(number)
        for number in self._barrier.overdue(now):
            log.error("worker does not apply writes: they wait for it no longer", worker=number)
        self._answer_writes()
        if late := self._reloads.overdue(now):
            log.error("killing workers that do not reload", workers=sorted(late))
            self._crew.kill(member for member in self._crew if member.number in late)
        if self._kill_at is not None and self._kill_at <= now:
            log.error("killing workers that do not end", workers=[member.number for member in self._crew])
            self._crew.kill(self._crew)
            self._kill_at = None

    # --- signals

    def _on_signals(self, _: int) -> None:
        for number in self._signals.take():
            match number:
                case signal.SIGTERM | signal.SIGINT:
                    self._stop()
                case signal.SIGHUP:
                    self._reloads.want()
        for member, status in self._crew.reap():
            self._on_end(member, how_it_ended(status))
        self._reload_if_wanted()

    def _stop(self) -> None:
        """Let the workers drain; a second time, cut that short."""
        if self._is_stopping:
            self._crew.tell_all(Hurry())
            self._kill_at = time.monotonic() + END_S
            return
        self._is_stopping = True
        grace_s = self._settings.limits.shutdown_grace_s
        if self._failure is None:
            log.info("draining", grace_s=grace_s)
        self._restarts.give_up()
        self._close_sockets()
        self._tell(self._reloads.give_up(), "the gateway is about to end")
        self._crew.tell_all(Stop())
        self._kill_at = time.monotonic() + grace_s + END_S

    def _close_sockets(self) -> None:
        for bound in self._sockets.values():
            bound.close()

    # --- workers that come and go

    def _start(self, number: int) -> None:
        try:
            with self._signals.held():
                self._crew.start(number)
        except OSError as error:
            self._on_no_start(number, f"no process for it: {error.strerror}")

    def _become_worker(self, number: int, channel: Channel) -> int:
        """In the child."""
        self._signals.forget()
        structlog.contextvars.bind_contextvars(worker=number)
        sockets = {address: bound for (_, address), bound in self._sockets.items()}
        job = Job(self._settings, sockets, channel, self._counters, self._adopt, self._kept)
        return uvloop.run(work(job))

    def _on_end(self, member: Member, how: str) -> None:
        self._barrier.leave(member.number)
        self._answer_writes()
        self._reloaded(member.number)
        if self._is_stopping:
            if how != WELL and self._failure is None:
                log.error("worker died", worker=member.number, pid=member.pid, how=how)
        elif how == WELL:
            log.info("worker ended", worker=member.number, pid=member.pid)
            self._restarts.left(member.number, time.monotonic())
        elif member.is_ready:
            delay_s = self._restarts.died(member.number, member.born, time.monotonic())
            log.error("worker died", worker=member.number, pid=member.pid, how=how, again_in_s=delay_s)
        else:
            failed = member.failed or Failed(f"a worker has ended at its start: {how}", is_config=False)
            self._on_no_start(member.number, failed.message, is_config=failed.is_config)

    def _on_no_start(self, number: int, why: str, *, is_config: bool = False) -> None:
        """Nothing works if it is so from the beginning; later on it may pass."""
        if self._is_started:
            now = time.monotonic()
            delay_s = self._restarts.died(number, now, now)
            log.error("worker cannot start", worker=number, error=why, again_in_s=delay_s)
        elif self._failure is None:
            self._failure = ConfigError(why) if is_config else WorkersFailed(why)
            self._stop()
            self._stop()

    # --- what workers say

    def _hear(self, member: Member, message: Message) -> None:
        number = member.number
        match message:
            case Ready():
                self._on_ready(member)
            case Failed():
                member.failed = message
            case PleaseReload(request):
                self._reloads.want((number, request))
                self._reload_if_wanted()
            case Reloaded(error):
                self._reloaded(number)
                if error is not None:
                    log.error("worker cannot reload: replacing it", worker=number, error=error)
                    self._crew.say(number, Stop())
            case _:
                self._hear_of_writes(number, message)
                self._answer_writes()

    def _hear_of_writes(self, number: int, message: Message) -> None:
        match message:
            case Joining():
                self._crew.say(number, Welcome(self._barrier.join(number)))
            case Wrote(revision):
                for other in self._barrier.wrote(number, revision, time.monotonic()):
                    self._crew.say(other, Written(revision))
            case Applied(revision):
                if self._barrier.applied(number, revision):
                    log.info("worker applies writes again", worker=number)

    def _answer_writes(self) -> None:
        for writer, revision in self._barrier.settled():
            self._crew.say(writer, Settled(revision))

    def _on_ready(self, member: Member) -> None:
        member.is_ready = True
        if self._is_started:
            log.info("worker started", worker=member.number, pid=member.pid)
        elif not self._is_stopping and self._are_all_ready():
            self._is_started = True
            say_ready(self._settings, self._count, self._sockets)
            self._reload_if_wanted()

    def _are_all_ready(self) -> bool:
        return len(self._crew) == self._count and all(member.is_ready for member in self._crew)

    # --- new settings

    def _reload_if_wanted(self) -> None:
        if self._is_stopping or not self._is_started or not self._reloads.take():
            return
        try:
            self._change_to(without_restart(self._reload(), self._settings))
        except BatchwayError as error:
            log.error("configuration not reloaded", error=error.message)
            self._tell(self._reloads.to_tell(), error.message)

    def _change_to(self, settings: Settings) -> None:
        """Have all workers go on with these. Raises ListenError, and then nothing has changed."""
        fresh = self._bind_new(settings)
        wanted = places(settings)
        gone = [place for place in self._sockets if place not in wanted]
        self._settings = settings
        self._reloads.begin((member.number for member in self._crew), time.monotonic())
        order = Reload.to(settings, tuple(address for _, address in fresh))
        self._crew.tell_all(order, fresh.values())
        self._sockets |= fresh
        for place in gone:
            self._sockets.pop(place).close()
        if not self._crew:  # all of them are about to be started again
            log.info("configuration reloaded")

    def _reloaded(self, number: int) -> None:
        """A worker has the new settings, or is no more; its replacement begins with them."""
        if self._reloads.done(number):
            log.info("configuration reloaded")
            self._tell(self._reloads.to_tell(), None)
            self._reload_if_wanted()

    def _tell(self, askers: Iterable[Asker], error: str | None) -> None:
        for number, request in askers:
            self._crew.say(number, ReloadDone(request, error))

    def _bind_new(self, settings: Settings) -> dict[Place, socket]:
        """Sockets for the places that are new, all of them or none. Raises ListenError."""
        fresh: dict[Place, socket] = {}
        try:
            for place in places(settings):
                if place not in self._sockets and (bound := bind_if_possible(place, bind)) is not None:
                    fresh[place] = bound
        except BatchwayError:
            for bound in fresh.values():
                bound.close()
            raise
        return fresh
