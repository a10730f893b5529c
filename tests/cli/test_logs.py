"""How log lines are written."""

import io
import logging
import sys

import msgspec
import pytest
import structlog

from batchway.cli import logs
from batchway.config import LogSettings


class Stream(io.StringIO):
    """Takes down each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, text: str) -> int:
        self.written.append(text)
        return len(text)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(LogSettings(format="json"))
    return stream


def test_line_is_one_write(stream: Stream) -> None:
    """Processes that share a stream would mix their lines if the end of one were written apart."""
    structlog.get_logger("a").warning("ours", key="value")
    logging.getLogger("b").error("of a library")
    assert len(stream.written) == 2
    ours, others = (msgspec.json.decode(one) for one in stream.written)
    assert all(one.endswith("}\n") for one in stream.written)
    assert (ours["event"], ours["key"]) == ("ours", "value")
    assert (others["event"], others["logger"]) == ("of a library", "b")
