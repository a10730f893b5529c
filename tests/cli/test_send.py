import gzip
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchway.cli import send as send_module
from batchway.cli.post import Answer

from . import endpoint, terminal
from .conftest import Run, RunProcess
from .endpoint import Endpoint

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[3[0-7]m")


def error_line(stderr: str) -> str:
    """The only line on stderr."""
    (line,) = stderr.splitlines()
    assert line.startswith("batchway: ")
    return line


# --- a batch that is answered


def test_table_and_exit_0_when_all_is_well(run: Run, server: Endpoint, batch: Path) -> None:
    server.answers({"status": 200, "reason": "OK", "body": "hello"})
    result = run("send", "--url", server.url, batch)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["1", "200", "OK", "-", "5", "bytes", "GET", "/a"]
    assert lines[2].startswith("1 item, none failed, in ")
    assert json.loads(server.asked[0].body) == {"pipeline": [{"path": "/a"}]}


@pytest.mark.parametrize("reply", [{"status": 404}, {"status": 504, "reason": "upstream timeout"}, {}])
def test_exit_1_when_an_item_failed(run: Run, server: Endpoint, reply: object) -> None:
    server.answers({"status": 200}, reply)
    result = run("send", "--url", server.url, stdin='[{"path": "/a"}, {"path": "/b"}]')
    assert result.exit_code == 1
    assert result.stderr == ""
    assert "2 items, 1 failed" in result.stdout


def test_exit_1_when_a_reply_is_missing(run: Run, server: Endpoint) -> None:
    server.answers({"status": 200})
    result = run("send", "--url", server.url, stdin='[{"path": "/a"}, {"path": "/b"}]')
    assert result.exit_code == 1
    assert "no reply" in result.stdout


@pytest.mark.parametrize("args", [[], ["-"]])
def test_batch_comes_from_stdin(run: Run, server: Endpoint, args: list[str]) -> None:
    assert run("send", "--url", server.url, *args, stdin='{"path": "/in"}\n').exit_code == 0
    assert json.loads(server.asked[0].body) == {"pipeline": [{"path": "/in"}]}


def test_url_comes_from_the_environment(
    run: Run, server: Endpoint, batch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWAY_URL", server.url)
    assert run("send", batch).exit_code == 0
    assert len(server.asked) == 1


def test_headers_are_sent(run: Run, server: Endpoint, batch: Path) -> None:
    assert run("send", "--url", server.url, "-H", "X-A: 1", "-H", "X-B: 2", batch).exit_code == 0
    assert (server.asked[0].all("x-a"), server.asked[0].all("x-b")) == (["1"], ["2"])


def test_batch_timeout_is_sent(run: Run, server: Endpoint, batch: Path) -> None:
    assert run("send", "--url", server.url, "--batch-timeout", "250", batch).exit_code == 0
    assert json.loads(server.asked[0].body)["timeout"] == 250


@pytest.mark.parametrize(
    ("args", "content", "timeout_s"),
    [
        ([], '[{"path": "/a"}]', 90),
        ([], '{"timeout": 120000, "pipeline": [{"path": "/a"}]}', 180),
        ([], '{"timeout": -5, "pipeline": [{"path": "/a"}]}', 60),
        ([], '{"timeout": 1e300, "pipeline": [{"path": "/a"}]}', 86_400),
        (["--batch-timeout", "1000"], '[{"path": "/a"}]', 61),
        (["--timeout", "2.5"], '{"timeout": 120000, "pipeline": [{"path": "/a"}]}', 2.5),
        (["--timeout", "1e300"], '[{"path": "/a"}]', 86_400),
    ],
)
def test_answer_is_waited_for_as_long_as_the_batch_may_take(
    run: Run, monkeypatch: pytest.MonkeyPatch, args: list[str], content: str, timeout_s: float
) -> None:
    given = []

    def post(*args: object) -> Answer:
        given.append(args[3])
        return Answer(200, "OK", None, b'[{"status":200}]', 16, 0.0)

    monkeypatch.setattr(send_module, "post", post)
    assert run("send", *args, stdin=content).exit_code == 0
    assert given == [timeout_s]


# --- --json


@pytest.mark.parametrize(("status", "code"), [(200, 0), (404, 1)])
def test_json_is_the_answer_byte_for_byte(
    run: Run, server: Endpoint, batch: Path, status: int, code: int
) -> None:
    raw = b'[ {"status" : %d, "body":"\\u00e9 \xc3\xa9"} ]\r\n \n' % status
    server.headers, server.body = {"Content-Encoding": "gzip"}, gzip.compress(raw)
    result = run("send", "--json", "--url", server.url, batch)
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (code, raw, "")


def test_json_of_a_refused_batch_is_what_refused_it(run: Run, server: Endpoint, batch: Path) -> None:
    server.status, server.body = 400, b'{"error_msg":"no"}'
    result = run("send", "--json", "--url", server.url, batch)
    assert (result.exit_code, result.stdout) == (1, '{"error_msg":"no"}')
    assert error_line(result.stderr).endswith("the batch was refused: 400 no")


@pytest.mark.parametrize("status", [200, 502])
def test_json_is_json_or_nothing(run: Run, server: Endpoint, batch: Path, status: int) -> None:
    server.status, server.body = status, b"<html>\x1b[2J"
    result = run("send", "--json", "--url", server.url, batch)
    assert (result.exit_code, result.stdout) == (1, "")
    assert error_line(result.stderr).startswith(f"batchway: {server.url}: ")


# --- no answer


def test_refused_batch(run: Run, server: Endpoint, batch: Path) -> None:
    server.status, server.body = 413, b'{"error_msg":"request size 5 is greater\\nthan \\u001b[2J4"}'
    result = run("send", "--url", server.url, batch)
    assert (result.exit_code, result.stdout) == (1, "")
    expected = (
        f"batchway: {server.url}: the batch was refused: 413 request size 5 is greater\\nthan \\x1b[2J4"
    )
    assert error_line(result.stderr) == expected


def test_answer_that_is_not_json(run: Run, server: Endpoint, batch: Path) -> None:
    server.body = b"<html>"
    result = run("send", "--url", server.url, batch)
    assert (result.exit_code, result.stdout) == (1, "")
    assert error_line(result.stderr).startswith(f"batchway: {server.url}: the answer is not JSON")


def test_nothing_listens(run: Run, batch: Path) -> None:
    url = endpoint.unused_url()
    result = run("send", "--url", url, batch)
    assert (result.exit_code, result.stdout) == (1, "")
    assert error_line(result.stderr).startswith(f"batchway: {url}: connection refused: ")


def test_timeout(run: Run, server: Endpoint, batch: Path) -> None:
    server.release.clear()
    result = run("send", "--url", server.url, "--timeout", "0.1", batch)
    assert (result.exit_code, result.stdout) == (1, "")
    assert error_line(result.stderr).startswith(f"batchway: {server.url}: no answer within 0.1 s")


# --- what the user got wrong


def test_wrong_file_is_exit_2(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('[\n{"path": /a}]')
    result = run("send", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert error_line(result.stderr) == f"batchway: {path}:2:10: not JSON: invalid character"


def test_wrong_stdin_is_exit_2(run: Run) -> None:
    result = run("send", stdin="what?")
    assert result.exit_code == 2
    assert error_line(result.stderr).startswith("batchway: standard input:1:1: not JSON: ")


@pytest.mark.parametrize(("name", "why"), [("missing.json", "No such file"), (".", "Is a directory")])
def test_file_that_cannot_be_read_is_exit_2(run: Run, name: str, why: str) -> None:
    result = run("send", name)
    assert result.exit_code == 2
    assert error_line(result.stderr).startswith(f"batchway: {name}: cannot be read: {why}")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--url", "gw.example"], "expected a URL such as"),
        (["--url", "http://me:hunter2@gw.example"], "-H 'Authorization: ...'"),
        (["-H", "hunter2"], "expected a header written 'Name: value'"),
        (["-H", "Content-Length: 5"], "cannot be set"),
        (["--timeout", "0"], "expected a number of seconds above 0"),
        (["--timeout", "nan"], "expected a number of seconds above 0"),
        (["--timeout", "inf"], "expected a number of seconds above 0"),
        (["--timeout", "soon"], "is not a valid float"),
        (["--batch-timeout", "0"], "is not in the range"),
        (["--nonsense"], "No such option"),
        (["a", "b"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_exit_2(run: Run, args: list[str], says: str) -> None:
    result = run("send", *args, stdin='{"path": "/a"}')
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert "hunter2" not in result.stderr


def test_wrong_url_in_the_environment_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHWAY_URL", "nonsense")
    result = run("send", stdin='{"path": "/a"}')
    assert result.exit_code == 2
    assert "expected a URL such as" in result.stderr


def test_help_has_examples(run: Run) -> None:
    result = run("send", "--help")
    assert result.exit_code == 0
    assert "batchway send batch.json" in result.stdout
    assert "BATCHWAY_URL" in result.stdout


# --- as a process


@pytest.mark.parametrize(("status", "code"), [(200, 0), (500, 1)])
def test_process_prints_a_plain_table(
    run_process: RunProcess, server: Endpoint, status: int, code: int
) -> None:
    server.answers({"status": status, "body": "é"})
    ended = run_process("send", "--url", server.url, stdin='{"path": "/日本"}'.encode())
    assert (ended.returncode, ended.stderr) == (code, b"")
    assert "GET /日本\n" in ended.stdout.decode()
    assert b"\x1b" not in ended.stdout


def test_output_that_cannot_show_a_character_shows_its_code(
    run_process: RunProcess, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    ended = run_process("send", "--url", server.url, stdin='{"path": "/é日"}'.encode())
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"GET /\xe9\\u65e5\n" in ended.stdout


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children heed SIGINT, even if the tests run in the background of a shell, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_quiet(server: Endpoint, batch: Path) -> None:
    server.release.clear()
    command = [sys.executable, "-m", "batchway", "send", "--url", server.url, str(batch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert server.arrived.wait(30)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=50)
    assert (process.returncode, stdout, stderr) == (130, b"", b"")


@pytest.mark.parametrize("args", [[], ["--json"]])
def test_reader_that_leaves_is_no_news(server: Endpoint, batch: Path, args: list[str]) -> None:
    server.release.clear()
    command = [sys.executable, "-m", "batchway", "send", *args, "--url", server.url, str(batch)]
    read_end, write_end = os.pipe()
    with subprocess.Popen(command, stdout=write_end, stderr=subprocess.PIPE) as process:
        os.close(write_end)
        os.close(read_end)
        server.release.set()
        _, stderr = process.communicate(timeout=50)
    assert (process.returncode, stderr) == (141, b"")


# --- on a terminal


def test_terminal_sees_progress_then_a_coloured_table(server: Endpoint, batch: Path) -> None:
    server.answers({"status": 200, "reason": "OK"})
    ended = terminal.run("send", "--url", server.url, batch)
    assert ended.code == 0
    assert f"1 item to {server.url}" in ANSI.sub("", ended.screen)
    assert "\x1b[32m200 OK" in ended.screen


@pytest.mark.parametrize(
    ("status", "colour"), [(200, 32), (302, 36), (404, 33), (500, 31)], ids=["2xx", "3xx", "4xx", "5xx"]
)
def test_status_is_coloured_by_its_class(server: Endpoint, batch: Path, status: int, colour: int) -> None:
    server.answers({"status": status})
    assert f"\x1b[{colour}m{status}" in terminal.run("send", "--url", server.url, batch).screen


@pytest.mark.parametrize(("args", "environ"), [([], {"NO_COLOR": "1"}), (["--no-color"], {})])
def test_colours_can_be_switched_off(
    server: Endpoint, batch: Path, args: list[str], environ: dict[str, str]
) -> None:
    server.answers({"status": 200, "reason": "OK"})
    ended = terminal.run("send", *args, "--url", server.url, batch, environ=environ)
    assert ended.code == 0
    assert "200 OK" in ended.screen
    assert not COLOUR.search(ended.screen)


def test_nothing_that_a_server_says_reaches_the_terminal_raw(server: Endpoint, batch: Path) -> None:
    server.answers({"status": 404, "reason": "\x1b]0;owned\x07"})
    screen = terminal.run("send", "--url", server.url, batch).screen
    assert "\\x1b]0;owned\\x07" in screen
    assert "\x1b]" not in screen
    assert "\x07" not in screen


def test_terminal_as_stdin_without_file_is_wrong_usage() -> None:
    ended = terminal.run("send", terminal_stdin=True)
    assert ended.code == 2
    assert "no FILE, and nothing is piped in: name a batch file" in ended.screen
