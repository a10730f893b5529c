import pytest

from batchway.cli.post import Answer
from batchway.cli.replies import Outcome
from batchway.cli.table import closing_line, render

ANSWER = Answer(200, "OK", None, b"x" * 2500, 2500, 0.0344)
GOOD = Outcome("GET /a", 200, "OK", None, 12)


def test_one_line_an_item_then_the_closing_line() -> None:
    outcomes = [
        GOOD,
        Outcome("POST /b", 504, "upstream timeout", 1500.0, None),
        Outcome("GET /c", None, "", 3.2, 1_500_000),
    ]
    assert render(outcomes, ANSWER, color=True).splitlines() == [
        "#  status                  time      size  path",
        "1  200 OK                     -  12 bytes  GET /a",
        "2  504 upstream timeout  1.50 s         -  POST /b",
        "3  no reply                3 ms    1.5 MB  GET /c",
        "3 items, 2 failed, in 34 ms, 2.5 kB",
    ]


def test_long_path_is_whole_and_in_one_line_where_there_is_no_terminal() -> None:
    path = "/" + "a b" * 500
    lines = render([Outcome(f"GET {path}", 200, "OK", None, 12), GOOD], ANSWER, color=True).splitlines()
    assert lines[1].endswith(f"  GET {path}")
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.parametrize(
    "said", ["\x1b[2J", "\x9b2J", "a\nb", "\x1b]0;title\x07", "[bold]b[/bold]", ":warning:"]
)
def test_what_a_server_says_is_neither_obeyed_nor_taken_for_markup(said: str) -> None:
    text = render([Outcome(f"GET /{said}", 200, said, None, 1)], ANSWER, color=True)
    assert len(text.splitlines()) == 3
    assert all(char.isprintable() or char == "\n" for char in text)
    if said.isprintable():
        assert text.count(said) == 2


def test_long_reason_is_cut() -> None:
    assert "x" * 39 + "…  " in render([Outcome("GET /", 200, "x" * 10_000, None, 1)], ANSWER, color=True)


@pytest.mark.parametrize("status", [0, -1, 99, 700, 10**30])
def test_status_that_http_does_not_have_is_shown(status: int) -> None:
    assert str(status) in render([Outcome("GET /", status, "", None, 1)], ANSWER, color=True)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (ANSWER, "1 item, none failed, in 34 ms, 2.5 kB"),
        (
            Answer(200, "OK", None, b"x" * 2500, 300, 1.2345),
            "1 item, none failed, in 1.23 s, 2.5 kB (300 bytes compressed)",
        ),
    ],
)
def test_closing_line_says_what_the_batch_took(answer: Answer, line: str) -> None:
    assert closing_line([GOOD], answer) == line
