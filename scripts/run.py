"""The main job in one command: a gateway, an upstream, two routes, and a curl to paste.

Called by run.sh, from the top folder. Whatever ends it also ends what it started.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from batchway.config import Settings, load
from batchway.errors import ConfigError

CONFIG = Path("run/config.yaml")
UPSTREAM_PORT = int(os.environ.get("UPSTREAM_PORT", "1980"))
START_S = 30.0
DRAIN_S = 40.0

UPSTREAM_NODES = {"type": "roundrobin", "nodes": {f"127.0.0.1:{UPSTREAM_PORT}": 1}}
ROUTES: dict[str, dict[str, Any]] = {
    "users": {"uri": "/users/*", "methods": ["GET"], "upstream": UPSTREAM_NODES},
    "shop": {"uris": ["/orders", "/echo", "/slow"], "upstream": UPSTREAM_NODES},
}

HELLO = """
batchway is running: four requests in one, one of which has no user to find. In another terminal:

curl -s http://{host}/apisix/batch-requests --data '{{
  "headers": {{"Content-Type": "application/json"}},
  "pipeline": [
    {{"path": "/users/1"}},
    {{"path": "/orders", "query": {{"user": "1"}}}},
    {{"method": "POST", "path": "/echo", "body": "{{\\"hello\\": \\"batch\\"}}"}},
    {{"path": "/users/999"}}
  ]
}}' | python3 -m json.tool

Each of them alone: curl http://{host}/users/1
Routes, with the key from {config}: curl http://{admin}/apisix/admin/routes -H "X-API-KEY: ..."
Ctrl-C stops all of it.
"""


class RunError(Exception):
    """The example cannot run, or has stopped running."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Child:
    """A process of ours, in a group of its own so that Ctrl-C reaches it only through us."""

    def __init__(self, name: str, *command: str) -> None:
        self.name = name
        self.process = subprocess.Popen(command, process_group=0)

    def check(self) -> None:
        """Raise RunError if it is no longer there."""
        code = self.process.poll()
        if code is not None:
            raise RunError(f"the {self.name} has ended ({code}), and so does this", max(code, 1))

    def stop(self) -> None:
        """End it in good order, or at once when that takes too long or a second Ctrl-C comes."""
        self.process.terminate()
        try:
            self.process.wait(DRAIN_S)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def request(host: str, method: str, path: str, document: object = None, key: str = "") -> tuple[int, str]:
    """Status and body of one answer. Raises OSError if there is none."""
    connection = http.client.HTTPConnection(host, timeout=5)
    with contextlib.closing(connection):
        body = None if document is None else json.dumps(document)
        connection.request(method, path, body, {"X-API-KEY": key} if key else {})
        response = connection.getresponse()
        return response.status, response.read().decode()


def is_up(host: str, path: str) -> bool:
    """Whether that address answers 200."""
    try:
        return request(host, "GET", path)[0] == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False


@contextlib.contextmanager
def running(name: str, host: str, path: str, *command: str) -> Iterator[Child]:
    """A child that answers there, for as long as the block lasts.

    Raises RunError if it ends first or takes too long. Where another process answers already, ours
    will find its port taken, and say so: the other one is left alone.
    """
    taken = is_up(host, path)
    give_up = time.monotonic() + START_S
    child = Child(name, *command)
    try:
        while taken or not is_up(host, path):
            child.check()
            if time.monotonic() > give_up:
                raise RunError(f"the {name} does not answer on http://{host}{path}")
            time.sleep(0.05)
        yield child
    finally:
        child.stop()


def read_config() -> Settings:
    """What run/config.yaml says, with the values of the environment in it."""
    return load(CONFIG, known_plugins=(), environ=os.environ).settings


def make_routes(admin: str, key: str) -> None:
    """Put the routes of the example. Raises RunError if one is refused."""
    for name, route in ROUTES.items():
        status, body = request(admin, "PUT", f"/apisix/admin/routes/{name}", route, key)
        if status not in (http.HTTPStatus.OK, http.HTTPStatus.CREATED):
            raise RunError(f"the Admin API refused the route {name}: {status} {body}")


def run(gateway_command: str) -> None:
    """Start all of it, say how to use it, and watch over it until a signal comes."""
    settings = read_config()
    host, admin = str(settings.node_listen[0]), str(settings.admin_listen)
    upstream = running(
        "upstream",
        f"127.0.0.1:{UPSTREAM_PORT}",
        "/users/1",
        sys.executable,
        "examples/upstream.py",
        f"--port={UPSTREAM_PORT}",
    )
    gateway = running("gateway", admin, "/healthz", gateway_command, "serve", "--config", str(CONFIG))
    with upstream as first, gateway as second:
        make_routes(admin, read_config().admin_keys[0].key)  # by now there is one
        sys.stdout.write(HELLO.format(host=host, admin=admin, config=CONFIG))
        sys.stdout.flush()
        while True:
            time.sleep(0.2)
            first.check()
            second.check()


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Make any signal that ends us the same as Ctrl-C."""
    raise KeyboardInterrupt


def main() -> int:
    """Run until stopped; the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        run(sys.argv[1] if len(sys.argv) > 1 else str(Path(sys.executable).with_name("batchway")))
    except KeyboardInterrupt:
        return 0
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    except RunError as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    return 1


if __name__ == "__main__":
    sys.exit(main())
