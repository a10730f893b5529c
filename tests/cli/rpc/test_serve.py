"""`batchway rpc serve`, as far as no server is needed for it."""

import asyncio
import json
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchway.cli.rpc.mount import Mount
from batchway.cli.rpc.service import load_app
from batchway.cli.rpc.serving import Serving, banner, describe
from batchway.rpc import RpcApp
from batchway.wire import Receive, Scope, Send
from tests.cli.conftest import Run

SERVING = Serving("deskservice:app", "/", None, 30.0)


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with socket.create_server(("0.0.0.0", 0)) as bound:
        yield bound


def test_the_banner_says_where_and_has_a_command_to_paste(service: Path, bound: socket.socket) -> None:
    said = banner(SERVING, bound, describe(load_app("deskservice:app")))
    url = f"http://127.0.0.1:{bound.getsockname()[1]}/"
    assert said.startswith(f"Serving deskservice:app (2 methods) at {url} - Ctrl-C stops it\n")
    command = shlex.split(said.splitlines()[-1])
    assert command[:3] == ["curl", url, "--data-binary"]
    assert [call["method"] for call in json.loads(command[3])] == ["desk@ping", "desk@ping"]


def test_the_command_sends_what_the_app_wants(service: Path, bound: socket.socket) -> None:
    said = banner(SERVING, bound, describe(load_app("deskservice:other")))
    assert "(0 methods)" in said
    assert " -H 'content-type: application/json' " in said
    assert "rpc.discover" in said


def test_an_app_with_nothing_simple() -> None:
    app = RpcApp(discover=False)

    @app.method("needs")
    async def needs(a: int) -> int:
        return a

    assert describe(app).sample == "needs"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "app", "path": scope.get("path"), "root_path": scope.get("root_path")})


def mounted(path: str, asked: str, kind: str = "http") -> list[Any]:
    """What is sent for a request to the path `asked` of an app at `path`."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": f"{kind}.connect"}

    asyncio.run(Mount(echo, path)({"type": kind, "path": asked, "headers": []}, receive, send))
    return sent


@pytest.mark.parametrize(
    ("path", "asked", "root"),
    [("/", "/", None), ("/", "/any", None), ("/rpc", "/rpc", "/rpc"), ("/rpc/", "/rpc/page", "/rpc")],
)
def test_paths_of_the_app(path: str, asked: str, root: str | None) -> None:
    for kind in ("http", "websocket"):
        assert mounted(path, asked, kind) == [{"type": "app", "path": asked, "root_path": root}]


@pytest.mark.parametrize("asked", ["/", "/rpcs", "/other"])
def test_paths_of_nobody(asked: str) -> None:
    assert mounted("/rpc", asked)[0]["status"] == 404
    assert mounted("/rpc", asked, "websocket") == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--stdio", "--port", "80"], "--port is for a port, and --stdio has none"),
        (["--stdio", "--workers", "2"], "--workers is for a port"),
        (["--stdio", "--reload"], "--reload is for a port"),
        (["--path", "rpc"], "expected a path such as"),
        (["--workers", "0"], "0 is not in the range"),
        (["--profile", "other"], "is not one of"),
        (["--port", "70000"], "is not in the range"),
    ],
)
def test_a_wrong_command_line(run: Run, service: Path, args: list[str], complaint: str) -> None:
    said = run("rpc", "serve", "deskservice:app", *args)
    assert said.exit_code == 2
    assert complaint in said.stderr


def test_a_port_that_is_taken(run: Run, service: Path, bound: socket.socket) -> None:
    port = bound.getsockname()[1]
    said = run("rpc", "serve", "deskservice:app", "--port", str(port))
    assert said.exit_code == 1
    assert said.stderr == f"batchway: cannot listen on 127.0.0.1:{port}: the port is already in use\n"


def test_no_such_app(run: Run) -> None:
    said = run("rpc", "serve", "nosuch:app", "--port", "0")
    assert said.exit_code == 2
    assert "nosuch: there is no such module" in said.stderr
