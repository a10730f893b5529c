"""JSON-RPC over real sockets, pipes and files: uvicorn, the `websockets` client, child processes."""

import asyncio
import contextlib
import gzip
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from batchway.rpc import Context, RpcApp
from batchway.rpc.framing import ContentLength
from tests.loops import until

from .wire import Answer, fetch

pytestmark = pytest.mark.integration


def call(method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
    """A call; a notification if `id` is `...`."""
    made = {"jsonrpc": "2.0", "method": method, "params": params or []}
    return made if id is ... else {**made, "id": id}


class Service:
    """An app, with what has become of its calls."""

    def __init__(self, **options: Any) -> None:
        self.app = RpcApp(get=True, **options)
        self.begun = 0
        self.stopped = 0
        self.go = asyncio.Event()
        self.app.method(self.echo)
        self.app.method(self.wait)
        self.app.method(self.count)
        self.app.method("look", idempotent=True)(self.look)

    async def echo(self, value: Any) -> Any:
        return value

    async def wait(self) -> str:
        self.begun += 1
        try:
            await self.go.wait()
        finally:
            self.stopped += 1
        return "went"

    async def count(self, to: int, context: Context) -> int:
        for number in range(to):
            await context.notify("counted", [number, "x" * 1000])
        return to

    async def look(self, text: str) -> str:
        return text


@contextlib.asynccontextmanager
async def serve(app: Any, **options: Any) -> AsyncIterator[int]:
    """uvicorn with `app`; gives its port."""
    settings: dict[str, Any] = {"ws": "websockets-sansio", "timeout_graceful_shutdown": 1, **options}
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", **settings))
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.005)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def ask(port: int, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await asyncio.to_thread(fetch, ("127.0.0.1", port), method, target, body, named)


async def say(client: ClientConnection, said: Any) -> None:
    await client.send(json.dumps(said))


async def hear(client: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await client.recv())


def url(port: int) -> str:
    return f"ws://127.0.0.1:{port}/"


# --- HTTP


def test_gzip_both_ways() -> None:
    async def main() -> None:
        async with serve(Service().app) as port:
            body = gzip.compress(json.dumps(call("echo", ["x" * 5000])).encode())
            found = await ask(port, "POST", "/", body, Content_Encoding="gzip", Accept_Encoding="gzip")
            assert found.header("content-encoding") == "gzip"
            assert len(found.body) < 200
            assert json.loads(gzip.decompress(found.body))["result"] == "x" * 5000
            found = await ask(port, "POST", "/", body, Content_Encoding="lzma")
            assert (found.status, found.header("accept-encoding")) == (415, "gzip, deflate, br, zstd")

    asyncio.run(main())


def test_get_and_head() -> None:
    async def main() -> None:
        async with serve(Service().app) as port:
            found = await ask(port, "GET", "/?method=look&params=%5B%22a%22%5D&id=1&jsonrpc=2.0")
            assert (found.status, found.json()["result"]) == (200, "a")
            assert found.header("cache-control") == "no-store"
            head = await ask(port, "HEAD", "/?method=look&params=%5B%22a%22%5D&id=1")
            assert (head.status, head.body) == (200, b"")
            assert head.header("content-length") == found.header("content-length")
            assert (await ask(port, "GET", "/?method=echo&id=1")).status == 405
            assert (await ask(port, "GET", "/")).header("content-type") == "text/html; charset=utf-8"

    asyncio.run(main())


async def open_stream(port: int, said: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(said).encode()
    writer.write(
        b"POST / HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\nContent-Length: %d\r\n\r\n"
        % len(body)
        + body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"content-type: application/x-ndjson" in head.lower()
    return reader, writer


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


def test_lines_come_while_others_run() -> None:
    async def main() -> None:
        service = Service()
        async with serve(service.app) as port:
            reader, writer = await open_stream(port, [call("wait", id=1), call("echo", ["a"], 2)])
            assert await read_chunk(reader) == b'{"jsonrpc":"2.0","result":"a","id":2}\n'
            assert service.stopped == 0
            service.go.set()
            assert await read_chunk(reader) == b'{"jsonrpc":"2.0","result":"went","id":1}\n'
            assert await read_chunk(reader) == b""
            writer.close()

    asyncio.run(main())


def test_who_leaves_a_stream_takes_the_calls_along() -> None:
    async def main() -> None:
        service = Service()
        async with serve(service.app) as port:
            reader, writer = await open_stream(port, [call("wait", id=1), call("echo", ["a"], 2)])
            await read_chunk(reader)
            writer.transport.abort()
            await until(lambda: service.stopped == 1)

    asyncio.run(main())


# --- WebSocket


@pytest.mark.parametrize("ws", ["websockets-sansio", "auto"])
def test_calls_batches_and_notifications_over_websocket(ws: str) -> None:
    async def main() -> None:
        async with (
            serve(Service().app, ws=ws) as port,
            connect(url(port), subprotocols=[Subprotocol("jsonrpc")]) as client,
        ):
            assert client.subprotocol == "jsonrpc"
            await say(client, call("echo", ["ä"]))
            assert await hear(client) == {"jsonrpc": "2.0", "result": "ä", "id": 1}
            await say(client, [call("echo", [1]), call("echo", [2], ...)])
            assert await hear(client) == [{"jsonrpc": "2.0", "result": 1, "id": 1}]
            await say(client, call("count", [2], 7))
            found = [await hear(client) for _ in range(3)]
            assert [one.get("method") for one in found] == ["counted", "counted", None]
            await client.send(json.dumps(call("echo", [3])).encode())
            assert isinstance(await client.recv(), bytes)

    asyncio.run(main())


def test_messages_run_side_by_side() -> None:
    async def main() -> None:
        service = Service()
        async with serve(service.app) as port, connect(url(port)) as client:
            await say(client, call("wait", id=1))
            await say(client, call("echo", ["a"], 2))
            assert (await hear(client))["id"] == 2
            service.go.set()
            assert (await hear(client))["id"] == 1

    asyncio.run(main())


@pytest.mark.parametrize("how", ["close", "abort"])
def test_who_leaves_takes_the_calls_along(how: str) -> None:
    async def main() -> None:
        service = Service()
        async with serve(service.app) as port, connect(url(port)) as client:
            for _ in range(3):
                await say(client, call("wait"))
            await until(lambda: service.begun == 3)
            if how == "close":
                await client.close()
            else:
                client.transport.abort()
            await until(lambda: service.stopped == 3)
            await until(lambda: len(service.app.connections) == 0)

    asyncio.run(main())


def test_message_beyond_the_servers_bound_closes_and_beyond_ours_is_told() -> None:
    async def main() -> None:
        service = Service(max_body_bytes=1000)
        async with serve(service.app, ws_max_size=10_000) as port, connect(url(port)) as client:
            await say(client, call("echo", ["x" * 2000]))
            assert (await hear(client))["error"]["code"] == -32053
            await say(client, call("echo", ["x" * 20_000]))
            with pytest.raises(ConnectionClosed) as closed:
                await client.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009

    asyncio.run(main())


def test_pages_of_other_sites_are_kept_out() -> None:
    async def main() -> None:
        async with serve(Service(allowed_origins=["https://app.example"]).app) as port:
            with pytest.raises(InvalidStatus) as refused:
                await connect(url(port), origin=Origin("https://evil.example"))
            assert refused.value.response.status_code == 403
            for origin in (Origin("https://app.example"), Origin(f"http://127.0.0.1:{port}"), None):
                async with connect(url(port), origin=origin) as client:
                    await say(client, call("echo", [1]))
                    assert (await hear(client))["result"] == 1

    asyncio.run(main())


def open_deaf(port: int) -> socket.socket:
    """A WebSocket of a client that never reads; the kernel keeps little for it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert client.recv(12) == b"HTTP/1.1 101"
    return client


def test_broadcast_is_not_held_up_by_who_does_not_read() -> None:
    async def main() -> None:
        service = Service(max_unsent_bytes=200_000)
        async with serve(service.app) as port, connect(url(port)) as client:
            deaf = await asyncio.to_thread(open_deaf, port)
            with contextlib.closing(deaf):
                await until(lambda: len(service.app.connections) == 2)
                reached = 2
                while reached == 2:  # until the kernel keeps no more for the other
                    reached = await service.app.broadcast("news", ["x" * 50_000])
                    assert (await hear(client))["method"] == "news"
                assert reached == 1
                assert len(service.app.connections) == 1

    asyncio.run(main())


def test_flood_of_notifications_waits_for_the_reader() -> None:
    async def main() -> None:
        service = Service(max_response_bytes=10_000_000)
        async with serve(service.app) as port, connect(url(port), max_queue=1) as client:
            await say(client, call("count", [5000]))
            for number in range(5000):
                assert (await hear(client))["params"][0] == number
            assert (await hear(client))["result"] == 5000

    asyncio.run(main())


def test_server_that_ends_takes_the_calls_along() -> None:
    async def main() -> None:
        service = Service()
        async with contextlib.AsyncExitStack() as outside:
            async with serve(service.app) as port:
                client = await outside.enter_async_context(connect(url(port)))
                await say(client, call("wait"))
                await until(lambda: service.begun == 1)
            await until(lambda: service.stopped == 1)
            with pytest.raises(ConnectionClosed):
                await client.recv()

    asyncio.run(main())


# --- standard input and output

SERVICE = """
import asyncio, os, subprocess, sys, time
from batchway.rpc import Context, RpcApp

app = RpcApp(max_body_bytes=10_000)
print("before")

@app.method
async def echo(value: str) -> str:
    print("printed")
    os.write(1, b"written\\n")
    subprocess.run(["echo", "of a child"])
    return value

@app.method
async def ask() -> str:
    try:
        return input()
    except EOFError:
        return "nothing"

@app.method
def slow(context: Context) -> str:
    time.sleep(0.1)
    context.notify_from_thread("slowed")
    return "slow"

asyncio.run(app.serve_stdio(*sys.argv[1:]))
print("after")
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that runs a service."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    (tmp_path / "service.py").write_text(SERVICE)
    return [sys.executable, str(tmp_path / "service.py")]


def lines_of(*calls: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in calls)


def test_lines_over_pipes(service: Sequence[str]) -> None:
    said = lines_of(call("slow", id=1), call("echo", ["ä\n"], 2), [call("ask", id=3)]) + b"{\n"
    ended = subprocess.run(service, input=said, capture_output=True, timeout=30, check=True)
    found = [json.loads(line) for line in ended.stdout.replace(b"after\n", b"").splitlines()]
    slow = {"jsonrpc": "2.0", "result": "slow", "id": 1}
    (notified,) = (at for at, one in enumerate(found) if "method" in one)
    assert found[notified]["method"] == "slowed"
    assert notified < found.index(slow)
    assert {"jsonrpc": "2.0", "result": "ä\n", "id": 2} in found
    assert [{"jsonrpc": "2.0", "result": "nothing", "id": 3}] in found
    assert len(found) == 5
    for text in (b"before", b"printed", b"written", b"of a child"):
        assert text in ended.stderr
    assert ended.stdout.endswith(b"after\n")


def test_a_conversation_with_lengths(service: Sequence[str]) -> None:
    with subprocess.Popen(
        service, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        framing = ContentLength(10_000)
        for number in range(3):
            for byte in ContentLength.wrap(json.dumps(call("echo", [str(number)])).encode()):
                process.stdin.write(bytes([byte]))
            found: list[Any] = []
            while not found:
                found = framing.feed(process.stdout.read(1000))
            assert json.loads(found[0])["result"] == str(number)
        process.stdin.close()
        assert process.wait(30) == 0


def test_files_as_input_and_output(service: Sequence[str], tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(lines_of(*[call("slow", id=number) for number in range(3)]))
    with (tmp_path / "in").open("rb") as stdin, (tmp_path / "out").open("wb") as stdout:
        subprocess.run(
            service, stdin=stdin, stdout=stdout, stderr=subprocess.DEVNULL, timeout=30, check=True
        )
    found = (tmp_path / "out").read_bytes().replace(b"after\n", b"").splitlines()
    assert sorted(json.loads(line).get("id", -1) for line in found) == [-1, -1, -1, 0, 1, 2]


def test_a_socket_as_input_and_output(service: Sequence[str]) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            service, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL
        )
    with process, ours, ours.makefile("rb") as answers:
        ours.settimeout(20)
        ours.sendall(lines_of(call("echo", ["a"])))
        assert json.loads(answers.readline())["result"] == "a"
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(30) == 0


def test_no_input_at_all(service: Sequence[str]) -> None:
    ended = subprocess.run(service, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True)
    assert ended.stdout == b"after\n"


def test_reader_of_the_output_that_is_gone_ends_the_service(service: Sequence[str]) -> None:
    with subprocess.Popen(
        service, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(lines_of(call("echo", ["a"])))
        process.stdin.flush()  # and stays open
        process.wait(30)
