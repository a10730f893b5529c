"""Sockets that are bound, served, and closed again with care."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from batchway.config import Address, ServerLimits
from batchway.server import ListenError
from batchway.server.listener import Listener, bind
from batchway.server.protocol import Bounds
from tests.integration.ports import free_port
from tests.loops import settle, until

from .client import Client, get


def refusal(host: str, port: int) -> str:
    with pytest.raises(ListenError) as caught:
        bind(Address(host, port))
    assert "\n" not in caught.value.message
    return caught.value.message


@contextmanager
def taken(host: str) -> Iterator[int]:
    """A port where somebody listens."""
    with closing(bind(Address(host, 0))) as other:
        yield other.getsockname()[1]


# --- bind


def test_bound_socket_listens() -> None:
    with closing(bind(Address("127.0.0.1", 0))) as bound:
        host, port = bound.getsockname()
        assert host == "127.0.0.1"
        assert not bound.getblocking()
        with socket.create_connection((host, port), 1):
            pass


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_port_that_is_taken(host: str, shown: str) -> None:
    with taken(host) as port:
        message = refusal(host, port)
    assert message == f"cannot listen on {shown}:{port}: the port is already in use"


def test_taken_by_a_second_gateway_on_every_address() -> None:
    with taken("0.0.0.0") as port:
        assert "already in use" in refusal("127.0.0.1", port)


def test_address_of_another_machine() -> None:
    message = refusal("203.0.113.1", 9080)
    assert message == "cannot listen on 203.0.113.1:9080: this machine does not have that address"


@pytest.mark.parametrize("host", ["256.256.256.256", "no-such-host.invalid", "a b"])
def test_host_that_is_none(host: str) -> None:
    assert "unknown error" not in refusal(host, 9080)


def test_failed_bind_leaves_no_socket_open(recwarn: pytest.WarningsRecorder) -> None:
    with taken("127.0.0.1") as port:
        for _ in range(3):
            refusal("127.0.0.1", port)
    assert not recwarn.list


def test_ipv6_leaves_ipv4_alone() -> None:
    port = free_port()
    with closing(bind(Address("::", port))), closing(bind(Address("0.0.0.0", port))):
        pass


def test_port_can_be_used_again_at_once() -> None:
    port = free_port()
    for _ in range(2):
        with closing(bind(Address("127.0.0.1", port))) as bound:
            client = socket.create_connection(("127.0.0.1", port), 1)
            bound.setblocking(True)
            accepted, _ = bound.accept()
            accepted.close()  # first, so that its side of the connection waits in TIME_WAIT
            client.close()


def test_listener_that_cannot_listen(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        with taken("127.0.0.1") as port, pytest.raises(ListenError):
            Listener(Address("127.0.0.1", port), nobody, Bounds(ServerLimits()))

    each_loop.run(main())


# --- start and stop


async def nobody(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError


class Held:
    """An app whose answers wait until they may go."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.begun = 0
        self.ended: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        try:
            await self.go_on.wait()
            headers = [(b"content-length", b"2")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})
            self.ended.append("answered")
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise


def listener(app: Callable[[Any, Any, Any], Awaitable[None]] = nobody) -> Listener:
    return Listener(Address("127.0.0.1", free_port()), app, Bounds(ServerLimits()))


def port_of(one: Listener) -> int:
    return one.address.port


