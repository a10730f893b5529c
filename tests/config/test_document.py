from pathlib import Path

import pytest
import yaml

from batchway.config import document
from batchway.errors import ConfigError

PATH = Path("conf/config.yaml")


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        document.parse(text, PATH)
    assert len(caught.value.message.splitlines()) == 1
    return caught.value.message


@pytest.fixture(params=["libyaml", "python"])
def _either_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr("batchway.config.document.Loader", yaml.SafeLoader)


pytestmark = pytest.mark.usefixtures("_either_loader")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("# only this\n", None),
        ("---\n", None),
        ("a: 1\nb: [x, 1.5, true, null]\n", {"a": 1, "b": ["x", 1.5, True, None]}),
        ("\ufeffa: 1\r\n", {"a": 1}),
        ("day: 2026-11-22\neq: =\n", {"day": "2026-11-22", "eq": "="}),
        ("day: 2026-99-99\n", {"day": "2026-99-99"}),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x, b: 2}\n", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 2}}),
        ('a: 1\n"1": 2\n1: 3\n', {"a": 1, "1": 2, 1: 3}),
    ],
)
def test_plain_values_come_out(text: str, expected: object) -> None:
    assert document.parse(text, PATH) == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: b: c\n", "1:5"),
        ("a: 1\nb: ]\n", "2:4"),
        ("a: 1\n\tb: 2\n", "2:1"),
        ("a: 1\n---\nb: 2\n", "2:1"),
        ("a: 1\nb: *nowhere\n", "2:4"),
    ],
)
def test_syntax_error_has_line_and_column(text: str, where: str) -> None:
    assert refusal(text).startswith(f"conf/config.yaml:{where}: YAML: ")


def test_control_character_has_its_line() -> None:
    assert refusal("ä: 1\nb: \x01\n") == "conf/config.yaml:2: YAML: a character that is not allowed"


def test_name_after_an_asterisk_is_not_echoed() -> None:
    assert "s3cret" not in refusal("deployment: {admin: {admin_key: [{key: *s3cret}]}}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "3:1: a: duplicate key, first on line 1"),
        ("a:\n  b:\n    - c: 1\n      'c': 2\n", "4:7: a.b[0].c: duplicate key, first on line 3"),
        ("x: {a: 1, a: 1}\n", "1:11: x.a: duplicate key, first on line 1"),
        ("x: &x {}\ny:\n  <<: *x\n  <<: *x\n", "4:3: y.<<: duplicate key, first on line 3"),
    ],
)
def test_duplicate_key_names_both_lines(text: str, message: str) -> None:
    found = refusal(text).replace('"<<"', "<<")
    assert found == f"conf/config.yaml:{message}"


@pytest.mark.parametrize(
    "text", ["a: !secret s3cret\n", "a: !!python/object:os.system x\n", "a: !!binary aGk=\n"]
)
def test_tag_is_refused_without_its_name(text: str) -> None:
    assert refusal(text) == "conf/config.yaml:1:4: a tag that is not supported"


@pytest.mark.parametrize("text", ["{[1]: 2}\n", "{{a: 1}: 2}\n", "!x a: 1\n"])
def test_key_that_is_no_name_is_refused(text: str) -> None:
    assert refusal(text).endswith("a key that is not a plain name")


@pytest.mark.parametrize("text", ["a: !!int x\n", "a: !!bool perhaps\n", "a: !!float x\n"])
def test_value_that_belies_its_tag_is_refused(text: str) -> None:
    assert "tagged" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]\n",
        "a: " + "[" * 100 + "]" * 100 + "\n",
        "- " * 2000 + "x\n",
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
    ],
    ids=["endless", "deep", "very deep", "billion laughs"],
)
def test_document_that_grows_without_bound_is_refused(text: str) -> None:
    assert "too large" in refusal(text)


def test_merge_that_is_no_mapping_is_refused() -> None:
    assert refusal("a:\n  <<: 3\n").startswith("conf/config.yaml:2:7: YAML: ")


def test_missing_file_is_none(tmp_path: Path) -> None:
    assert document.read(tmp_path / "no" / "config.yaml") is None


def test_text_keeps_its_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert document.read(path) == "\ufeffa: 1\r\n"


def test_directory_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^[^\n]*: cannot be read: Is a directory$"):
        document.read(tmp_path)


def test_other_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(ConfigError) as caught:
        document.read(path)
    assert caught.value.message == f"{path}:2: not UTF-8"
