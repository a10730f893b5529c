"""The golden cases in golden/apisix: a batch in, requests or a refusal out; a response in, its reply out.

A request is written as HTTP would: request line, headers, an empty line and the body, if there are any.
"""

from base64 import b64decode
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from msgspec import Struct

from batchway import errors
from batchway.errors import BatchRefused, BatchwayError
from batchway.formats import apisix
from batchway.model import Budget, Headers, Limits, Origin, Ready, Request, Response

GOLDEN = Path(__file__).parent / "golden" / "apisix"
ORIGIN = Origin("192.0.2.7", "https", "outer.example", 9443)


class DecodeCase(Struct, forbid_unknown_fields=True):
    name: str
    batch: str = ""
    batch_latin1: str = ""
    outer: list[tuple[str, str]] = []
    limits: Limits = Limits()
    requests: list[str] = []
    refused: str = ""
    timeout_s: float | None = None
    why: str = ""


class Answer(Struct, forbid_unknown_fields=True):
    status: int
    reason: str
    headers: list[tuple[str, str]] = []
    headers_latin1: list[tuple[str, str]] = []
    body: str | None = None
    body_base64: str | None = None

    def response(self) -> Response:
        pairs = [(name.encode(), value.encode()) for name, value in self.headers]
        pairs += [(name.encode(), value.encode("latin-1")) for name, value in self.headers_latin1]
        body = None if self.body is None else self.body.encode()
        if self.body_base64 is not None:
            body = b64decode(self.body_base64, validate=True)
        return Response(self.status, self.reason, pairs, body)


class EncodeCase(Struct, forbid_unknown_fields=True):
    name: str
    reply: str
    response: Answer | None = None
    error: str = ""
    message: str | None = None
    limits: Limits = Limits()
    why: str = ""


Case = TypeVar("Case", DecodeCase, EncodeCase)


def load(folder: str, kind: type[Case]) -> list[Case]:
    files = sorted((GOLDEN / folder).glob("*.yaml"))
    documents = [msgspec.yaml.decode(file.read_bytes()) for file in files]
    return [msgspec.convert(case, kind) for document in documents for case in document]


DECODED = load("decode", DecodeCase)
ENCODED = load("encode", EncodeCase)


def shown(item: Request | Ready[Response]) -> str:
    if isinstance(item, Ready):
        assert isinstance(item.result, BatchwayError)
        return f"{item.result.status} {item.result.code} {item.result.message}"
    assert isinstance(item.body, bytes)
    target = f"{item.path}?{item.query}" if item.query else item.path
    lines = [f"{item.method} {target}"]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in item.headers.pairs]
    head = "\n".join(lines)
    return f"{head}\n\n{item.body.decode()}" if item.body else head


def decode(case: DecodeCase) -> apisix.Batch:
    body = case.batch_latin1.encode("latin-1") or case.batch.encode()
    outer = Headers([(name.encode(), value.encode()) for name, value in case.outer])
    return apisix.decode(body, outer, ORIGIN, case.limits)


@pytest.mark.parametrize("case", [case for case in DECODED if not case.refused], ids=lambda case: case.name)
def test_batch_becomes_requests(case: DecodeCase) -> None:
    batch = decode(case)
    assert [shown(item) for item in batch.items] == case.requests
    if case.timeout_s is not None:
        assert batch.timeout_s == case.timeout_s


@pytest.mark.parametrize("case", [case for case in DECODED if case.refused], ids=lambda case: case.name)
def test_batch_is_refused(case: DecodeCase) -> None:
    with pytest.raises(BatchRefused) as refused:
        decode(case)
    error = refused.value
    told = f"{error.status} {error.code}: {error.message}"
    if case.refused.endswith("..."):
        told = told[: len(case.refused) - 3] + "..."
    assert told == case.refused


@pytest.mark.parametrize("case", ENCODED, ids=lambda case: case.name)
def test_reply_is_written(case: EncodeCase) -> None:
    budget = Budget(
        max_reply_size=case.limits.max_reply_size, max_response_size=case.limits.max_response_size
    )
    result: Response | BatchwayError
    if case.response is not None:
        result = case.response.response()
        if isinstance(result.body, bytes):
            budget.take(len(result.body))  # as the target does that has read it
    else:
        kind = getattr(errors, case.error)
        result = kind() if case.message is None else kind(case.message)
    reply = apisix.encode_reply(result, budget)
    assert reply.decode() == case.reply
    msgspec.json.decode(reply)


def test_every_case_is_read() -> None:
    assert len(DECODED) + len(ENCODED) >= 148
    assert all(bool(case.requests) != bool(case.refused) for case in DECODED)
    assert all((case.response is None) == bool(case.error) for case in ENCODED)
