"""Bodies that are compressed, both ways."""

import gzip
import json
import zlib
from typing import Any

import brotli
import pytest
import zstandard

from batchway.negotiation import MIN_COMPRESSED_BYTES
from batchway.rpc import RpcApp

from .asking import call
from .exchange import Exchange, post

PING = json.dumps(call("echo", ["a"])).encode()
PACK = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": brotli.compress,
    b"zstd": zstandard.compress,
}
ANSWER = b'{"jsonrpc":"2.0","result":"a","id":1}'


def make_app(**options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def echo(text: str) -> str:
        return text

    return app


def send(body: bytes, coding: bytes, **options: Any) -> Exchange:
    return post(make_app(**options), body, (b"content-encoding", coding))


def error_of(found: Exchange) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(found.body)["error"]
    return error


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", gzip.compress(PING)),
        (b"GZIP", gzip.compress(PING)),
        (b"x-gzip", gzip.compress(PING)),
        (b"gzip", gzip.compress(PING[:9]) + gzip.compress(PING[9:])),
        (b"deflate", zlib.compress(PING)),
        (b"deflate", zlib.compress(PING, wbits=-15)),
        (b"br", brotli.compress(PING)),
        (b"zstd", zstandard.compress(PING)),
        (b"deflate, gzip", gzip.compress(zlib.compress(PING))),
        (b"identity", PING),
        (b"", PING),
    ],
)
def test_compressed_body(coding: bytes, body: bytes) -> None:
    found = send(body, coding)
    assert (found.status, found.body) == (200, ANSWER)


def test_codings_in_headers_of_their_own() -> None:
    body = gzip.compress(zlib.compress(PING))
    found = post(make_app(), body, (b"content-encoding", b"deflate"), (b"content-encoding", b"gzip"))
    assert found.body == ANSWER


@pytest.mark.parametrize("coding", [b"compress", b"gzip, rot13", b"gzip,gzip,gzip,gzip", b"\xff"])
def test_coding_that_is_unknown_is_refused(coding: bytes) -> None:
    found = send(PING, coding)
    assert found.status == 415
    assert error_of(found)["code"] == -32056
    assert found.headers[b"accept-encoding"] == b"gzip, deflate, br, zstd"


def test_refusal_of_a_content_type_speaks_of_no_coding() -> None:
    found = post(make_app(strict_content_type=True), PING)
    assert found.status == 415
    assert b"accept-encoding" not in found.headers


@pytest.mark.parametrize(
    "body",
    [PING, b"\x1f\x8b", gzip.compress(PING)[:-1], gzip.compress(PING)[:-9], gzip.compress(PING) + b"x"],
)
def test_body_that_is_broken_is_told_so(body: bytes) -> None:
    found = send(body, b"gzip")
    assert found.status == 200
    error = error_of(found)
    assert (error["code"], error["message"]) == (-32700, "Parse error")
    assert error["data"].startswith("the body ")


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd"])
@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413), (10_000_000, 413)])
def test_limit_is_for_what_the_body_unpacks_to(coding: bytes, size: int, status: int) -> None:
    found = send(PACK[coding](PING.ljust(size)), coding, max_body_bytes=1000)
    assert found.status == status
    if status == 413:
        assert error_of(found)["code"] == -32053


def test_limit_is_for_the_packed_body_too() -> None:
    endless = gzip.compress(b"") * 100  # which unpacks to nothing
    assert send(endless, b"gzip", max_body_bytes=1000).status == 413


def test_large_body_is_unpacked_beside_the_event_loop() -> None:
    said = json.dumps(call("echo", ["".join(f"{number:x}" for number in range(60_000))])).encode()
    packed = gzip.compress(said, 1)
    assert len(packed) > 64 * 1024
    assert len(json.loads(send(packed, b"gzip").body)["result"]) > 200_000


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [
        (b"gzip", True),
        (b"br, gzip;q=0.1", True),
        (b"*", True),
        (b"gzip;q=0", False),
        (b"identity", False),
        (b"gzip;q=0, *", False),
    ],
)
def test_large_response_is_compressed_for_who_accepts_it(accepted: bytes, is_packed: bool) -> None:
    text = "x" * 5000
    found = post(make_app(), call("echo", [text]), (b"accept-encoding", accepted))
    assert found.headers[b"vary"] == b"accept-encoding"
    assert (found.headers.get(b"content-encoding") == b"gzip") == is_packed
    assert int(found.headers[b"content-length"]) == len(found.body)
    body = gzip.decompress(found.body) if is_packed else found.body
    assert json.loads(body)["result"] == text


def test_response_is_compressed_from_the_size_of_a_packet_on() -> None:
    room = MIN_COMPRESSED_BYTES - len(ANSWER) + 1
    for size, is_packed in ((room - 1, False), (room, True)):
        found = post(make_app(), call("echo", ["x" * size]), (b"accept-encoding", b"gzip"))
        assert (b"content-encoding" in found.headers) == is_packed
        assert (b"vary" in found.headers) == is_packed
