"""A service with two users. For docs/getting-started.md; run `python3 users.py 1981`."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USERS = {
    "/users/1": {"id": 1, "name": "Ada"},
    "/users/2": {"id": 2, "name": "Grace"},
}


class Users(BaseHTTPRequestHandler):
    """Answers in JSON."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        """A user, or 404."""
        user = USERS.get(self.path)
        document = {"error": "no such user"} if user is None else user
        body = json.dumps(document).encode()
        self.send_response(404 if user is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the gateway's access log does."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Users).serve_forever()
