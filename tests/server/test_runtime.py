"""What the settings ask for, before anything is started."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from batchway.config import Address, Settings, StoreSettings
from batchway.errors import ConfigError, StoreError
from batchway.plugins.counters import LocalCounters
from batchway.server import runtime as module
from batchway.server.from_settings import make_registry
from batchway.server.listener import ListenError, bind
from batchway.server.runtime import Runtime, Stopping, serve
from batchway.store.base import Listing
from tests.integration.ports import free_port


def refusal(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make_registry(Settings(**settings))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_defaults_switch_all_plugins_on() -> None:
    assert {"batch-requests", "public-api"} <= set(make_registry(Settings()).plugins)


def test_plugins_that_are_named() -> None:
    assert set(make_registry(Settings(plugins=("public-api", "no-such"))).plugins) == {"public-api"}
    assert make_registry(Settings(plugins=())).plugins == {}


def test_attributes() -> None:
    registry = make_registry(Settings(plugin_attr={"batch-requests": {"uri": "/b"}}))
    assert registry.api_uris() == ["/b"]


@pytest.mark.parametrize("uri", ["no-slash", 1, None, ["/"]])
def test_wrong_attributes(uri: object) -> None:
    message = refusal(plugin_attr={"batch-requests": {"uri": uri}})
    assert "plugin_attr.batch-requests" in message
    assert "uri" in message


@pytest.mark.parametrize("plugins", [(), ("public-api",)])
def test_batch_that_is_exposed_and_off(plugins: tuple[str, ...]) -> None:
    message = refusal(plugins=plugins, expose_batch=True)
    assert "batchway.expose_batch" in message
    assert "batch-requests" in message


def test_batch_that_is_exposed_and_on() -> None:
    make_registry(Settings(expose_batch=True))
    make_registry(Settings(plugins=("batch-requests",), expose_batch=True))


# --- a reload that comes to nothing


class BrokenStore:
    """Cannot be read."""

    async def list(self, _prefix: str) -> Any:
        raise StoreError("cannot be read")

    async def close(self) -> None:
        pass


def settings(tmp_path: Path, **more: Any) -> Settings:
    return Settings(
        enable_admin=False,
        enable_control=False,
        plugins=("public-api",),
        access_log=str(tmp_path / "access.log"),
        **more,
    )


def make_runtime(tmp_path: Path) -> Runtime:
    given = settings(tmp_path, node_listen=())
    store: Any = BrokenStore()
    return Runtime(given, make_registry(given), store, counters=LocalCounters())


def open_files() -> set[str]:
    return {os.readlink(entry.path) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry.path)}


def test_reload_without_its_port_leaves_no_file_open(tmp_path: Path) -> None:
    async def main() -> None:
        runtime = make_runtime(tmp_path)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = Address("127.0.0.1", taken.getsockname()[1])
            with pytest.raises(ListenError):
                await runtime.reload(settings(tmp_path, node_listen=(address,)))
        assert str(tmp_path / "access.log") not in open_files()
        await runtime.stop()

    asyncio.run(main())


def test_reload_without_its_log_leaves_no_port_taken(tmp_path: Path) -> None:
    async def main() -> None:
        runtime = make_runtime(tmp_path)
        (tmp_path / "access.log").mkdir()
        address = Address("127.0.0.1", free_port())
        with pytest.raises(ConfigError):
            await runtime.reload(settings(tmp_path, node_listen=(address,)))
        bind(address).close()
        await runtime.stop()

    asyncio.run(main())


def test_new_ports_are_served_also_if_the_store_cannot_be_read(tmp_path: Path) -> None:
    """All else holds by then; and the next reload must not find them taken, by us."""

    async def main() -> None:
        runtime = make_runtime(tmp_path)
        wanted = settings(tmp_path, node_listen=(Address("127.0.0.1", free_port()),))
        for _ in range(2):
            with pytest.raises(StoreError):
                await runtime.reload(wanted)
        _, writer = await asyncio.open_connection("127.0.0.1", wanted.node_listen[0].port)
        writer.close()
        await runtime.stop()

    asyncio.run(main())


def test_hurry_reaches_the_ports_that_a_reload_gave_up(tmp_path: Path) -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def waits(_scope: Any, _receive: Any, _send: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

        runtime = make_runtime(tmp_path)
        runtime._apps["data"] = waits
        wanted = settings(tmp_path, node_listen=(Address("127.0.0.1", free_port()),))
        with pytest.raises(StoreError):
            await runtime.reload(wanted)
        reader, writer = await asyncio.open_connection("127.0.0.1", wanted.node_listen[0].port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await begun.wait()
        with pytest.raises(StoreError):
            await runtime.reload(settings(tmp_path, node_listen=()))
        runtime.hurry()
        await asyncio.wait_for(runtime.stop(), 20)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    asyncio.run(main())


# --- the end


class HeldStore:
    """Answers when it is let, and has nothing."""

    def __init__(self) -> None:
        self.is_asked, self.let = asyncio.Event(), asyncio.Event()

    async def list(self, _prefix: str) -> Listing:
        self.is_asked.set()
        await self.let.wait()
        return Listing((), 0)

    async def close(self) -> None:
        pass


def test_ports_that_a_reload_opens_while_the_gateway_stops_are_closed(tmp_path: Path) -> None:
    async def main() -> None:
        given = settings(tmp_path, node_listen=())
        store: Any = HeldStore()
        runtime = Runtime(given, make_registry(given), store, counters=LocalCounters())
        address = Address("127.0.0.1", free_port())
        wanted = settings(tmp_path, node_listen=(address,))
        reloading = asyncio.create_task(runtime.reload(wanted))
        await store.is_asked.wait()
        stopping = asyncio.create_task(runtime.stop())
        await asyncio.sleep(0)
        store.let.set()
        await asyncio.gather(reloading, stopping)
        bind(address).close()
        with pytest.raises(Stopping):
            await runtime.reload(wanted)

    asyncio.run(main())


def test_signals_are_heard_by_the_time_it_is_said_to_be_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[Callable[[], object]] = []

    @contextmanager
    def heard(acts: Mapping[signal.Signals, Callable[[], object]]) -> Iterator[None]:
        stops.append(acts[signal.SIGTERM])
        yield

    monkeypatch.setattr(module, "heard", heard)
    monkeypatch.setattr(module, "say_ready", lambda *_: stops.pop()())
    given = settings(tmp_path, node_listen=(), store=StoreSettings(path=str(tmp_path / "b.db")))
    asyncio.run(serve(given, lambda: given))