async def is_closed(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    writer.transport.abort()
    return False


def test_connections_wait_for_the_start(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        app = Held()
        app.go_on.set()
        one = listener(app)
        async with Client.to(port_of(one)) as client:
            await client.send(get())
            assert await client.is_open(0.02)
            one.start()
            assert (await client.answer()).status == 200
        await one.stop(1)

    each_loop.run(main())


def test_stop_without_a_start(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        one = listener()
        await one.stop(1)
        assert await is_closed(port_of(one))

    each_loop.run(main())


def test_stop_right_after_the_start(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        one = listener()
        one.start()
        await asyncio.wait_for(one.stop(1), 20)
        assert await is_closed(port_of(one))

    each_loop.run(main())


def test_stop_closes_idle_connections(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        app = Held()
        app.go_on.set()
        one = listener(app)
        one.start()
        async with Client.to(port_of(one)) as used, Client.to(port_of(one)) as unused:
            assert (await used.ask(get())).status == 200
            await asyncio.wait_for(one.stop(30), 20)
            assert await used.rest() == await unused.rest() == b""
        assert await is_closed(port_of(one))

    each_loop.run(main())


def test_stop_lets_running_requests_finish(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        app = Held()
        one = listener(app)
        one.start()
        async with Client.to(port_of(one)) as client:
            await client.send(get())
            await until(lambda: app.begun)
            stopping = asyncio.create_task(one.stop(30))
            while not await is_closed(port_of(one)):  # no new connections, as soon as it has heard of it
                await settle()
            assert not stopping.done()
            app.go_on.set()
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"ok")
            assert await client.rest() == b"", "and that was the last"
            await asyncio.wait_for(stopping, 20)
        assert app.ended == ["answered"]

    each_loop.run(main())


@pytest.mark.parametrize("grace_s", [0, 0.05])
def test_stop_cuts_off_what_takes_longer_than_the_grace(each_loop: asyncio.Runner, grace_s: float) -> None:
    async def main() -> None:
        app = Held()
        one = listener(app)
        one.start()
        async with Client.to(port_of(one)) as client:
            await client.send(get())
            await until(lambda: app.begun)
            await asyncio.wait_for(one.stop(grace_s), 20)
            await until(lambda: app.ended)
            assert app.ended == ["cancelled"]
            rest = await client.rest()
            assert b" 200 " not in rest
        assert await is_closed(port_of(one))

    each_loop.run(main())


def test_hurry_ends_the_wait(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        app = Held()
        one = listener(app)
        one.start()
        async with Client.to(port_of(one)) as client:
            await client.send(get())
            await until(lambda: app.begun)
            stopping = asyncio.create_task(one.stop(30))
            await asyncio.sleep(0.05)
            assert not stopping.done()
            one.hurry()
            await asyncio.wait_for(stopping, 20)
            app.go_on.set()
            await until(lambda: app.ended)

    each_loop.run(main())


def test_signals_are_left_to_others(runner: asyncio.Runner) -> None:
    """uvicorn would take SIGINT and SIGTERM for itself."""

    async def main() -> None:
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        one = listener()
        one.start()
        await asyncio.sleep(0.02)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
        await one.stop(0)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before

    runner.run(main())


def test_several_listeners_share_an_app(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        app = Held()
        app.go_on.set()
        several = [listener(app) for _ in range(3)]
        for one in several:
            one.start()
        for one in several:
            async with Client.to(port_of(one)) as client:
                assert (await client.ask(get())).status == 200
        await several[0].stop(0)
        assert [await is_closed(port_of(one)) for one in several] == [True, False, False]
        await asyncio.gather(*(one.stop(0) for one in several[1:]))

    each_loop.run(main())


def test_answer_tells_no_server(each_loop: asyncio.Runner) -> None:
    async def main() -> None:
        app = Held()
        app.go_on.set()
        one = listener(app)
        one.start()
        async with Client.to(port_of(one)) as client:
            assert set((await client.ask(get())).headers) == {"content-length"}
        await one.stop(0)

    each_loop.run(main())


def test_forwarded_headers_do_not_change_the_client(each_loop: asyncio.Runner) -> None:
    clients: list[str] = []

    async def note(scope: Any, receive: Any, send: Any) -> None:
        clients.append(scope["client"][0])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        one = listener(note)
        one.start()
        async with Client.to(port_of(one)) as client:
            await client.ask(get("/", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https"))
        await one.stop(0)
        assert clients == ["127.0.0.1"]

    each_loop.run(main())
