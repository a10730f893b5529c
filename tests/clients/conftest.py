"""A server process that clients of others are pointed at, as they come."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.integration.ports import free_port

TOP = Path(__file__).parents[2]
START_S = 30.0
RECURSION_LIMIT = sys.getrecursionlimit()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this directory: it starts real servers. Undo what web3 does to Python."""
    sys.setrecursionlimit(RECURSION_LIMIT)
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the service over HTTP."""
    with serving("app", tmp_path_factory.mktemp("clients") / "stderr.log") as url:
        yield url


@pytest.fixture(scope="session")
def never_204_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the service that answers notifications with 200."""
    with serving("never_204", tmp_path_factory.mktemp("clients") / "stderr.log") as url:
        yield url


@contextlib.contextmanager
def serving(app: str, log_path: Path) -> Iterator[str]:
    """The URL of a server process with an app of service.py; nothing may go wrong in it."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", f"tests.clients.service:{app}", "--log-level", "warning"]
    with log_path.open("wb") as log:
        server = subprocess.Popen([*command, "--port", str(port)], cwd=TOP, stdout=log, stderr=log)
    try:
        _wait(server, port, log_path)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(START_S)
    assert log_path.read_text() == ""


def _wait(server: "subprocess.Popen[bytes]", port: int, log_path: Path) -> None:
    end = time.monotonic() + START_S
    body = b'{"jsonrpc":"2.0","method":"net_version","id":1}'
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}/", body):
                return
        except URLError:
            assert server.poll() is None, log_path.read_text()
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)
