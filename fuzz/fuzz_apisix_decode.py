"""Any bytes as a batch: requests that can be put on the wire, or a refusal; never anything else.

python fuzz/fuzz_apisix_decode.py -max_total_time=60
"""

import json
import sys
from pathlib import Path
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports():
    from batchway.errors import BatchRefused
    from batchway.formats import apisix
    from batchway.model import Budget, Headers, Limits, Origin, Ready

from tests.formats import wire

LIMITS = Limits(max_body_size=4096, max_pipeline_items=8)
ORIGIN = Origin("192.0.2.7")
METHODS = [*sorted(wire.METHODS), "get", ""]
NAMES = "X-A Host Content-Length X_Real-IP Proxy-X TE Cookie x-forwarded_for é".split() + [""]
VERSIONS: list[Any] = [1.0, 1.1, "1.0", "1.1", 1, 2, "", None, True]


class Builder:
    """A batch that is near enough to a valid one to get far."""

    def __init__(self, data: atheris.FuzzedDataProvider) -> None:
        self.data = data

    def maybe(self) -> bool:
        return bool(self.data.ConsumeBool())

    def text(self) -> str:
        return str(self.data.ConsumeUnicodeNoSurrogates(self.data.ConsumeIntInRange(0, 12)))

    def scalar(self) -> Any:
        match self.data.ConsumeIntInRange(0, 6):
            case 0:
                return None
            case 1:
                return self.maybe()
            case 2:
                return self.data.ConsumeInt(12)
            case 3:
                return self.data.ConsumeRegularFloat()
            case _:
                return self.text()

    def value(self, depth: int = 2) -> Any:
        kind = self.data.ConsumeIntInRange(0, 5) if depth else 5
        if kind == 0:
            return [self.value(depth - 1) for _ in range(self.data.ConsumeIntInRange(0, 3))]
        if kind == 1:
            return {self.text(): self.value(depth - 1) for _ in range(self.data.ConsumeIntInRange(0, 2))}
        return self.scalar()

    def query(self) -> Any:
        return {self.text(): self.value() for _ in range(self.data.ConsumeIntInRange(0, 3))}

    def headers(self) -> Any:
        count = self.data.ConsumeIntInRange(0, 3)
        return {self.data.PickValueInList(NAMES) + self.text()[:2]: self.value() for _ in range(count)}

    def item(self) -> Any:
        item: dict[str, Any] = {"path": self.text() if self.maybe() else "/" + self.text()}
        for key, make in (
            ("query", self.query),
            ("headers", self.headers),
            ("body", self.text),
            ("method", lambda: self.data.PickValueInList(METHODS)),
            ("version", lambda: self.data.PickValueInList(VERSIONS)),
            ("ssl_verify", self.maybe),
        ):
            if self.maybe():
                item[key] = make()
        return item

    def batch(self) -> bytes:
        batch: dict[str, Any] = {
            "pipeline": [self.item() for _ in range(self.data.ConsumeIntInRange(0, 4))]
        }
        for key, make in (("query", self.query), ("headers", self.headers), ("timeout", self.scalar)):
            if self.maybe():
                batch[key] = make()
        return json.dumps(batch, ensure_ascii=self.maybe()).encode()


def check(body: bytes) -> None:
    """Raises unless `body` is refused, or becomes requests that can be sent and a timeout that holds."""
    try:
        batch = apisix.decode(body, Headers(), ORIGIN, LIMITS)
    except BatchRefused as error:
        json.loads(apisix.encode_reply(error, Budget(max_reply_size=1, max_response_size=1)))
        return
    if not 1 <= len(batch.items) <= LIMITS.max_pipeline_items or not 0 < batch.timeout_s <= 300:
        raise AssertionError(batch)
    given = json.loads(body)["pipeline"]
    for item, asked in zip(batch.items, given, strict=True):
        if isinstance(item, Ready):
            if asked["path"].startswith("/"):
                raise AssertionError(item)
            continue
        wire.check(item)
        if item.method != asked.get("method", "GET") or item.body != asked.get("body", "").encode():
            raise AssertionError(item)


def one_input(raw: bytes) -> None:
    data = atheris.FuzzedDataProvider(raw)
    if data.ConsumeBool():
        check(Builder(data).batch())
    else:
        check(data.ConsumeBytes(data.remaining_bytes()))


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
