import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.scripted import Scripted
from tests.rpc.service import Answer, answering, url_of

Serve = Callable[[Answer], str]
"""Starts a server that answers so; its URL."""

SERVICE = '''
from batchway.rpc import Procedure, RpcApp, method


class Desk(Procedure):
    """Answers questions."""

    name = "desk"

    @method
    async def ask(self, question: str) -> str:
        """Always the same."""
        return "no"

    @method
    async def ping(self) -> str:
        return "pong"


app = RpcApp([Desk])
other = RpcApp(strict_content_type=True)
number = 5


class Inner:
    app = app
'''


@pytest.fixture(autouse=True)
def clean_imports(tmp_path: Path) -> Iterator[None]:
    """What a test imports from its directory is forgotten after it."""
    modules, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    sys.path[:] = path


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The module deskservice in the current directory."""
    path = tmp_path / "deskservice.py"
    path.write_text(SERVICE)
    return path


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[Scripted] = []

    def start(answer: Answer) -> str:
        started.append(Scripted(answering(answer)))
        return url_of(started[-1])

    yield start
    for server in started:
        server.stop()
