"""docs/getting-started.md: all that it says to type, typed, and what it says comes back."""

import re
from pathlib import Path

import pytest

from .gateway import TRACEBACK
from .pages import TOP, blocks, check, run
from .ports import free_port

PAGE = TOP / "docs" / "getting-started.md"
PORTS = {
    "GATEWAY_PORT": 9080,
    "ADMIN_PORT": 9180,
    "METRICS_PORT": 9091,
    "USERS_PORT": 1981,
    "ORDERS_PORT": 1982,
}
"""The page's variables and the ports that it shows."""


def test_the_page_is_true(tmp_path: Path) -> None:
    found = blocks(PAGE)
    ports = {name: str(free_port()) for name in PORTS}

    printed = run(found, tmp_path, ports)

    assert len(printed) == len(found) > 15
    for block, text in zip(found, printed, strict=True):
        for name, port in ports.items():
            text = text.replace(f":{port}", f":{PORTS[name]}")
        check(block, re.sub(r'"5\d\d"', '"600"', text))  # of the ten minutes some seconds may be over
    (log,) = tmp_path.glob("*/batchway.log")
    assert TRACEBACK not in log.read_text()
    assert "admin write" in log.read_text()


def test_a_page_that_is_not_true_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```sh\necho one; echo two\n```\n\n```text\none\nthree\n```\n")
    (block,) = blocks(page)
    (printed,) = run([block], tmp_path, {})

    with pytest.raises(AssertionError, match="two"):
        check(block, printed)
