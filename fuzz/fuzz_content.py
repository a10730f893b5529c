"""Any reply of an upstream: valid JSON that says what the reply said, within its bounds.

Bodies come as they are, compressed, compressed and then damaged, or as garbage said to be compressed.

python fuzz/fuzz_content.py -max_total_time=60
"""

import gzip
import json
import sys
import zlib
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import atheris
import brotli
import zstandard

with atheris.instrument_imports():
    from batchway.errors import ReplyTooLarge
    from batchway.formats import apisix, content
    from batchway.model import Budget, Response

MAX_REPLY_BYTES = 2000
MAX_RESPONSE_BYTES = 13_000  # what MAX_REPLY_BYTES may take as JSON: \u0000 for each byte
CODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
NAMES = [*CODERS, "x-gzip", "identity", "", "unknown"]


def expect(held: bool, what: object) -> None:
    if not held:
        raise AssertionError(what)


def body_of(reply: dict[str, Any]) -> bytes:
    body: str = reply["body"]
    return b64decode(body, validate=True) if reply.get("body_encoding") == "base64" else body.encode()


def encode(body: bytes | None, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """The reply, read back; its bytes and the budget checked."""
    budget = Budget(max_reply_size=MAX_REPLY_BYTES, max_response_size=MAX_RESPONSE_BYTES)
    budget.take(len(body or b""))
    written = apisix.encode_reply(Response(200, "OK", headers, body), budget)
    reply: dict[str, Any] = json.loads(written.decode())
    expect(budget.remaining >= 0, budget.remaining)
    if reply["status"] == 502:
        expect(budget.remaining == MAX_RESPONSE_BYTES, "a failed reply costs nothing")
    else:
        spent = MAX_RESPONSE_BYTES - budget.remaining
        expect(spent == max(len(written), len(body or b"")), "a reply costs what it takes")
    return reply


def check_coded(data: atheris.FuzzedDataProvider) -> None:
    """What was compressed comes back, or is too large; what was damaged never comes back."""
    names = [data.PickValueInList(list(CODERS)) for _ in range(data.ConsumeIntInRange(1, 3))]
    cut = data.ConsumeIntInRange(0, 40)
    times = data.ConsumeIntInRange(1, 400)
    plain = data.ConsumeBytes(60) * times
    coded = plain
    for name in names:
        coded = CODERS[name](coded)
    coding = ", ".join(names)
    if cut and names[-1] != "deflate":
        check_broken(coded[:-cut], coding)
        return
    reply = encode(coded, [(b"Content-Encoding", coding.encode()), (b"Content-Length", b"0")])
    if reply["status"] == 502:
        expect(len(plain) > MAX_REPLY_BYTES - 200, "it would have fitted")
    else:
        expect(body_of(reply) == plain, "another body")
        expect(reply["headers"] == {"Content-Length": str(len(plain))}, reply["headers"])


def check_broken(coded: bytes, coding: str) -> None:
    """A body that is cut short is an error, unless nothing at all is left of it."""
    try:
        decoded = content.decode(coded, coding, MAX_REPLY_BYTES)
    except (content.Undecodable, ReplyTooLarge):
        return
    expect(not coded and decoded == b"", "half a body passes for a whole one")


def check_anything(data: atheris.FuzzedDataProvider) -> None:
    coding = ", ".join(data.PickValueInList(NAMES) for _ in range(data.ConsumeIntInRange(0, 4)))
    limit = data.ConsumeIntInRange(0, MAX_REPLY_BYTES)
    body = data.ConsumeBytes(data.remaining_bytes())
    try:
        decoded = content.decode(body, coding, limit)
    except (content.Undecodable, ReplyTooLarge):
        return
    if decoded is None:
        expect("unknown" in coding or coding.count(",") > 2, coding)
    elif decoded != body:
        expect(len(decoded) <= limit, "over its limit")


def check_headers(data: atheris.FuzzedDataProvider) -> None:
    """Header names and values of any bytes; no coding, so that the body must come back as it is."""
    count = data.ConsumeIntInRange(0, 5)
    pairs = [(data.ConsumeBytes(4), data.ConsumeBytes(8)) for _ in range(count)]
    has_body = data.ConsumeBool()
    body = data.ConsumeBytes(600) if has_body else None
    reply = encode(body, pairs)
    expect(reply["status"] == 200, reply)
    if body is None:
        expect("body" not in reply, reply)
    else:
        expect(body_of(reply) == body, reply)
    values: list[str] = []
    for value in reply["headers"].values():
        values += [value] if isinstance(value, str) else value
    expect(len(values) == count, values)


def one_input(raw: bytes) -> None:
    data = atheris.FuzzedDataProvider(raw)
    data.PickValueInList([check_coded, check_anything, check_headers])(data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
