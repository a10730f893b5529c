"""What comes back: one reply an item, each in its slot, and the whole always valid JSON."""

import base64
import gzip
import json
import threading
import time
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from .conftest import StartScripted
from .gateway import Document, Gateway
from .nginx import Nginx
from .scripted import PATIENCE_S, Received, each, ok, once, slowly

TEXT = b"hello, world\n" * 200


def test_replies_stand_in_their_slots_whatever_finishes_when(
    gateway: Gateway, scripted: StartScripted
) -> None:
    def answer(request: Received) -> bytes:
        number = request.target.rpartition("/")[2]
        time.sleep(int(number) * 37 % 100 / 500)
        return ok(number.encode())

    prefix = gateway.route(scripted(each(answer)))
    numbers = [number * 29 % 100 for number in range(100)]

    replies = gateway.replies([f"{prefix}/{number}" for number in numbers])

    assert [reply["body"] for reply in replies] == [str(number) for number in numbers]


def test_items_run_at_once(gateway: Gateway, scripted: StartScripted) -> None:
    all_here = threading.Barrier(50)

    def answer(_: Received) -> bytes:
        all_here.wait(PATIENCE_S)
        return ok()

    prefix = gateway.route(scripted(each(answer)))

    assert len(gateway.replies([f"{prefix}/{number}" for number in range(50)])) == 50


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_reply_has_all_its_parts(gateway: Gateway, scripted: StartScripted, method: str) -> None:
    answer = ok(b"made", "X-oDD-cAse: Value", "Location: /x/1", status="201 Made It So")
    path = gateway.route(scripted(each(lambda _: answer))) + "/x"

    reply = gateway.reply({"path": path, "method": method})

    headers = {"X-oDD-cAse": "Value", "Location": "/x/1", "Content-Length": "4"}
    assert reply == {"status": 201, "reason": "Made It So", "headers": headers, "body": "made"}


@pytest.mark.parametrize("status", [200, 302, 404, 500, 503])
def test_any_status_of_the_upstream_is_a_reply(gateway: Gateway, nginx: Nginx, status: int) -> None:
    path = gateway.route(nginx) + (f"/status/{status}" if status != 200 else "/x")

    reply = gateway.reply(path)

    assert reply["status"] == status
    assert reply["headers"]["Server"].startswith("nginx")


@pytest.mark.parametrize(
    ("item", "status"), [({"method": "HEAD"}, 200), ({"tail": "204"}, 204), ({"tail": "304"}, 304)]
)
def test_a_reply_without_a_body_has_none(
    gateway: Gateway, nginx: Nginx, item: Document, status: int
) -> None:
    tail = item.pop("tail", None)
    path = gateway.route(nginx, max_connections=1) + (f"/status/{tail}" if tail else "/files/hello.txt")

    replies = gateway.replies([{"path": path} | item] * 3)

    for reply in replies:
        assert reply["status"] == status
        assert "body" not in reply
    if "method" in item:
        assert replies[0]["headers"]["Content-Length"] == str(len(TEXT))


def test_an_empty_body_is_a_body(gateway: Gateway, scripted: StartScripted) -> None:
    path = gateway.route(scripted(each(lambda _: ok(b"")))) + "/x"

    assert gateway.reply(path)["body"] == ""


def test_repeated_headers_become_arrays(gateway: Gateway, nginx: Nginx) -> None:
    reply = gateway.reply(gateway.route(nginx) + "/twice")

    assert reply["headers"]["Set-Cookie"] == ["a=1", "b=2"]


def test_header_bytes_that_are_no_utf8(gateway: Gateway, scripted: StartScripted) -> None:
    raw = b"HTTP/1.1 200 OK\r\nX-Latin: gr\xfcn\r\nX-Utf: gr\xc3\xbcn\r\nContent-Length: 0\r\n\r\n"
    path = gateway.route(scripted(each(lambda _: raw))) + "/x"

    headers = gateway.reply(path)["headers"]

    assert (headers["X-Latin"], headers["X-Utf"]) == ("grün", "grün")


