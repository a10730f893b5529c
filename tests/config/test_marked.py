"""apisix.yaml as values that know their lines, with its variables replaced."""

from pathlib import Path

import pytest
import yaml

from batchway.config import marked
from batchway.config.marked import Marked
from batchway.errors import ConfigError

PATH = Path("conf/apisix.yaml")
ENVIRON = {"A": "text", "NUMBER": "007", "FLOAT": "1e3", "YES": "true", "NESTED": "${{A}}", "EMPTY": ""}


@pytest.fixture(params=["libyaml", "python"], autouse=True)
def _either_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr("batchway.config.document.Loader", yaml.SafeLoader)


def parse(text: str) -> Marked:
    return marked.parse(text, PATH, ENVIRON)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("a: ${{A}}", {"a": "text"}),
        ("a: ${{NUMBER}}", {"a": 7}),
        ("a: '${{NUMBER}}'", {"a": "007"}),
        ('a: "${{NUMBER}}"', {"a": "007"}),
        ("a: |-\n  ${{NUMBER}}", {"a": "007"}),
        ("a: [5.0, -3., 010.00, 5.5]\n7.0: 1", {"a": [5, -3, 10, 5.5], "7.0": 1}),
        ("a: ${{FLOAT}}", {"a": 1000}),
        ("a: ${{YES}}", {"a": True}),
        ("a: '${{YES}}'", {"a": "true"}),
        ("a: ${{NUMBER}}x", {"a": "007x"}),
        ("a: ${{EMPTY}}", {"a": ""}),
        ("a: ${{NONE:=5}}", {"a": 5}),
        ("a: ${{NESTED}}", {"a": "${{A}}"}),
        ("a: ${{NONE:=1e999}}", {"a": "1e999"}),
        ("a: {'${{A}}:80': 1}", {"a": {"text:80": 1}}),
        ("'${{NUMBER}}': 1", {"007": 1}),
        ("no: 1\n1: 2\n1.5: 3\n~: 4", {"no": 1, "1": 2, "1.5": 3, "~": 4}),
        ("a: [.inf, -.INF, .nan, 1.5]", {"a": [".inf", "-.INF", ".nan", 1.5]}),
        ("a: &x ['${{NESTED}}']\nb: *x", {"a": ["${{A}}"], "b": ["${{A}}"]}),
        ("a: &x {p: 1}\nb: {<<: *x, q: 2}", {"a": {"p": 1}, "b": {"p": 1, "q": 2}}),
        ("a: ${{ not one", {"a": "${{ not one"}),
    ],
)
def test_values(text: str, expected: object) -> None:
    found = parse(text).value
    assert found == expected
    assert repr(found) == repr(expected)  # 1 is no 1.0


def test_all_variables_that_are_not_set_are_told() -> None:
    found = parse("a: ${{ONE}}\nb:\n  - x: 1\n    ${{TWO}}: 2\nc: ${{A}}\n").unset
    assert sorted((one.line, one.name) for one in found) == [(1, "ONE"), (4, "TWO")]


TEXT = """\
# comment
routes:
  - uri: /a

  - id: 1
    upstream:
      nodes: {"127.0.0.1:1": 1,
              "127.0.0.1:2": x}
    <<: &more
      desc: d
"""


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ((), 2),
        (("routes",), 2),
        (("routes", 0), 3),
        (("routes", 0, "uri"), 3),
        (("routes", 1), 5),
        (("routes", 1, "upstream", "nodes"), 7),
        (("routes", 1, "upstream", "nodes", "127.0.0.1:2"), 8),
        (("routes", 1, "upstream", "no such", "x"), 6),
        (("routes", 1, "desc"), 10),
        (("routes", 7), 2),
        (("nothing",), 2),
    ],
)
def test_lines(keys: tuple[str | int, ...], line: int) -> None:
    assert parse(TEXT).line(keys) == line


def test_no_lines_where_there_is_nothing() -> None:
    assert parse("").line(("a",)) is None


def test_what_is_forgotten_keeps_its_values() -> None:
    found = parse(TEXT)
    found.forget()
    assert found.value == yaml.safe_load(TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(7)
        ),
        "a: &a [*a]\n",
        "a: " + "[" * 100 + "]" * 100,
        f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 3000)}]\n",
    ],
    ids=["nodes", "endless", "deep", "text"],
)
def test_a_bomb_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="nested too deep, or too large once its aliases are expanded"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2", ":2:1: a: duplicate key, first on line 1"),
        ("a: ]", ":1:4: YAML: "),
        ("a: !!python/name:os.system x", ":1:4: a tag that is not supported"),
        ("? [1]\n: 2", ":1:3: a key that is not a plain name"),
    ],
)
def test_what_is_no_document_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.message.startswith(f"{PATH}{says}")
