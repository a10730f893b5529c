"""`batchway rpc openrpc`."""

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_the_document_of_an_app(run: Run, service: Path) -> None:
    said = run("rpc", "openrpc", "deskservice:app")
    assert said.exit_code == 0
    document = json.loads(said.stdout)
    assert [one["name"] for one in document["methods"]] == ["desk@ask", "desk@ping"]
    assert document["methods"][0]["summary"] == "Always the same."


def test_into_a_file(run: Run, service: Path, tmp_path: Path) -> None:
    said = run("rpc", "openrpc", "deskservice", "-o", "doc.json")
    assert (said.exit_code, said.output) == (0, "")
    assert json.loads((tmp_path / "doc.json").read_bytes())["openrpc"]


def test_a_file_that_cannot_be_written(run: Run, service: Path) -> None:
    said = run("rpc", "openrpc", "deskservice", "-o", "nosuch/doc.json")
    assert said.exit_code == 2
    assert said.stderr == "batchway: nosuch/doc.json: cannot be written: No such file or directory\n"


def test_no_such_app(run: Run) -> None:
    said = run("rpc", "openrpc", "nosuch:app")
    assert said.exit_code == 2
    assert said.stderr == (
        "batchway: nosuch: there is no such module, neither here nor where Python looks\n"
    )