def test_hop_by_hop_headers_of_an_answer_end_here(gateway: Gateway, scripted: StartScripted) -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: timeout=5\r\nTrailer: X\r\nUpgrade: h2c\r\n"
        b"Proxy-Connection: close\r\nTransfer-Encoding: chunked\r\nX-Kept: 1\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    path = gateway.route(scripted(once(raw))) + "/x"

    assert gateway.reply(path) == {"status": 200, "reason": "OK", "headers": {"X-Kept": "1"}, "body": "ok"}


def test_cookies_stay_with_their_reply(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(lambda _: ok(b"", "Set-Cookie: session=1; Path=/")))
    path = gateway.route(upstream, max_connections=1) + "/x"

    gateway.replies([path] * 3)

    assert all(request.header("cookie") is None for request in upstream.requests)


# --- bodies that JSON cannot carry as they are


@pytest.mark.parametrize(
    "body", [bytes(range(256)), b"\xff", b"text \xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"]
)
def test_a_body_that_is_no_utf8_is_base64(gateway: Gateway, scripted: StartScripted, body: bytes) -> None:
    path = gateway.route(scripted(each(lambda _: ok(body)))) + "/x"

    reply = gateway.reply(path)

    assert reply["body_encoding"] == "base64"
    assert base64.b64decode(reply["body"]) == body


@pytest.mark.parametrize(
    "body", ['"\\\n\r\t\b\f\0\x1f\x7f', "☃ 🎉 zürich", "\u2028\u2029</script>", "\ufeff"]
)
def test_text_is_text(gateway: Gateway, scripted: StartScripted, body: str) -> None:
    path = gateway.route(scripted(each(lambda _: ok(body.encode())))) + "/x"

    reply = gateway.reply(path)

    assert reply["body"] == body
    assert "body_encoding" not in reply


# --- content codings


