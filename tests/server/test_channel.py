"""What is said at one end is heard at the other, whole and in order, with its sockets."""

import gc
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from batchway.config import Address, AdminKey, Settings
from batchway.server.channel import Channel, Closed
from batchway.server.messages import Applied, Failed, Message, Ready, Reload, Stop, Written, encode


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = Channel.pair()
    yield one, other
    one.close()
    other.close()


def heard(channel: Channel) -> list[Message]:
    return list(channel.receive())


@pytest.mark.parametrize(
    "message", [Ready(), Applied(2**60), Failed("wörd", is_config=True), Stop(), Written(0)]
)
def test_messages_arrive(ends: tuple[Channel, Channel], message: Any) -> None:
    one, other = ends
    one.send(message)
    assert heard(other) == [message]
    other.send(message)
    assert heard(one) == [message]


def test_nothing_is_heard_before_something_is_said(ends: tuple[Channel, Channel]) -> None:
    assert heard(ends[0]) == []


def test_several_at_once(ends: tuple[Channel, Channel]) -> None:
    for revision in range(100):
        ends[0].send(Applied(revision))
    assert heard(ends[1]) == [Applied(revision) for revision in range(100)]


def test_a_message_in_pieces() -> None:
    end, raw = socket.socketpair()
    channel = Channel(end)
    data = encode(Failed("x" * 300, is_config=False))
    for place, byte in enumerate(data):
        assert heard(channel) == []
        raw.send(bytes([byte]))
        if place < len(data) - 1:
            assert heard(channel) == []
    assert heard(channel) == [Failed("x" * 300, is_config=False)]
    channel.close()
    raw.close()


def test_more_than_the_socket_takes_waits_until_there_is_room(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    large = Failed("x" * 1_000_000, is_config=False)
    one.send(large)
    one.send(Ready())
    assert one.has_unsent

    got: list[Message] = []
    while len(got) < 2:
        got += heard(other)
        one.flush()
    assert got == [large, Ready()]
    assert not one.has_unsent


def test_settings_arrive_as_they_were(ends: tuple[Channel, Channel]) -> None:
    settings = Settings(
        admin_keys=(AdminKey("a", "secret", "admin"),),
        plugin_attr={"batch-requests": {"uri": "/b", "deep": {"list": [1, None, 2.5, 2**70]}}},
    )
    ends[0].send(Reload.to(settings, (Address("::1", 80),)))

    (reload,) = heard(ends[1])
    assert isinstance(reload, Reload)
    assert reload.settings() == settings
    assert reload.fresh == (Address("::1", 80),)
    assert "secret" not in repr(reload.settings())


def test_sockets_come_along(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        names = [first.getsockname(), second.getsockname()]
        one.send(Ready(), [first])
        one.send(Stop(), [second])
    assert heard(other) + heard(other) == [Ready(), Stop()]  # of one read are the sockets of one message

    got = other.take_sockets(5)
    assert [received.getsockname() for received in got] == names
    assert other.take_sockets(1) == []
    for received in got:
        with received, socket.create_connection(received.getsockname()):
            assert not received.get_inheritable()


def test_sockets_that_wait_may_be_closed_here(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send(Failed("x" * 1_000_000, is_config=False))
    with socket.create_server(("127.0.0.1", 0)) as server:
        name = server.getsockname()
        one.send(Ready(), [server])

    got: list[Message] = []
    while len(got) < 2:
        got += heard(other)
        one.flush()
    (received,) = other.take_sockets(1)
    with received:
        assert received.getsockname() == name


def test_no_descriptor_is_left(ends: tuple[Channel, Channel]) -> None:
    gc.collect()  # what it would close in between
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        one, other = Channel.pair()
        with socket.create_server(("127.0.0.1", 0)) as server:
            one.send(Ready(), [server])
            heard(other)  # and its socket is never taken
            one.send(Failed("x" * 1_000_000, is_config=False))
            one.send(Ready(), [server])  # and never gets there
        one.close()
        one.close()
        other.close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_end_is_noticed(ends: tuple[Channel, Channel]) -> None:
    one, other = ends
    one.send(Ready())
    one.close()

    assert heard(other) == [Ready()]
    with pytest.raises(Closed):
        heard(other)
    with pytest.raises(Closed):
        other.send(Ready())


def test_who_does_not_listen_counts_as_gone(ends: tuple[Channel, Channel]) -> None:
    large = Failed("x" * 1_000_000, is_config=False)
    for _ in range(4):
        ends[0].send(large)
    with pytest.raises(Closed):
        ends[0].send(large)
