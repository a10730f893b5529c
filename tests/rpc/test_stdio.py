"""An app over a stream of bytes, without descriptors: what is answered, and when it ends."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.errors import ConfigError
from batchway.rpc import Context, RpcApp, stdio
from batchway.rpc.framing import ContentLength, FramingName, Newline

from .asking import call, play


def make_app(**options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def echo(value: Any) -> Any:
        return value

    @app.method
    async def sleep(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @app.method
    async def tell(context: Context) -> str:
        await context.notify("told", [context.transport])
        return "done"

    return app


class Stream:
    """Both ends of a client: what it says, in pieces, and what it has heard."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = list(pieces)
        self.heard: list[bytes] = []
        self.reads = 0

    async def read(self, _: int, /) -> bytes:
        await asyncio.sleep(0)
        self.reads += 1
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes, /) -> None:
        await asyncio.sleep(0)
        self.heard.append(data)


def converse(app: RpcApp, pieces: Iterable[bytes], framing: FramingName = "auto") -> Stream:
    stream = Stream(pieces)
    play(stdio.serve(app, stream, stream, framing))
    return stream


def lines(stream: Stream) -> list[Any]:
    assert all(one.endswith(b"\n") and one.count(b"\n") == 1 for one in stream.heard)
    return [json.loads(one) for one in stream.heard]


def framed(stream: Stream) -> list[Any]:
    framing = ContentLength(10_000)
    found = framing.feed(b"".join(stream.heard))
    assert framing.end() == []
    return [json.loads(one) for one in found if isinstance(one, bytes)]


def said(*bodies: Any) -> list[bytes]:
    return [json.dumps(one).encode() for one in bodies]


def test_calls_and_batches_in_lines() -> None:
    bodies = said(call("echo", [1]), call("echo", [1], ...), [call("echo", [2], 2), call("echo", [3], 3)])
    one, two = lines(converse(make_app(), [b"".join(map(Newline.wrap, bodies))]))
    assert one == {"jsonrpc": "2.0", "result": 1, "id": 1}
    assert [found["result"] for found in two] == [2, 3]


def test_calls_with_lengths_are_answered_with_lengths() -> None:
    bodies = said(call("echo", ["ä"]), call("tell"))
    first, *others = framed(converse(make_app(), [b"".join(map(ContentLength.wrap, bodies))]))
    assert first["result"] == "ä"
    assert others == [
        {"jsonrpc": "2.0", "method": "told", "params": ["stdio"]},
        {"jsonrpc": "2.0", "result": "done", "id": 1},
    ]


@given(st.data(), st.sampled_from([Newline, ContentLength]))
def test_input_cut_anywhere(data: st.DataObject, framing: type[Newline] | type[ContentLength]) -> None:
    stream = b"".join(map(framing.wrap, said(call("echo", [1], 1), call("echo", ["é\n"], 2))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found = converse(make_app(), pieces)
    answers = lines(found) if framing is Newline else framed(found)
    assert {one["id"]: one["result"] for one in answers} == {1: 1, 2: "é\n"}


def test_framing_that_is_said_is_not_guessed() -> None:
    (body,) = said(call("echo", [1]))
    (error,) = framed(converse(make_app(), [body + b"\n"], "content-length"))
    assert error["error"]["code"] == -32700
    errors = lines(converse(make_app(), [ContentLength.wrap(body) + b"\n"], "newline"))
    assert [one.get("error", {}).get("code") for one in errors] == [-32700, None]


def test_framing_that_is_none_is_told_so() -> None:
    with pytest.raises(ConfigError, match="framing: expected auto, newline, content-length"):
        converse(make_app(), [], "lines")  # type: ignore[arg-type] # that is the test


@pytest.mark.parametrize("start", [b"", b"\n\n", b"cont"])
def test_input_that_ends_before_anything_is_said(start: bytes) -> None:
    found = lines(converse(make_app(), [start] if start else []))
    assert [one["error"]["code"] for one in found] == ([-32700] if start == b"cont" else [])


def test_what_is_malformed_keeps_what_follows() -> None:
    (body,) = said(call("echo", [1]))
    found = lines(converse(make_app(max_body_bytes=100), [b"{\n" + b"x" * 300 + b"\n" + body + b"\n"]))
    assert [one.get("error", {}).get("code") for one in found] == [-32700, -32053, None]
    wrapped = b"Content-Length: x\r\n\r\n{}" + ContentLength.wrap(b" " * 300) + ContentLength.wrap(body)
    found = framed(converse(make_app(max_body_bytes=100), [wrapped]))
    assert [one.get("error", {}).get("code") for one in found] == [-32700, -32053, None]


def test_calls_are_finished_after_the_input_ends() -> None:
    bodies = said(call("sleep", [3], 1), call("sleep", [1], 2))
    found = lines(converse(make_app(), [b"\n".join(bodies)]))
    assert [one["id"] for one in found] == [2, 1]


def test_work_put_off_is_finished_and_heard_of() -> None:
    app = make_app()

    async def work(context: Context) -> None:
        await asyncio.sleep(1)
        await context.notify("worked")

    @app.method
    async def order(context: Context) -> str:
        context.after(work, context)
        return "ordered"

    answer, notification = lines(converse(app, said(call("order"))))
    assert answer["result"] == "ordered"
    assert notification == {"jsonrpc": "2.0", "method": "worked"}
    assert len(app.connections) == 0


def test_input_is_read_no_faster_than_it_is_answered() -> None:
    stream = Stream([b"\n", *(body + b"\n" for body in said(*[call("sleep", [1], id) for id in range(9)]))])

    async def main() -> None:
        serving = asyncio.ensure_future(stdio.serve(make_app(connection_concurrency=2), stream, stream))
        await asyncio.sleep(0.5)
        assert stream.reads == 4  # what is empty, two that run, and one that waits
        await serving
        assert len(stream.heard) == 9

    play(main())


def test_client_that_is_gone_ends_it() -> None:
    app = make_app()
    stopped = []

    @app.method
    async def work() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            stopped.append(1)

    class Deaf(Stream):
        async def read(self, _: int, /) -> bytes:
            if not self.pieces:
                await asyncio.Event().wait()
            return self.pieces.pop(0)

        async def write(self, data: bytes, /) -> None:
            await asyncio.sleep(1)
            raise BrokenPipeError

    async def main() -> None:
        stream = Deaf([b"\n".join(said(call("work"), call("echo", [1]))) + b"\n"])
        await stdio.serve(app, stream, stream)
        assert stopped == [1]
        await asyncio.sleep(0)

    play(main())


def test_broadcasts_are_heard() -> None:
    app = make_app()

    @app.method
    async def shout() -> int:
        return await app.broadcast("shouted")

    *_, notification = lines(converse(app, [b"\n".join(said(*[call("shout")] * 3))]))
    assert notification == {"jsonrpc": "2.0", "method": "shouted"}
