"""A client that trusts no answer: any that is not as it must be ends the bench."""

import http.client
import json
import re
from collections.abc import Mapping
from http import HTTPStatus

from bench.errors import BenchError

BATCH_PATH = "/apisix/batch-requests"
ITEM_OK = re.compile(rb'"status": ?200\b')


def batch_of(items: int, path: str) -> bytes:
    """A batch of that many plain GETs."""
    return json.dumps({"pipeline": [{"path": path}] * items}).encode()


class Client:
    """One connection that is kept. Raises BenchError for any answer but 2xx, and for none."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)
        self.response_bytes = 0
        """How long the last answer was on the wire."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of the answer."""
        try:
            self._connection.request(method, path, body, dict(headers or {}))
            response = self._connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BenchError(f"{method} {path}: {error!r}") from error
        if response.status not in (HTTPStatus.OK, HTTPStatus.CREATED):
            raise BenchError(f"{method} {path}: {response.status} {answer[:500]!r}")
        lines = (len(name) + len(value) + 4 for name, value in response.getheaders())
        self.response_bytes = len(f"HTTP/1.1 200 {response.reason}\r\n\r\n") + sum(lines)
        self.response_bytes += len(answer)
        return answer

    def check_batch(self, items: int, path: str) -> None:
        """Send a batch and read its answer to the last reply."""
        replies = json.loads(self.send("POST", BATCH_PATH, batch_of(items, path)))
        if len(replies) != items:
            raise BenchError(f"{len(replies)} replies to {items} items")
        for reply in replies:
            if reply["status"] != HTTPStatus.OK or reply["body"] != "ok\n":
                raise BenchError(f"not the reply of the upstream: {reply}")

    def send_batch(self, batch: bytes, items: int) -> None:
        """Send a batch and count the replies that are 200: a check that costs little."""
        answer = self.send("POST", BATCH_PATH, batch)
        count = len(ITEM_OK.findall(answer))
        if count != items:
            raise BenchError(f"{count} of {items} replies are 200: {answer[:2000]!r}")
