"""`batchway rpc call`."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.integration.ports import free_port
from tests.rpc.service import result

from .conftest import Serve


def failing(said: Any) -> Any:
    error = {"code": -32602, "message": "Invalid\x1b[31m params", "data": {"a": ["required\x9b"]}}
    return {"jsonrpc": "2.0", "error": error, "id": said["id"]}


def test_the_result_is_printed_for_people(run: Run, serve: Serve) -> None:
    said = run("rpc", "call", serve(result), "m", "--params", '[1, {"a": 12345678901234567890123}]')
    assert said.exit_code == 0
    assert said.stdout == '[\n  1,\n  {\n    "a": 12345678901234567890123\n  }\n]\n'


def test_the_result_may_be_printed_as_it_came(run: Run, serve: Serve) -> None:
    assert (
        run("rpc", "call", serve(result), "m", "--params", '{"a": 1}', "--compact").stdout == '{"a": 1}\n'
    )
    assert run("rpc", "call", serve(result), "m").stdout == '"m"\n'


def test_params_from_standard_input(run: Run, serve: Serve) -> None:
    said = run("rpc", "call", serve(result), "m", "--params", "-", "--compact", stdin="[5]")
    assert said.stdout == "[5]\n"


def test_an_error_goes_to_stderr(run: Run, serve: Serve) -> None:
    said = run("rpc", "call", serve(failing), "m")
    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr.startswith("batchway: Invalid\\x1b[31m params (-32602)\n")
    assert json.loads(said.stderr.partition("\n")[2].replace("\\x9b", "")) == {"a": ["required"]}


def test_a_notification_prints_nothing(run: Run, serve: Serve) -> None:
    heard: list[Any] = []
    url = serve(heard.append)
    for params in ("[5]", '{"a": 1}'):
        said = run("rpc", "call", url, "m", "--notify", "--params", params)
        assert (said.exit_code, said.output) == (0, "")
    assert heard == [
        {"jsonrpc": "2.0", "method": "m", "params": [5]},
        {"jsonrpc": "2.0", "method": "m", "params": {"a": 1}},
    ]


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ("x", "not JSON: "),
        ("[1", "not JSON: "),
        ("5", "expected a JSON array or object"),
        ('"x"', "expected a JSON array or object"),
    ],
)
def test_params_that_are_none(run: Run, params: str, complaint: str) -> None:
    said = run("rpc", "call", "http://127.0.0.1:1/", "m", "--params", params)
    assert said.exit_code == 2
    assert complaint in said.stderr


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["ftp://a", "m"], "url: expected one such as"),
        (["http://a", "m", "-H", "nothing"], "expected a header written"),
        (["http://a", "m", "-H", "Host: b"], "headers: Host cannot be set"),
        (["http://a", "m", "--timeout", "0"], "expected a number of seconds above 0"),
        (["http://a"], "Missing argument 'METHOD'"),
    ],
)
def test_a_wrong_command_line(run: Run, args: list[str], complaint: str) -> None:
    said = run("rpc", "call", *args)
    assert said.exit_code == 2
    assert complaint in said.stderr


def test_nobody_listens(run: Run) -> None:
    said = run("rpc", "call", f"http://127.0.0.1:{free_port()}/", "m")
    assert said.exit_code == 1
    assert "connection refused: check the URL, and that the service runs" in said.stderr


def test_what_is_no_service(run: Run, serve: Serve) -> None:
    said = run("rpc", "call", serve(lambda _: b"<html>"), "m")
    assert (said.exit_code, said.stderr) == (1, "batchway: the answer is not JSON\n")


def test_help_shows_how(run: Run) -> None:
    assert "--params '[1, \"fast\"]'" in run("rpc", "call", "--help").stdout
    assert "openrpc" in run("rpc", "--help").stdout
