import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import CliRunner, Result

from batchway.cli import main

from . import endpoint


class Run(Protocol):
    """Runs `batchway` with these arguments in this process."""

    def __call__(self, *args: str | Path, stdin: str | bytes = b"") -> Result: ...


class RunProcess(Protocol):
    """Runs `batchway` with these arguments as a process of its own."""

    def __call__(self, *args: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]: ...


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's own terminal or directory."""
    for name in list(os.environ):
        if name.startswith(("BATCHWAY_", "TTY_")) or name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run() -> Run:
    def call(*args: str | Path, stdin: str | bytes = b"") -> Result:
        result = CliRunner(catch_exceptions=False).invoke(main, [str(arg) for arg in args], input=stdin)
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def run_process() -> RunProcess:
    def call(*args: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "batchway", *map(str, args)]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=50, check=False)

    return call


@pytest.fixture
def server() -> Iterator[endpoint.Endpoint]:
    with endpoint.running() as running:
        yield running


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    """A file with a batch of one item."""
    path = tmp_path / "batch.json"
    path.write_text('{"pipeline": [{"path": "/a"}]}')
    return path
