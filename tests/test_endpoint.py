"""One request that carries a batch becomes one response: format, engine and target together."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from batchway import endpoint, negotiation
from batchway.errors import (
    BatchTooLarge,
    BatchwayError,
    ForgedByPage,
    MalformedBatch,
    NestedBatch,
    RouteNotFound,
)
from batchway.model import Body, Budget, ClientGone, Headers, Limits, Origin, Request, Response
from tests.engine.clock import now, play
from tests.loops import settle

Target = Callable[[Request], Awaitable[Response]]

ORIGIN = Origin("192.0.2.7")
OK = [(b"Content-Type", b"text/plain")]


class Pieces:
    """A body in pieces that remembers how many of them were asked for."""

    def __init__(self, *pieces: bytes | ClientGone, length: int | None = None) -> None:
        self.pieces = pieces
        self.length = length
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            self.read += 1
            if isinstance(piece, ClientGone):
                raise piece
            yield piece


class Echo:
    """Answers with the path; remembers what it was asked. Pays for its bodies, as every target must."""

    def __init__(self, body: bytes | None = None) -> None:
        self.asked: list[Request] = []
        self.body = body

    async def __call__(self, request: Request) -> Response:
        self.asked.append(request)
        body = request.path.encode() if self.body is None else self.body
        if request.batch is not None:
            request.batch.take(len(body))
        return Response(200, "OK", OK, body)


def batch(*paths: str, **more: Any) -> bytes:
    return msgspec.json.encode({"pipeline": [{"path": path} for path in paths], **more})


def outer(body: bytes | Body, *headers: tuple[bytes, bytes], inside: Budget | None = None) -> Request:
    return Request("POST", "/batch", "", Headers(headers), body, ORIGIN, inside)


def answer(request: Request, target: Target, limits: Limits | None = None) -> Response:
    return asyncio.run(endpoint.answer(request, target, limits or Limits()))


def replies(response: Response) -> list[dict[str, Any]]:
    assert isinstance(response.body, bytes)
    body = response.body
    if (b"Content-Encoding", b"gzip") in response.headers:
        body = gzip.decompress(body)
    return msgspec.json.decode(body, type=list[dict[str, Any]])


# --- the whole way


def test_batch_is_answered_in_item_order_whoever_finishes_first() -> None:
    async def target(request: Request) -> Response:
        await asyncio.sleep(0.01 if request.path == "/a" else 0)
        if request.path == "/b":
            message = "404 Route Not Found"
            raise RouteNotFound(message)
        return Response(200, "OK", OK, request.path.encode())

    response = answer(outer(batch("/a", "/b", "c", "/d")), target)
    assert (response.status, response.reason) == (200, "OK")
    assert response.headers == [(b"Content-Type", b"application/json")]
    found = replies(response)
    assert [reply["status"] for reply in found] == [200, 404, 400, 200]
    assert [found[0]["body"], found[3]["body"]] == ["/a", "/d"]


def test_target_gets_what_the_item_inherits() -> None:
    echo = Echo()
    request = outer(batch("/a?x=1", headers={"X-B": "2"}), (b"cookie", b"a=1"))
    answer(request, echo, Limits(max_reply_size=5, max_response_size=1000))
    (item,) = echo.asked
    assert item.headers.pairs == ((b"cookie", b"a=1"), (b"x-b", b"2"))
    assert (item.path, item.query, item.body, item.origin) == ("/a", "x=1", b"", ORIGIN)
    assert item.batch is not None
    assert item.batch.max_reply_size == 5


def test_refused_batch_runs_nothing() -> None:
    echo = Echo()
    with pytest.raises(MalformedBatch):
        answer(outer(batch("/a", "/b c")), echo)
    assert echo.asked == []


def test_late_items_are_504_and_the_others_are_kept() -> None:
    freed = []

    async def target(request: Request) -> Response:
        try:
            await asyncio.sleep(30 if request.path == "/slow" else 0)
        finally:
            freed.append(request.path)
        return Response(200, "OK", OK, b"in time")

    response = play(
        endpoint.answer(outer(batch("/slow", "/a", "/slow", "/b", timeout=20)), target, Limits())
    )
    late = {"status": 504, "reason": "upstream timeout"}
    found = replies(response)
    assert [found[0], found[2]] == [late, late]
    assert [found[1]["body"], found[3]["body"]] == ["in time", "in time"]
    assert sorted(freed) == ["/a", "/b", "/slow", "/slow"]


def test_concurrency_is_bounded() -> None:
    running = most = 0

    async def target(_: Request) -> Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return Response(200, "OK", OK, b"")

    answer(outer(batch(*["/a"] * 20)), target, Limits(concurrency=3))
    assert most == 3


def test_cancelled_it_cancels_the_items() -> None:
    freed = []

    async def target(request: Request) -> Response:
        try:
            await asyncio.sleep(30)
        finally:
            freed.append(request.path)
        return Response(200, "OK", OK, b"")

    async def main() -> None:
        work = asyncio.create_task(endpoint.answer(outer(batch("/a", "/b")), target, Limits()))
        await settle()
        assert freed == []
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await asyncio.sleep(0)
        assert freed == ["/a", "/b"]

    asyncio.run(main())


def test_all_replies_together_are_bounded() -> None:
    """Those that do not fit are 502s of their own. Each takes twice the bytes of its body as JSON."""
    found = replies(answer(outer(batch(*["/a"] * 5)), Echo(b"\n" * 1000), Limits(max_response_size=4300)))
    fitting = [reply for reply in found if reply["status"] == 200]
    assert len(fitting) == 2
    assert all(
        reply["status"] == 502 and len(reply["body"]) < 100 for reply in found if reply not in fitting
    )


# --- what is refused


def test_batch_inside_a_batch_is_refused_unread() -> None:
    body, echo = Pieces(batch("/a")), Echo()
    inside = Budget(max_reply_size=1, max_response_size=1)
    with pytest.raises(NestedBatch) as refused:
        answer(outer(body, inside=inside), echo)
    assert refused.value.status == 400
    assert body.read == 0
    assert echo.asked == []


def test_announced_body_over_the_limit_is_refused_unread() -> None:
    body = Pieces(batch("/a"), length=101)
    with pytest.raises(BatchTooLarge) as refused:
        answer(outer(body), Echo(), Limits(max_body_size=100))
    assert refused.value.status == 413
    assert refused.value.message == "request size 101 is greater than the maximum size 100 allowed"
    assert body.read == 0


def test_counted_body_over_the_limit_is_read_no_further() -> None:
    body = Pieces(*[b" " * 40] * 9)
    with pytest.raises(BatchTooLarge, match="^request size 120 "):
        answer(outer(body), Echo(), Limits(max_body_size=100))
    assert body.read == 3


@pytest.mark.parametrize("announced", [True, False])
def test_body_in_pieces_is_put_together(announced: bool) -> None:
    whole = batch("/a", "/b")
    pieces = [whole[at : at + 3] for at in range(0, len(whole), 3)]
    body = Pieces(*pieces, length=len(whole) if announced else None)
    response = answer(outer(body), Echo(), Limits(max_body_size=len(whole)))
    assert [reply["body"] for reply in replies(response)] == ["/a", "/b"]


def test_client_that_leaves_half_way_has_nothing_run() -> None:
    echo = Echo()
    with pytest.raises(ClientGone):
        answer(outer(Pieces(batch("/a"), ClientGone())), echo)
    assert echo.asked == []


def test_no_body_is_a_400() -> None:
    with pytest.raises(
        BatchwayError, match="^no request body, you should give at least one pipeline"
    ) as told:
        answer(outer(Pieces()), Echo())
    assert told.value.status == 400


def test_page_of_another_site_cannot_send_a_batch_unasked() -> None:
    """Fetch, 2.2.2: these content types need no preflight, so the answer would come too late."""
    for content_type in (
        None,
        b"text/plain",
        b"Text/Plain; charset=utf-8",
        b"multipart/form-data; boundary=x",
    ):
        headers = [(b"host", b"api.example"), (b"origin", b"https://evil.example")]
        headers += [(b"content-type", content_type)] if content_type is not None else []
        echo, body = Echo(), Pieces(batch("/a"))
        with pytest.raises(ForgedByPage) as refused:
            answer(outer(body, *headers), echo)
        assert refused.value.status == 415
        assert echo.asked == []
        assert body.read == 0


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"application/x-www-form-urlencoded")],
        [(b"origin", b"https://evil.example"), (b"content-type", b"application/json")],
        [(b"origin", b"https://API.example"), (b"content-type", b"text/plain")],
    ],
    ids=["curl", "curl_data", "asked_before", "own_page"],
)
def test_batch_that_no_other_site_can_have_forged_is_run(headers: list[tuple[bytes, bytes]]) -> None:
    response = answer(outer(batch("/a"), (b"host", b"api.example"), *headers), Echo())
    assert replies(response)[0]["status"] == 200


# --- durations


def test_durations_are_told_to_who_prefers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "time", SimpleNamespace(perf_counter=now))

    async def target(request: Request) -> Response:
        await asyncio.sleep(0.01 if request.path == "/a" else 30 if request.path == "/late" else 0)
        return Response(200, "OK", OK, b"")

    request = outer(batch("/a", "/b", "c", "/late", timeout=30), (b"prefer", b"wait=5, Item-Durations"))
    response = play(endpoint.answer(request, target, Limits()))
    assert (b"Preference-Applied", b"item-durations") in response.headers
    slow, quick, never, late = [reply["duration_ms"] for reply in replies(response)]
    assert (slow, quick, never, late) == (10, 0, 0, 30)


def test_durations_are_not_told_to_others() -> None:
    response = answer(outer(batch("/a", "c"), (b"prefer", b"wait=5")), Echo())
    assert [name for name, _ in response.headers] == [b"Content-Type"]
    assert all("duration_ms" not in reply for reply in replies(response))


# --- compression


def big(size: int = 5000) -> Echo:
    return Echo(bytes(97 + number * 7919 % 26 for number in range(size)))


def is_compressed(*accepted: bytes) -> bool:
    headers = [(b"accept-encoding", value) for value in accepted]
    echo = big()
    response = answer(outer(batch("/a"), *headers), echo)
    (reply,) = replies(response)
    assert reply["body"].encode() == echo.body
    assert (b"Vary", b"Accept-Encoding") in response.headers
    assert isinstance(response.body, bytes)
    compressed = response.body[:2] == b"\x1f\x8b"
    assert compressed == ((b"Content-Encoding", b"gzip") in response.headers)
    return compressed


@pytest.mark.parametrize(
    "accepted",
    [
        [b"gzip"],
        [b"GZIP"],
        [b"x-gzip"],
        [b"br, gzip"],
        [b"gzip, deflate, br, zstd"],
        [b"deflate", b"gzip"],
        [b"*"],
        [b"br;q=1, *;q=0.1"],
        [b"identity;q=0, *"],
        [b"gzip;q=1.0"],
        [b"gzip ; q=0.001"],
        [b"gzip;Q=0.5"],
        [b"*;q=0, gzip"],
        [b" ,gzip,"],
    ],
)
def test_compressed_for_who_accepts_gzip(accepted: list[bytes]) -> None:
    """RFC 9110, section 12.5.3."""
    assert is_compressed(*accepted)


@pytest.mark.parametrize(
    "accepted",
    [
        [],
        [b""],
        [b"identity"],
        [b"br"],
        [b"deflate, zstd"],
        [b"gzip;q=0"],
        [b"gzip;q=0.000"],
        [b"GZIP; Q=0"],
        [b"gzip;q=0, *"],
        [b"*;q=0"],
        [b"br, *;q=0"],
        [b"gzip;q=no"],
        [b"gzipped"],
        [b"\xff"],
    ],
)
def test_not_compressed_for_others(accepted: list[bytes]) -> None:
    assert not is_compressed(*accepted)


@pytest.mark.parametrize("accepted", [b"gzip", b"identity"])
def test_small_response_is_not_compressed_and_does_not_vary(accepted: bytes) -> None:
    response = answer(outer(batch("/a"), (b"accept-encoding", accepted)), Echo())
    assert response.headers == [(b"Content-Type", b"application/json")]
    assert replies(response)[0]["body"] == "/a"


@pytest.mark.parametrize(("more", "compressed"), [(-1, False), (0, True)])
def test_compression_begins_where_a_packet_ends(more: int, compressed: bool) -> None:
    plain = answer(outer(batch("/a")), Echo(b""))
    assert isinstance(plain.body, bytes)
    body = b"x" * (negotiation.MIN_COMPRESSED_BYTES - len(plain.body) + more)
    response = answer(outer(batch("/a"), (b"accept-encoding", b"gzip")), Echo(body))
    assert ((b"Content-Encoding", b"gzip") in response.headers) == compressed


def test_compression_makes_it_smaller() -> None:
    response = answer(outer(batch("/a"), (b"accept-encoding", b"gzip")), Echo(b"x" * 10_000))
    assert isinstance(response.body, bytes)
    assert len(response.body) < 500


def test_large_response_is_compressed_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    compress = negotiation._gzip

    def noted(body: bytes) -> bytes:
        threads.append(threading.current_thread())
        return compress(body)

    monkeypatch.setattr(negotiation, "_gzip", noted)
    for size in (5_000, 600_000):
        echo = big(size)
        response = answer(outer(batch("/a"), (b"accept-encoding", b"gzip")), echo)
        assert replies(response)[0]["body"].encode() == echo.body
    small, large = threads
    assert small is threading.main_thread()
    assert large is not threading.main_thread()
