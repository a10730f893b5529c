"""Bodies out of a stream of bytes, however it is cut."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.rpc.errors import RequestTooLarge, RpcError
from batchway.rpc.framing import ContentLength, Frame, Framing, FramingName, Newline, choose

MAX_BYTES = 200
FRAMINGS: Sequence[Callable[[int], Framing]] = (Newline, ContentLength)


def frames(framing: Framing, data: bytes, cuts: Sequence[int] = ()) -> list[Any]:
    """The bodies, and the codes of errors in the place of those that are none."""
    found: list[Frame] = []
    edges = [0, *sorted(cuts), len(data)]
    for start, end in zip(edges, edges[1:], strict=False):
        found += framing.feed(data[start:end])
    found += framing.end()
    return [one.code if isinstance(one, RpcError) else one for one in found]


def cut(data: st.DataObject, stream: bytes) -> list[int]:
    return data.draw(st.lists(st.integers(0, len(stream)), max_size=20))


BODIES = st.lists(st.binary(min_size=1, max_size=MAX_BYTES).filter(lambda body: not body.isspace()))
LINES = st.lists(st.text('[]{}"ab\\,:1 é', min_size=1).map(str.encode).filter(lambda body: body.strip()))


@given(st.data(), LINES)
def test_lines_cut_anywhere(data: st.DataObject, bodies: list[bytes]) -> None:
    bodies = [body[:MAX_BYTES] for body in bodies]
    stream = b"".join(map(Newline.wrap, bodies))
    assert frames(Newline(MAX_BYTES), stream, cut(data, stream)) == bodies


@given(st.data(), BODIES)
def test_content_length_cut_anywhere(data: st.DataObject, bodies: list[bytes]) -> None:
    stream = b"".join(map(ContentLength.wrap, bodies))
    assert frames(ContentLength(MAX_BYTES), stream, cut(data, stream)) == bodies


@pytest.mark.parametrize("framing", FRAMINGS)
@given(data=st.data(), stream=st.binary() | st.text("content-length:0123 \r\n{}").map(str.encode))
def test_cuts_change_nothing(framing: Callable[[int], Framing], data: st.DataObject, stream: bytes) -> None:
    assert frames(framing(20), stream, cut(data, stream)) == frames(framing(20), stream)


@pytest.mark.parametrize("framing", FRAMINGS)
@given(stream=st.lists(st.binary(max_size=5000)))
def test_little_is_kept(framing: Callable[[int], Framing], stream: list[bytes]) -> None:
    one: Any = framing(100)
    for data in stream:
        one.feed(data)
        assert len(one._buffer) <= 5000  # the head of a frame, and no more


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"", []),
        (b"\n\r\n  \n", []),
        (b"1\n2", [b"1", b"2"]),
        (b"1\r\n\r\n2\r\n", [b"1", b"2"]),
        (b"x" * 200 + b"\r\n1\n", [b"x" * 200, b"1"]),
        (b"x" * 1000 + b"\n1\n", [-32053, b"1"]),
    ],
)
def test_lines(stream: bytes, found: list[bytes]) -> None:
    assert frames(Newline(MAX_BYTES), stream) == found


def test_line_that_is_too_long_is_refused_once_and_not_kept() -> None:
    framing = Newline(MAX_BYTES)
    assert framing.feed(b"x" * 201) == []  # the last of it may be a return
    (refusal,) = framing.feed(b"xx")
    assert isinstance(refusal, RequestTooLarge)
    for _ in range(10):
        assert framing.feed(b"x" * 100) == []
    assert framing.feed(b"x\n1\n") == [b"1"]
    assert framing.end() == []


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"", []),
        (b"\r\n", []),
        (b"Content-Length: 1\r\n\r\n1", [b"1"]),
        (b"content-length:1\n\n1", [b"1"]),
        (b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n12", [b"12"]),
        (b"Content-Length: 1\r\n\r\n1\r\nContent-Length: 1\r\n\r\n2", [b"1", b"2"]),
        (b"Content-Length: 0\r\n\r\nContent-Length: 1\r\n\r\n2", [b"", b"2"]),
        # Cut short.
        (b"Content-Length: 2\r\n\r\n1", [-32700]),
        (b"Content-Length: 2\r\n\r\n", [-32700]),
        (b"Content-Length: 2\r\n", [-32700]),
        # None, or none that can be told; then whatever has one.
        (b"Content-Length: x\r\n\r\n1Content-Length: 1\r\n\r\n2", [-32700, b"2"]),
        (b"Content-Length: -1\r\n\r\n", [-32700]),
        (b"Content-Length: 1_0\r\n\r\n", [-32700]),
        (b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", [-32700]),
        (b"Content-Length:\r\n\r\n", [-32700]),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n12", [-32700]),
        (b"Content-Type: x\r\n\r\n{}Content-Length: 1\r\n\r\n2", [-32700, b"2"]),
        (b"{}\n\n{}\n\nCONTENT-LENGTH: 1\r\n\r\n2", [-32700, b"2"]),
        (b"X: " + b"y" * 5000 + b"\r\n\r\nContent-Length: 1\r\n\r\n2", [-32700, b"2"]),
        (
            b"Content-Length: 1\r\nX: " + b"y" * 5000 + b"\r\n\r\n1Content-Length: 1\r\n\r\n2",
            [-32700, b"2"],
        ),
        # Too large, and passed over.
        (b"Content-Length: 201\r\n\r\n" + b"x" * 201 + b"Content-Length: 1\r\n\r\n2", [-32053, b"2"]),
        (b"Content-Length: 999999999999999999\r\n\r\nxxx", [-32053]),
    ],
)
def test_content_length(stream: bytes, found: list[Any]) -> None:
    assert frames(ContentLength(MAX_BYTES), stream) == found
    assert frames(ContentLength(MAX_BYTES), stream, range(len(stream))) == found


@pytest.mark.parametrize(
    ("start", "found"),
    [
        (b"", None),
        (b" \r\n", None),
        (b"{", Newline),
        (b"\n\n[", Newline),
        (b"C", None),
        (b"content", None),
        (b"cONTENT-", ContentLength),
        (b"\r\nContent-Type", ContentLength),
        (b"Cheese", Newline),
        (b"co\n", Newline),
        (b"\xff", Newline),
    ],
)
def test_framing_by_the_first_bytes(start: bytes, found: type | None) -> None:
    chosen = choose("auto", start, MAX_BYTES)
    assert (None if chosen is None else type(chosen)) is found


@pytest.mark.parametrize(("name", "found"), [("newline", Newline), ("content-length", ContentLength)])
def test_framing_by_name(name: FramingName, found: type) -> None:
    for start in (b"", b"{", b"Content-Length: 1"):
        assert type(choose(name, start, MAX_BYTES)) is found


def test_line_breaks_in_a_body_do_not_end_its_line() -> None:
    assert Newline.wrap(b'{\r\n"a":\n1}') == b'{  "a": 1}\n'
