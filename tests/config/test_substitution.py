import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.config.substitution import UnsetVariable, has_variable, substitute, typed

NAMES = st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True)
BLANKS = st.text(" \t\n", max_size=3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{PORT}}", "9080"),
        ("${{ PORT }}", "9080"),
        ("${{PORT:=1}}", "9080"),
        ("${{ PORT := 1 }}", "9080"),
        ("a-${{PORT}}-${{HOST}}-z", "a-9080-gw-z"),
        ("${{NONE:=default}}", "default"),
        ("${{NONE:=}}", ""),
        ("${{NONE := two words }}", "two words"),
        ("${{NONE:=http://a:=b}}", "http://a:=b"),
        ("${{NONE:={x}}}", "{x}"),
        ("${{EMPTY}}", ""),
        ("${{EMPTY:=default}}", ""),
        ("$PORT ${PORT} {{PORT}} $host", "$PORT ${PORT} {{PORT}} $host"),
        ("${{}}", "${{}}"),
        ("${{ }}", "${{ }}"),
        ("${{PORT", "${{PORT"),
        ("", ""),
    ],
)
def test_variables_are_replaced_as_in_apisix(text: str, expected: str) -> None:
    environ = {"PORT": "9080", "HOST": "gw", "EMPTY": ""}
    assert substitute(text, environ) == expected


@pytest.mark.parametrize(
    ("text", "name"), [("${{A}}", "A"), ("x${{B }}y", "B"), ("${{A-B}}", "A-B"), ("${{C:D}}", "C:D")]
)
def test_unset_variable_is_named(text: str, name: str) -> None:
    with pytest.raises(UnsetVariable) as caught:
        substitute(text, {})
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9080", 9080),
        ("-1", -1),
        ("007", 7),
        (" 9080 ", 9080),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("false", False),
    ],
)
def test_number_or_boolean_is_recognised(text: str, expected: object) -> None:
    found = typed(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", ["", "x", "9080x", "True", "yes", "1.2.3.4", "0x10", ".", "e3"])
def test_other_text_stays_text(text: str) -> None:
    assert typed(text) == text


@given(st.text())
def test_typing_never_fails(text: str) -> None:
    assert isinstance(typed(text), str | int | float | bool)


@given(st.text().filter(lambda text: "${{" not in text))
def test_text_without_a_variable_is_unchanged(text: str) -> None:
    assert substitute(text, {}) == text
    assert not has_variable(text)


@given(name=NAMES, blanks=BLANKS, value=st.text(), before=st.text("ab$ "), after=st.text("ab} "))
def test_value_is_inserted_verbatim(name: str, blanks: str, value: str, before: str, after: str) -> None:
    text = f"{before}${{{{{blanks}{name}{blanks}}}}}{after}"
    assert substitute(text, {name: value}) == f"{before}{value}{after}"


@given(name=NAMES, default=st.text(st.characters(exclude_characters="}")))
def test_default_stands_in_for_an_unset_variable(name: str, default: str) -> None:
    blanks = " \t\n\r\v\f"
    expected = default.strip()
    text = f"${{{{{name}:={default.strip(blanks)}}}}}"
    assert substitute(text, {}) == expected
    assert substitute(text, {name: "set"}) == "set"
