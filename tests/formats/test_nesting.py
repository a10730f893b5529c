"""Bodies so deep that a decoder would use up the stack, once a library has raised Python's limit."""

import subprocess
import sys

import pytest

from batchway.formats import entries

SCRIPT = """
import sys

sys.setrecursionlimit(10_000_000)

from batchway.errors import MalformedBatch
from batchway.formats import apisix
from batchway.formats.jsonrpc import Dialect
from batchway.model import Headers, Limits, Origin

CALL = b'{"jsonrpc":"2.0","method":"a","id":1,"x":%b,"x":1}'
BATCH = b'{"headers":{"a":%b},"pipeline":[{"path":"/"}]}'
for depth in (2_000, 100_000):
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        nested = opening * depth + b"1" + closing * depth
        for body in (nested, opening * depth, CALL % nested, b"[%b]" % (CALL % nested)):
            try:
                Dialect().decode(body, max_items=10, max_depth=100)
            except MalformedBatch as error:
                assert error.error.code == -32700
            else:
                raise AssertionError(body[:100])
        for body in (nested, BATCH % nested):
            try:
                apisix.decode(body, Headers(), Origin("192.0.2.7"), Limits(max_body_size=10_000_000))
            except MalformedBatch:
                pass
            else:
                raise AssertionError(body[:100])
"""


def test_process_outlives_them() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_as_deep_as_a_decoder_goes_is_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    deepest = b"[" * entries.MAX_DEPTH + b"]" * entries.MAX_DEPTH
    entries.check_depth(b"[" + deepest + b"]")  # the decoder's own limit will do
    monkeypatch.setattr(sys, "getrecursionlimit", lambda: 100_000)
    entries.check_depth(deepest)
    entries.check_depth(b'["' + deepest * 2 + b'"]')
    with pytest.raises(RecursionError):
        entries.check_depth(b"[" + deepest + b"]")


@pytest.mark.parametrize("tail", [b"", b"\\", b'\\"', b"\\\\"])
def test_string_without_an_end_is_looked_through_once(tail: bytes) -> None:
    text = b"[" * 10 + b'"' + b'\\"[' * 300_000 + tail
    assert entries.is_deeper(text, 9)
    assert not entries.is_deeper(text, 10)
