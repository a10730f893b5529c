"""`batchway rpc batch`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.rpc.service import well_behaved

from .conftest import Serve

CALLS = '[{"method": "a", "params": [1], "id": 1}, {"method": "n"}, {"method": "b", "id": "x"}]'


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    path = tmp_path / "calls.json"
    path.write_text(CALLS)
    return path


def test_a_table_of_answers(run: Run, serve: Serve, calls: Path) -> None:
    said = run("rpc", "batch", serve(lambda sent: well_behaved(sent)[::-1]), calls)
    assert said.exit_code == 0
    *lines, closing = said.stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["id", "method", "answer"],
        ["1", "a", "[1]"],
        ["-", "n", "notification"],
        ['"x"', "b", '"b"'],
    ]
    assert closing.startswith("3 calls, none failed, in ")


def test_failures_are_told_and_the_exit_code_is_1(run: Run, serve: Serve, calls: Path) -> None:
    def answer(sent: Any) -> Any:
        error = {"code": 5, "message": "no\x1b", "data": {"why": 1}}
        return [{"jsonrpc": "2.0", "error": error, "id": 1}]

    said = run("rpc", "batch", serve(answer), calls)
    assert said.exit_code == 1
    lines = said.stdout.splitlines()
    assert lines[1] == "1    a       no\\x1b (5) {'why': 1}"
    assert lines[3] == '"x"  b       there is no answer to this call'
    assert lines[4].startswith("3 calls, 2 failed")


def test_the_answer_as_it_came(run: Run, serve: Serve, calls: Path) -> None:
    said = run("rpc", "batch", serve(well_behaved), calls, "--json")
    assert said.exit_code == 0
    assert [one["id"] for one in json.loads(said.stdout)] == [1, "x"]


def test_standard_input_and_yaml(run: Run, serve: Serve) -> None:
    said = run("rpc", "batch", serve(well_behaved), "-", stdin="- {method: a, id: 1}\n")
    assert '1   a       "a"\n1 call, none failed' in said.stdout


def test_an_answer_that_is_none(run: Run, serve: Serve, calls: Path) -> None:
    said = run("rpc", "batch", serve(lambda _: b"<html>"), calls)
    assert (said.exit_code, said.stdout) == (1, "")
    assert said.stderr == "batchway: the answer is not JSON: is this where the service answers?\n"


def test_a_file_that_is_not_there(run: Run) -> None:
    said = run("rpc", "batch", "http://127.0.0.1:1/", "nosuch.json")
    assert said.exit_code == 2
    assert said.stderr == "batchway: nosuch.json: cannot be read: No such file or directory\n"
