"""Where an answer ends, what it says, and whether its connection may serve another."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from batchway.errors import UpstreamBroken
from batchway.model import Response
from tests.loops import settle

from .fakes import Wire, is_broken, read

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = (b"Content-Length", b"2")
PLAIN = OK + b"Content-Length: 2\r\n\r\nhi"


class Case(Struct, kw_only=True):
    """An answer on the wire, and what is to be made of it."""

    wire: bytes
    status: int = 200
    reason: str = "OK"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = b"hi"
    no_body: bool = False
    """It answers a HEAD request."""
    ends: bool = False
    """It ends with the connection."""
    reusable: bool = True


CASES = {
    "content-length": Case(wire=PLAIN, headers=(LENGTH,)),
    "empty": Case(wire=OK + b"Content-Length: 0\r\n\r\n", headers=((b"Content-Length", b"0"),), body=b""),
    "names as spelled, repeated ones kept in order": Case(
        wire=OK + b"SET-cookie: a\r\nContent-Length: 2\r\nset-Cookie:b\r\n\r\nhi",
        headers=((b"SET-cookie", b"a"), LENGTH, (b"set-Cookie", b"b")),
    ),
    "values without the space before them, empty ones kept": Case(
        wire=OK + b"A: \t x y\r\nB:\r\nContent-Length: 2\r\n\r\nhi",
        headers=((b"A", b"x y"), (b"B", b""), LENGTH),
    ),
    "bytes above ASCII in a value": Case(
        wire=OK + b"A: \xfc\xff\r\nContent-Length: 2\r\n\r\nhi", headers=((b"A", b"\xfc\xff"), LENGTH)
    ),
    "hop-by-hop headers dropped": Case(
        wire=OK + b"Keep-Alive: timeout=5\r\nConnection: keep-alive\r\nProxy-Connection: x\r\nTE: x\r\n"
        b"Trailer: X\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
        headers=(LENGTH,),
    ),
    "no reason": Case(wire=b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", headers=(LENGTH,)),
    "empty reason": Case(wire=b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi", headers=(LENGTH,)),
    "reason of its own": Case(
        wire=b"HTTP/1.1 404 N\xf6 \r\nContent-Length: 2\r\n\r\nhi",
        status=404,
        reason="Nö ",
        headers=(LENGTH,),
    ),
    "unregistered status": Case(
        wire=b"HTTP/1.1 599 \r\nContent-Length: 2\r\n\r\nhi", status=599, reason="", headers=(LENGTH,)
    ),
    "one chunk": Case(wire=CHUNKED + b"2\r\nhi\r\n0\r\n\r\n"),
    "chunks": Case(wire=CHUNKED + b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"),
    "no chunk but the last": Case(wire=CHUNKED + b"0\r\n\r\n", body=b""),
    "chunk sizes in hex with zeros": Case(
        wire=CHUNKED + b"00A\r\n0123456789\r\nb\r\n0123456789a\r\n000\r\n\r\n",
        body=b"01234567890123456789a",
    ),
    "chunk extensions": Case(wire=CHUNKED + b'2;a=1;b="x y"\r\nhi\r\n0;last\r\n\r\n'),
    "chunked in capitals": Case(
        wire=OK + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nhi\r\n0\r\n\r\n", headers=()
    ),
    "body like an answer": Case(
        wire=OK + b"Content-Length: 38\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
        headers=((b"Content-Length", b"38"),),
        body=OK + b"Content-Length: 0\r\n\r\n",
    ),
    "until the connection ends": Case(wire=OK + b"\r\nhi", ends=True, reusable=False),
    "until the connection ends, empty": Case(wire=OK + b"\r\n", ends=True, body=b"", reusable=False),
    "HTTP/1.0 until the end": Case(wire=b"HTTP/1.0 200 OK\r\n\r\nhi", ends=True, reusable=False),
    "HTTP/1.0 with a length": Case(
        wire=b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", headers=(LENGTH,), reusable=False
    ),
    "HTTP/1.0 keep-alive": Case(
        wire=b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", headers=(LENGTH,)
    ),
    "close": Case(
        wire=OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", headers=(LENGTH,), reusable=False
    ),
    "close among others": Case(
        wire=OK + b"Connection: foo, Close\r\nContent-Length: 2\r\n\r\nhi",
        headers=(LENGTH,),
        reusable=False,
    ),
    "close with chunks": Case(
        wire=OK + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        reusable=False,
    ),
    "HEAD with a length": Case(
        wire=OK + b"Content-Length: 2\r\n\r\n", headers=(LENGTH,), no_body=True, body=None
    ),
    "HEAD with chunks": Case(wire=CHUNKED, no_body=True, body=None, reusable=False),
    "HEAD, close": Case(
        wire=OK + b"Connection: close\r\nContent-Length: 2\r\n\r\n",
        headers=(LENGTH,),
        no_body=True,
        body=None,
        reusable=False,
    ),
    "HEAD answered 404": Case(
        wire=b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n",
        status=404,
        reason="Not Found",
        headers=(LENGTH,),
        no_body=True,
        body=None,
    ),
    "204": Case(wire=b"HTTP/1.1 204 No Content\r\n\r\n", status=204, reason="No Content", body=None),
    "304": Case(
        wire=b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n',
        status=304,
        reason="Not Modified",
        headers=((b"ETag", b'"1"'),),
        body=None,
    ),
    "304 with the length of what it does not send": Case(
        wire=b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
        status=304,
        reason="Not Modified",
        headers=(LENGTH,),
        body=None,
    ),
    "304 with chunks that it does not send": Case(
        wire=b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        status=304,
        reason="Not Modified",
        body=None,
    ),
    "100 first": Case(wire=b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, headers=(LENGTH,)),
    "several interim answers first": Case(
        wire=b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + PLAIN,
        headers=(LENGTH,),
    ),
    "interim before HEAD's": Case(
        wire=b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n",
        headers=(LENGTH,),
        no_body=True,
        body=None,
    ),
    "interim before 204": Case(
        wire=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        status=204,
        reason="No Content",
        body=None,
    ),
    "an empty line first": Case(wire=b"\r\n" + PLAIN, headers=(LENGTH,)),
    "an upgrade that is offered": Case(
        wire=OK + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi", headers=(LENGTH,)
    ),
}


def whole(wire: bytes) -> list[bytes]:
    return [wire]


def byte_by_byte(wire: bytes) -> list[bytes]:
    return [wire[at : at + 1] for at in range(len(wire))]


def by_sevens(wire: bytes) -> list[bytes]:
    return [wire[at : at + 7] for at in range(0, len(wire), 7)]


each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_cut = pytest.mark.parametrize("cut", [whole, byte_by_byte, by_sevens])
each_mode = pytest.mark.parametrize("streamed", [False, True], ids=["buffered", "streamed"])
Cut = Callable[[bytes], list[bytes]]


@each_case
@each_cut
@each_mode
def test_answer_is_read_to_its_end(runner: asyncio.Runner, case: Case, cut: Cut, streamed: bool) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=streamed, no_body=case.no_body)
        for piece in cut(case.wire):
            if not streamed:
                assert not future.done(), "answered before its end"
            wire.feed(piece)
        if case.ends:
            if not streamed:
                assert not future.done(), "answered before the connection ended"
            wire.end()

        response = future.result()
        assert await asyncio.wait_for(read(response), 20) == case.body
        assert (response.status, response.reason) == (case.status, case.reason)
        assert tuple(response.headers) == case.headers
        assert wire.owner.freed == [case.reusable]
        await settle()
        assert wire.untouched() is case.reusable
        wire.close()

    runner.run(main())


@pytest.mark.parametrize(
    "case",
    [case for case in CASES.values() if case.reusable],
    ids=[k for k, c in CASES.items() if c.reusable],
)
@each_cut
def test_connection_serves_one_after_another(runner: asyncio.Runner, case: Case, cut: Cut) -> None:
    async def main() -> None:
        wire = Wire()
        for _ in range(3):
            first = wire.ask(no_body=case.no_body)
            wire.feed(*cut(case.wire))
            assert (first.result().status, first.result().body) == (case.status, case.body)
            second = wire.ask()
            wire.feed(*cut(PLAIN))
            assert (second.result().status, second.result().headers) == (200, [LENGTH])
            assert second.result().body == b"hi"
        assert wire.owner.freed == [True] * 6
        wire.close()

    runner.run(main())


TRAILING = {
    "a second answer": PLAIN,
    "a part of one": b"HTTP/1.1 2",
    "garbage": b"\0garbage",
    "one byte": b"x",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize(
    "case",
    [case for case in CASES.values() if not case.ends],
    ids=[k for k, c in CASES.items() if not c.ends],
)
@pytest.mark.parametrize(
    ("trailing", "cut"),
    [*((trailing, whole) for trailing in TRAILING.values()), (PLAIN, byte_by_byte)],
    ids=[*TRAILING, "a second answer, byte by byte"],
)
def test_what_came_too_much_ends_the_connection(
    runner: asyncio.Runner, case: Case, trailing: bytes, cut: Cut
) -> None:
    async def main(streamed: bool) -> None:
        wire = Wire()
        future = wire.ask(streamed=streamed, no_body=case.no_body)
        wire.feed(*cut(case.wire + trailing))

        response = future.result()
        assert await asyncio.wait_for(read(response), 20) == case.body
        assert response.status == case.status
        assert tuple(response.headers) == case.headers
        assert wire.transport.ended
        await settle()
        assert wire.owner.lost_count == 1
        wire.close()

    for streamed in (False, True):
        runner.run(main(streamed))


def test_second_answer_leaves_the_reason_alone(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(PLAIN + b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        await settle()
        assert future.result().reason == "OK"

    runner.run(main())


def test_second_answer_in_the_segment_answers_nobody(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(PLAIN + OK + b"X: late\r\nContent-Length: 4\r\n\r\nlate")
        assert (future.result().body, future.result().headers) == (b"hi", [LENGTH])
        assert wire.owner.freed == [False]
        assert wire.transport.ended

    runner.run(main())


def test_data_while_idle_ends_the_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        wire.ask()
        wire.feed(PLAIN)
        assert wire.untouched()
        wire.feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert not wire.untouched()
        await settle()
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_data_before_the_first_request_ends_the_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        wire.feed(b"220 smtp.example ESMTP\r\n")
        assert not wire.untouched()
        await settle()
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_head_without_length_needs_no_end(runner: asyncio.Runner) -> None:
    """RFC 9112, section 6.3, rule 1: an answer to HEAD ends with its headers."""

    async def main() -> None:
        wire = Wire()
        future = wire.ask(no_body=True)
        wire.feed(OK + b"\r\n")
        assert future.result().body is None
        wire.close()

    runner.run(main())


def test_body_after_the_answer_to_head_is_not_passed_on(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(no_body=True)
        wire.feed(PLAIN)
        assert future.result().body is None
        assert wire.budget.remaining == 1 << 20
        assert wire.transport.ended

    runner.run(main())


GARBAGE = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "TLS alert": b"\x15\x03\x01\x00\x02\x02\x0a",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"<html></html>",
    "no digits in the status": b"HTTP/1.1 2xx OK\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "space before the colon": OK + b"Content-Length : 2\r\n\r\nhi",
    "name with a space": OK + b"A b: c\r\nContent-Length: 2\r\n\r\nhi",
    "no colon": OK + b"Abc\r\nContent-Length: 2\r\n\r\nhi",
    "empty name": OK + b": c\r\nContent-Length: 2\r\n\r\nhi",
    "folded header": OK + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\nhi",
    "NUL in a header": OK + b"A: b\0c\r\nContent-Length: 2\r\n\r\nhi",
    "CR in a header": OK + b"A: b\rc\r\nContent-Length: 2\r\n\r\nhi",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "negative length": OK + b"Content-Length: -2\r\n\r\nhi",
    "signed length": OK + b"Content-Length: +2\r\n\r\nhi",
    "hex length": OK + b"Content-Length: 0x2\r\n\r\nhi",
    "empty length": OK + b"Content-Length:\r\n\r\nhi",
    "enormous length": OK + b"Content-Length: 99999999999999999999\r\n\r\nhi",
    "two lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "two equal lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nhi",
    "chunked, then a length": CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "a length, then chunked": OK
    + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunk size is no number": CHUNKED + b"zz\r\nhi\r\n0\r\n\r\n",
    "chunk size is negative": CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n",
    "chunk size is enormous": CHUNKED + b"fffffffffffffffff\r\nhi\r\n",
    "chunk longer than its size": CHUNKED + b"2\r\nhi!\r\n0\r\n\r\n",
    "chunk size ends with a bare LF": CHUNKED + b"2\nhi\r\n0\r\n\r\n",
    "trailer without colon": CHUNKED + b"2\r\nhi\r\n0\r\nabc\r\n\r\n",
    "trailer with NUL": CHUNKED + b"2\r\nhi\r\n0\r\na: \0\r\n\r\n",
    "switches protocols": b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi",
    "switches protocols without a word": b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + PLAIN,
    "garbage after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\ngarbage",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("cut", [whole, byte_by_byte])
def test_garbage_breaks_the_exchange(runner: asyncio.Runner, garbage: bytes, cut: Cut) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(*cut(garbage))
        assert is_broken(future)
        assert wire.transport.ended == "abort"
        assert wire.budget.remaining == 1 << 20
        assert wire.owner.freed == []
        await settle()
        assert wire.owner.lost_count == 1

    runner.run(main())


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_breaks_a_streamed_answer_too(runner: asyncio.Runner, garbage: bytes) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask(streamed=True)
        wire.feed(*byte_by_byte(garbage))
        assert wire.transport.ended == "abort"
        with pytest.raises(UpstreamBroken):
            await read(await future)

    runner.run(main())


TRUNCATED = {
    "nothing": b"",
    "in the status line": b"HTTP/1.1 20",
    "in the headers": OK + b"Content-Le",
    "before the empty line": OK + b"Content-Length: 2\r\n",
    "before the body": OK + b"Content-Length: 2\r\n\r\n",
    "in the body": OK + b"Content-Length: 2\r\n\r\nh",
    "before a chunk": CHUNKED,
    "in a chunk's size": CHUNKED + b"2",
    "in a chunk": CHUNKED + b"2\r\nh",
    "after a chunk": CHUNKED + b"2\r\nhi\r\n",
    "in the last chunk": CHUNKED + b"2\r\nhi\r\n0\r\n",
    "in the trailers": CHUNKED + b"2\r\nhi\r\n0\r\nA: b\r\n",
    "after an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
@pytest.mark.parametrize("truncated", TRUNCATED.values(), ids=TRUNCATED)
@each_cut
def test_truncated_answer_is_broken(
    runner: asyncio.Runner, truncated: bytes, cut: Cut, error: Exception | None
) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(*cut(truncated))
        assert not future.done()
        wire.end(error)
        assert is_broken(future)
        assert wire.budget.remaining == 1 << 20
        assert wire.owner.freed == []
        assert wire.owner.lost_count == 1

    runner.run(main())


def test_reset_breaks_an_answer_that_ends_with_the_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(OK + b"\r\nhi")
        wire.end(ConnectionResetError())
        assert is_broken(future)
        assert wire.budget.remaining == 1 << 20

    runner.run(main())


# RFC 9112, section 6.1: we ask for no coding, so a body in one cannot be passed on without saying so.
@pytest.mark.parametrize("coding", [b"gzip", b"identity", b"chunked, gzip"])
def test_coding_without_chunks_at_the_end_is_broken(runner: asyncio.Runner, coding: bytes) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(OK + b"Transfer-Encoding: " + coding + b"\r\n\r\nhi")
        wire.end()
        assert is_broken(future)

    runner.run(main())


def test_coding_inside_chunks_is_broken(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        wire.close()
        assert is_broken(future)

    runner.run(main())


@each_cut
def test_trailers_are_no_headers(runner: asyncio.Runner, cut: Cut) -> None:
    """RFC 9110, section 6.5.1: merging them is for those who know what they mean."""

    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(*cut(CHUNKED + b"2\r\nhi\r\n0\r\nSet-Cookie: a=b\r\n\r\n"))
        assert (future.result().headers, future.result().body) == ([], b"hi")
        wire.close()

    runner.run(main())


@each_cut
def test_trailers_do_not_end_up_in_the_body_or_the_next_answer(runner: asyncio.Runner, cut: Cut) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(*cut(CHUNKED + b"2\r\nhi\r\n0\r\nA: b\r\nC: d\r\n\r\n"))
        assert future.result().body == b"hi"
        assert wire.owner.freed == [True]
        second = wire.ask()
        wire.feed(*cut(PLAIN))
        assert (second.result().headers, second.result().body) == ([LENGTH], b"hi")
        wire.close()

    runner.run(main())


def test_headers_that_connection_names_are_dropped(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(OK + b"Connection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nhi")
        wire.close()
        assert future.result().headers == [LENGTH]

    runner.run(main())


def test_space_after_a_value_is_dropped(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(OK + b"A: x y \t\r\nContent-Length: 2\r\n\r\nhi")
        wire.close()
        assert future.result().headers == [(b"A", b"x y"), LENGTH]

    runner.run(main())


def test_status_below_100_is_broken(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire()
        future = wire.ask()
        wire.feed(b"HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nhi")
        found = is_broken(future)
        wire.close()
        assert found
        assert wire.budget.remaining == 1 << 20

    runner.run(main())


# --- header bytes


def head_of(size: int) -> bytes:
    """A head of so many bytes, for a body of two."""
    rest = b"Content-Length: 2\r\n\r\n"
    return OK + b"X: " + b"a" * (size - len(OK) - len(rest) - 5) + b"\r\n" + rest


@each_cut
def test_head_within_the_limit_is_read(runner: asyncio.Runner, cut: Cut) -> None:
    async def main() -> None:
        wire = Wire(max_header_bytes=1000)
        assert len(head_of(1000)) == 1000
        future = wire.ask()
        wire.feed(*cut(head_of(1000)), *cut(b"hi"))
        assert future.result().body == b"hi"
        wire.close()

    runner.run(main())


@each_mode
@pytest.mark.parametrize("cut", [byte_by_byte, by_sevens])
def test_endless_head_is_broken(runner: asyncio.Runner, cut: Cut, streamed: bool) -> None:
    async def main() -> None:
        wire = Wire(max_header_bytes=1000)
        future = wire.ask(streamed=streamed)
        wire.feed(*cut(head_of(1010)))
        assert is_broken(future)
        assert wire.transport.ended == "abort"

    runner.run(main())


@pytest.mark.parametrize("name", [b"X: ", b"X" * 2000], ids=["value", "name"])
def test_endless_header_in_one_piece_is_broken(runner: asyncio.Runner, name: bytes) -> None:
    async def main() -> None:
        wire = Wire(max_header_bytes=1000)
        future = wire.ask()
        wire.feed(OK + name + b"a" * 1000)
        assert is_broken(future)

    runner.run(main())


@pytest.mark.parametrize("body", [b"h", b"hi"], ids=["part of the body", "whole"])
def test_big_head_in_one_piece_is_broken(runner: asyncio.Runner, body: bytes) -> None:
    async def main() -> None:
        wire = Wire(max_header_bytes=1000)
        future = wire.ask()
        wire.feed(head_of(5000) + body)
        broken = is_broken(future)
        wire.close()
        assert broken

    runner.run(main())


def test_endless_interim_answers_are_broken(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(max_header_bytes=1000)
        future = wire.ask()
        wire.feed(*[b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"] * 1000)
        assert is_broken(future)
        assert wire.transport.ended

    runner.run(main())


@each_mode
def test_endless_trailers_are_broken(runner: asyncio.Runner, streamed: bool) -> None:
    async def main() -> None:
        wire = Wire(max_header_bytes=1000)
        wire.ask(streamed=streamed)
        wire.feed(CHUNKED + b"2\r\nhi\r\n0\r\n", *[b"X: aaaaaaaaaa\r\n"] * 1000)
        ended = wire.transport.ended
        wire.close()
        assert ended

    runner.run(main())


def test_body_does_not_count_as_header(runner: asyncio.Runner) -> None:
    async def main() -> None:
        wire = Wire(max_header_bytes=100)
        for _ in range(3):
            future = wire.ask()
            wire.feed(OK + b"Content-Length: 5000\r\n\r\n", *[b"x" * 100] * 50)
            assert future.result().body == b"x" * 5000
        wire.close()

    runner.run(main())


# --- any body, however it is cut


def cut_at(wire: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(wire) + 1) for place in places), len(wire)]
    return [wire[a:b] for a, b in zip(edges, edges[1:], strict=False) if a < b]


def chunked(pieces: list[bytes]) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces if p) + b"0\r\n\r\n"


@settings(max_examples=150)
@given(
    pieces=st.lists(st.binary(max_size=40), max_size=6),
    places=st.lists(st.integers(min_value=0), max_size=8),
    streamed=st.booleans(),
    framing=st.sampled_from(["length", "chunks", "end"]),
)
def test_any_body_in_any_pieces(
    pieces: list[bytes], places: list[int], streamed: bool, framing: str
) -> None:
    body = b"".join(pieces)
    wires = {
        "length": OK + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        "chunks": chunked(pieces),
        "end": OK + b"\r\n" + body,
    }

    async def main() -> Response:
        wire = Wire()
        future = wire.ask(streamed=streamed)
        wire.feed(*cut_at(wires[framing], places))
        if framing == "end":
            wire.end()
        response = future.result()
        assert await asyncio.wait_for(read(response), 20) == body
        assert wire.owner.freed == [framing != "end"]
        assert wire.budget.remaining == (1 << 20) - (0 if streamed else len(body))
        wire.close()
        return response

    assert asyncio.run(main()).status == 200
