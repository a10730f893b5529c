import pytest

from batchway.cli.printable import printable


@pytest.mark.parametrize("text", ["", "plain text", "日本語 é", "[bold]not markup[/]", "a\\b"])
def test_harmless_text_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("title\x1b]0;x\x07", "title\\x1b]0;x\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x7f\x00", "\\x7f\\x00"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2028b", "a\\u2028b"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_a_terminal_might_obey_is_written_as_its_code(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut() -> None:
    assert printable("a" * 11, max_chars=10) == "a" * 9 + "…"
    assert printable("a" * 10, max_chars=10) == "a" * 10
