"""A service that takes orders. For docs/getting-started.md; run `python3 orders.py 1982`.

Whose orders they are the gateway says, in `X-Consumer-Username`.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ORDERS = [{"id": 1, "by": "ada", "what": "tea"}, {"id": 2, "by": "grace", "what": "honey"}]


class Orders(BaseHTTPRequestHandler):
    """Everybody's own orders, in memory."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        """The orders of who asks."""
        self._answer(200, [order for order in ORDERS if order["by"] == self._user()])

    def do_POST(self) -> None:
        """Take an order: the body says what."""
        what = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        ORDERS.append({"id": len(ORDERS) + 1, "by": self._user(), "what": what})
        self._answer(201, ORDERS[-1])

    def _user(self) -> str:
        return self.headers.get("X-Consumer-Username", "")

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the gateway's access log does."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Orders).serve_forever()
