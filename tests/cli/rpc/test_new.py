"""`batchway rpc new`."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_it_writes_a_service_and_its_test(run: Run, tmp_path: Path) -> None:
    said = run("rpc", "new", "table_tennis")
    assert said.exit_code == 0
    assert "batchway rpc serve table_tennis:app --reload" in said.stdout
    assert "class TableTennis(Procedure):" in (tmp_path / "table_tennis.py").read_text()
    assert "RpcTestClient" in (tmp_path / "tests" / "test_table_tennis.py").read_text()
    assert (tmp_path / "conftest.py").exists()


@pytest.mark.parametrize("taken", ["tennis.py", "tests/test_tennis.py"])
def test_nothing_is_overwritten(run: Run, tmp_path: Path, taken: str) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / taken).write_text("mine")
    said = run("rpc", "new", "tennis")
    assert said.exit_code == 2
    assert said.stderr == f"batchway: {taken}: there is such a file already; nothing was written\n"
    assert sorted(path.name for path in tmp_path.rglob("*.py")) == [Path(taken).name]


def test_a_conftest_that_is_there_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("# mine")
    said = run("rpc", "new", "tennis")
    assert "wrote conftest.py" not in said.stdout
    assert (tmp_path / "conftest.py").read_text() == "# mine"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Tennis", "expected lower-case letters"),
        ("a-b", "expected lower-case letters"),
        ("../a", "expected lower-case letters"),
        ("5a", "expected lower-case letters"),
        ("_a", "expected lower-case letters"),
        ("téa", "expected lower-case letters"),
        ("class", "a word of Python's own"),
        ("match", "a word of Python's own"),
        ("json", "another module has this name"),
        ("batchway", "another module has this name"),
        ("rpc", "another module has this name"),
        ("none", "a word of Python's own"),  # its class would be None
        ("rpc_app", "its class would be a second RpcApp"),
        ("procedure", "its class would be a second Procedure"),
        ("msgspec", "a package of this name is installed"),
    ],
)
def test_names_that_do_not_work(run: Run, tmp_path: Path, name: str, complaint: str) -> None:
    said = run("rpc", "new", name)
    assert said.exit_code == 2
    assert complaint in said.stderr
    assert list(tmp_path.iterdir()) == []
