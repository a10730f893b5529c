import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

import batchway
from batchway.cli import COMMANDS, Commands, main
from batchway.errors import ConfigError, InternalError, StoreError

from .conftest import Run, RunProcess

HEAVY = ["rich", "uvicorn", "structlog", "yaml", "http.client", "batchway.config", "batchway.server"]


@pytest.fixture
def run_that_raises(monkeypatch: pytest.MonkeyPatch, run: Run) -> Callable[[BaseException], Result]:
    """Runs a command that raises the given error."""

    def call(error: BaseException) -> Result:
        @click.command()
        def broken() -> None:
            click.echo("begun")
            raise error

        monkeypatch.setattr(Commands, "get_command", lambda *_: broken)
        return run("broken")

    return call


def test_help_lists_the_commands(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.partition("Commands:\n")[2].splitlines()] == list(
        COMMANDS
    )
    for entry in COMMANDS.values():
        assert entry.summary in result.stdout


def test_help_imports_no_command_nor_what_it_needs() -> None:
    names = [*HEAVY, *(entry.module for entry in COMMANDS.values())]
    code = (
        "import sys; from batchway.cli import main; main(['--help'], standalone_mode=False);"
        f"print([name for name in {names} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["check", "send"])
def test_command_begins_its_own_help_with_its_line_in_the_list(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert (command.help or "").startswith(COMMANDS[name].summary)


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"batchway, version {batchway.__version__}\n"


def test_unknown_command_is_wrong_usage(run: Run) -> None:
    result = run("sned")
    assert result.exit_code == 2
    assert "No such command" in result.stderr


def test_module_is_the_command(run_process: RunProcess) -> None:
    ended = run_process("--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith(b"Usage: batchway [OPTIONS]")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("it is wrong"), 2), (StoreError("it is wrong"), 1), (InternalError("it is wrong"), 1)],
)
def test_error_of_ours_is_one_line_and_an_exit_code(
    run_that_raises: Callable[[BaseException], Result], error: Exception, code: int
) -> None:
    result = run_that_raises(error)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "begun\n", "batchway: it is wrong\n")


def test_error_stays_one_harmless_line(run_that_raises: Callable[[BaseException], Result]) -> None:
    result = run_that_raises(StoreError("a\nb\x1b[2J"))
    assert result.stderr == "batchway: a\\nb\\x1b[2J\n"


def test_ctrl_c_is_quiet(run_that_raises: Callable[[BaseException], Result]) -> None:
    result = run_that_raises(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "")


def test_fault_of_ours_keeps_its_trace(run_that_raises: Callable[[BaseException], Result]) -> None:
    with pytest.raises(ZeroDivisionError):
        run_that_raises(ZeroDivisionError())


def test_closed_stdout_is_no_fault() -> None:
    command = f"{sys.executable} -m batchway --version >&-"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert b"Traceback" not in ended.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_output_that_cannot_be_written_is_told() -> None:
    command = f"{sys.executable} -m batchway check >/dev/full"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"batchway: No space left on device\n")