def _raw(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "identity": bytes,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_a_coded_body_is_decoded(gateway: Gateway, scripted: StartScripted, coding: str) -> None:
    coded = ok(CODINGS[coding](TEXT), f"content-encoding: {coding}", "Vary: x")
    path = gateway.route(scripted(each(lambda _: coded))) + "/x"

    reply = gateway.reply(path)

    assert reply["body"].encode() == TEXT
    names = {name.lower(): value for name, value in reply["headers"].items()}
    assert names["content-length"] == str(len(TEXT))
    assert coding == "identity" or "content-encoding" not in names


def test_raw_deflate_is_decoded(gateway: Gateway, scripted: StartScripted) -> None:
    coded = ok(_raw(TEXT), "Content-Encoding: deflate")
    path = gateway.route(scripted(each(lambda _: coded))) + "/x"

    assert gateway.reply(path)["body"].encode() == TEXT


def test_nginx_compresses_when_the_item_asks(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/gzip/hello.txt"

    reply = gateway.reply({"path": path, "headers": {"Accept-Encoding": "gzip"}})

    assert reply["headers"]["X-Seen-Accept-Encoding"] == "gzip"
    assert reply["body"].encode() == TEXT


def test_a_coding_nobody_knows_is_left_alone(gateway: Gateway, scripted: StartScripted) -> None:
    path = gateway.route(scripted(each(lambda _: ok(b"abc", "Content-Encoding: rot13")))) + "/x"

    reply = gateway.reply(path)

    assert reply["body"] == "abc"
    assert reply["headers"]["Content-Encoding"] == "rot13"


def test_binary_behind_a_coding_is_base64(gateway: Gateway, scripted: StartScripted) -> None:
    coded = ok(gzip.compress(b"\xff\xfe"), "Content-Encoding: gzip")
    path = gateway.route(scripted(each(lambda _: coded))) + "/x"

    reply = gateway.reply(path)

    assert (reply["body_encoding"], base64.b64decode(reply["body"])) == ("base64", b"\xff\xfe")


BROKEN = [
    ("gzip", b"this is no gzip"),
    ("gzip", gzip.compress(TEXT)[:-9]),
    ("gzip", gzip.compress(TEXT)[:10] + b"\xff" * 20),
    ("deflate", b"\xff\xff\xff\xff"),
    ("deflate", zlib.compress(TEXT)[:-5]),
    ("br", b"this is no brotli"),
    ("br", brotli.compress(TEXT)[:-3]),
    ("zstd", b"this is no zstd"),
    pytest.param("zstd", zstandard.compress(TEXT)[:-5], id="zstd-cut"),
    ("gzip, gzip", gzip.compress(TEXT)),
]


@pytest.mark.parametrize(("coding", "body"), BROKEN)
def test_a_broken_coding_is_that_items_error(
    gateway: Gateway, scripted: StartScripted, coding: str, body: bytes
) -> None:
    broken = ok(body, f"Content-Encoding: {coding}")
    fine = ok(b"fine")
    upstream = scripted(each(lambda request: broken if request.target.endswith("/broken") else fine))
    prefix = gateway.route(upstream)

    before, reply, after = gateway.replies([f"{prefix}/1", f"{prefix}/broken", f"{prefix}/2"])

    assert (before["body"], after["body"]) == ("fine", "fine")
    assert reply["status"] == 502
    assert "error_msg" in json.loads(reply["body"])


def test_a_part_of_a_coded_body_is_not_decoded(gateway: Gateway, scripted: StartScripted) -> None:
    """A range is one of the coded bytes: RFC 9110, section 14.2. Nobody could decode it alone."""
    part = gzip.compress(TEXT)[10:30]
    headers = ["Content-Encoding: gzip", "Content-Range: bytes 10-29/60"]
    answer = ok(part, *headers, status="206 Partial Content")
    path = gateway.route(scripted(each(lambda _: answer))) + "/x"

    reply = gateway.reply({"path": path, "headers": {"Range": "bytes=10-29"}})

    assert reply["status"] == 206
    assert base64.b64decode(reply["body"]) == part
    assert reply["headers"]["Content-Encoding"] == "gzip"


def test_an_empty_body_with_a_coding_is_empty(gateway: Gateway, scripted: StartScripted) -> None:
    """As servers send it that compress by a header and have nothing to say."""
    path = gateway.route(scripted(each(lambda _: ok(b"", "Content-Encoding: gzip")))) + "/x"

    reply = gateway.reply(path)

    assert (reply["status"], reply["body"]) == (200, "")


BOMB = b"\0" * 300 * 2**20


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_is_that_items_error(gateway: Gateway, scripted: StartScripted, coding: str) -> None:
    bomb = ok(_bomb(coding), f"Content-Encoding: {coding}")
    path = gateway.route(scripted(each(lambda _: bomb))) + "/x"
    before_kb = gateway.resident_kb()

    replies = gateway.replies([path] * 4)

    assert [reply["status"] for reply in replies] == [502] * 4
    assert "max_reply_size" in replies[0]["body"]
    assert gateway.resident_kb() - before_kb < 200_000  # not even one of them was decoded whole


def _bomb(coding: str) -> bytes:
    if coding == "gzip":
        return gzip.compress(BOMB, 1)
    if coding == "deflate":
        return zlib.compress(BOMB, 1)
    if coding == "br":
        return bytes(brotli.compress(BOMB, quality=1))
    return zstandard.compress(BOMB, 1)


def test_a_bomb_of_many_members_does_not_stop_the_gateway(
    gateway: Gateway, scripted: StartScripted
) -> None:
    """Two megabytes of empty gzip members: little to decode, much to walk through."""

    def bomb(request: Received) -> bytes:
        members = int(request.target.rpartition("/")[2])
        return ok(gzip.compress(b"") * members, "Content-Encoding: gzip")

    prefix = gateway.route(scripted(each(bomb)))

    def took_s(members: int) -> float:
        before_s = gateway.cpu_s()
        assert gateway.reply(f"{prefix}/{members}")["body"] == ""
        return gateway.cpu_s() - before_s

    few, many = (min(took_s(members) for _ in range(3)) for members in (10_000, 100_000))

    assert many < 40 * few  # if each member cost a copy of all that follows it, it would be 120 times


# --- limits


def test_a_reply_that_is_too_large_is_that_items_error(gateway: Gateway, scripted: StartScripted) -> None:
    def answer(request: Received) -> bytes:
        return ok(b"x" * int(request.target.rpartition("/")[2]))

    prefix = gateway.route(scripted(each(answer)))
    gateway.put("plugin_metadata", "batch-requests", {"max_reply_size": 1000})
    try:
        replies = gateway.replies([f"{prefix}/{size}" for size in (999, 1000, 1001, 5_000_000, 10)])
    finally:
        gateway.delete("plugin_metadata", "batch-requests")

    assert [reply["status"] for reply in replies] == [200, 200, 502, 502, 200]
    assert "max_reply_size" in json.loads(replies[2]["body"])["error_msg"]


def test_replies_together_are_bounded(gateway: Gateway, scripted: StartScripted) -> None:
    prefix = gateway.route(scripted(each(lambda _: ok(b"x" * 10_000))), max_connections=1)
    gateway.put("plugin_metadata", "batch-requests", {"max_response_size": 55_000})
    try:
        replies = gateway.replies([f"{prefix}/{number}" for number in range(20)])
    finally:
        gateway.delete("plugin_metadata", "batch-requests")

    statuses = [reply["status"] for reply in replies]
    assert statuses == [200] * 5 + [502] * 15
    assert "max_response_size" in json.loads(replies[-1]["body"])["error_msg"]


# --- the outer response


def test_replies_say_how_long_they_took_when_asked(gateway: Gateway, scripted: StartScripted) -> None:
    path = gateway.route(scripted(slowly(0.1))) + "/x"
    started = time.monotonic()

    answer = gateway.batch([path, "/none", path], {"Prefer": "item-durations"})

    assert answer.header("preference-applied") == "item-durations"
    slow, quick, _ = (reply["duration_ms"] for reply in answer.json())
    assert 99 <= slow <= (time.monotonic() - started) * 1000
    assert quick < slow  # which began before it and ended behind it
    assert "duration_ms" not in gateway.reply(path)


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "*", "GZIP"])
def test_the_response_is_compressed_for_who_accepts_it(
    gateway: Gateway, nginx: Nginx, accepted: str
) -> None:
    path = gateway.route(nginx) + "/files/hello.txt"

    plain = gateway.batch([path] * 3)
    coded = gateway.batch([path] * 3, {"Accept-Encoding": accepted})

    assert plain.header("content-encoding") is None
    assert coded.header("content-encoding") == "gzip"
    assert len(coded.body) < len(plain.body) / 2
    replies = json.loads(gzip.decompress(coded.body))
    assert [reply["body"] for reply in replies] == [reply["body"] for reply in plain.json()]
    for answer in (plain, coded):
        assert answer.header("vary") == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["identity", "br", "gzip;q=0", "gzip;q=0, *", "", "gzip;q=x"])
def test_the_response_is_not_compressed_for_others(gateway: Gateway, nginx: Nginx, accepted: str) -> None:
    path = gateway.route(nginx) + "/files/hello.txt"

    assert len(gateway.batch([path] * 3, {"Accept-Encoding": accepted}).json()) == 3


def test_a_small_response_is_not_compressed(gateway: Gateway) -> None:
    answer = gateway.batch(["/x"], {"Accept-Encoding": "gzip"})

    assert answer.header("content-encoding") is None


def test_the_response_says_that_it_is_json(gateway: Gateway) -> None:
    answer = gateway.batch(["/x"])

    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") == str(len(answer.body))
