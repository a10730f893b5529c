"""Forked processes, each at the other end of a channel."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from socket import socket
from typing import NoReturn

import structlog
from msgspec import Struct

from batchway.server.channel import Channel, Closed
from batchway.server.messages import Failed, FromSupervisor, Message

log = structlog.get_logger(__name__)


class Member(Struct, eq=False):
    """A child, as its parent knows it."""

    number: int
    pid: int
    channel: Channel
    born: float
    """By the monotonic clock."""
    is_ready: bool = False
    failed: Failed | None = None
    is_cut: bool = False
    """Whether its channel is watched no more."""


class Crew:
    """The children that live, by number. Only for a process of one thread and without an event loop."""

    def __init__(
        self,
        selector: BaseSelector,
        become: Callable[[int, Channel], int],
        hear: Callable[[Member, Message], None],
    ) -> None:
        """`become` is what a child does, with its number and channel; it returns its exit code.

        The selector's events have a function as their data: it is to be called with the event's mask.
        `hear` gets what a child says.
        """
        self._selector = selector
        self._become = become
        self._hear = hear
        self._members: dict[int, Member] = {}

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def start(self, number: int) -> None:
        """Fork a child. Raises OSError if the system has no more of them."""
        ours, theirs = Channel.pair()
        _flush()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            self._live(number, theirs)
        theirs.close()
        member = self._members[number] = Member(number, pid, ours, time.monotonic())
        self._selector.register(ours, EVENT_READ, lambda mask: self._on_event(member, mask))

    def _live(self, number: int, channel: Channel) -> NoReturn:
        """In the child: do its work and end, whatever comes, without going back to the parent's work."""
        code = 1
        try:
            self._selector.close()
            for member in self:  # else none of them would notice its parent's end before ours
                member.channel.close()
            code = self._become(number, channel)
        except BaseException:
            log.exception("worker failed")
        finally:
            _flush()
            os._exit(code)

    # --- what is said

    def say(self, number: int, message: FromSupervisor, sockets: Iterable[socket] = ()) -> None:
        """Tell a child; nothing happens if there is none of that number."""
        member = self._members.get(number)
        if member is None or member.is_cut:
            return
        try:
            member.channel.send(message, sockets)
        except Closed:
            self._cut(member)
        else:
            self._watch(member)

    def tell_all(self, message: FromSupervisor, sockets: Iterable[socket] = ()) -> None:
        """Tell every child."""
        for number in list(self._members):
            self.say(number, message, sockets)

    def _on_event(self, member: Member, mask: int) -> None:
        if member.is_cut:
            return
        try:
            if mask & EVENT_WRITE:
                member.channel.flush()
            if mask & EVENT_READ:
                for message in member.channel.receive():
                    self._hear(member, message)
        except Closed:
            self._cut(member)
        else:
            self._watch(member)

    def _watch(self, member: Member) -> None:
        if member.is_cut:
            return
        mask = EVENT_READ | (EVENT_WRITE if member.channel.has_unsent else 0)
        key = self._selector.get_key(member.channel)
        if key.events != mask:
            self._selector.modify(member.channel, mask, key.data)

    def _cut(self, member: Member) -> None:
        """It ends, or does not listen any more, and then it has to end."""
        if not member.is_cut:
            member.is_cut = True
            self._selector.unregister(member.channel)
            os.kill(member.pid, signal.SIGKILL)

    # --- how they end

    def reap(self) -> list[tuple[Member, int]]:
        """Those that have ended since the last time, with their wait status; all they said is heard."""
        ended = []
        for member in self:
            if os.waitid(os.P_PID, member.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            while not member.is_cut and member.channel.has_news():
                self._on_event(member, EVENT_READ)
            self._cut(member)
            _, status = os.waitpid(member.pid, 0)  # only now: from here on the number may be another's
            member.channel.close()
            del self._members[member.number]
            ended.append((member, status))
        return ended

    def kill(self, members: Iterable[Member]) -> None:
        """kill -9 for these."""
        for member in members:
            os.kill(member.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill those that are left, and wait for them."""
        self.kill(self)
        for member in self:
            os.waitpid(member.pid, 0)
            member.channel.close()
        self._members.clear()


def _flush() -> None:
    """Write what is buffered: a child would write it, too, and `_exit` writes nothing."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):  # nobody reads it any more
                stream.flush()
