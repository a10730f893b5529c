"""A gateway process of its own: its config file, its store, its log."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from .ports import free_port
from .waiting import PATIENCE_S, wait
from .wire import Address, Answer, Headers, fetch

START_S = 20.0
STOP_S = 20.0
KEY = "integration-admin-key"
VIEWER_KEY = "integration-viewer-key"
BATCH = "/apisix/batch-requests"
TRACEBACK = "Traceback (most recent call last)"

Document = dict[str, Any]
_numbers = itertools.count(1)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Document:
    """`base` with `changes` in it, mapping by mapping; a change to None takes the key out."""
    result = dict(base)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def nodes(*upstreams: Any) -> Document:
    """`nodes` of an upstream resource: each of `upstreams` has an `address`, or is one."""
    addresses = [getattr(one, "address", one) for one in upstreams]
    return {f"{host}:{port}": 1 for host, port in addresses}


class Gateway:
    """`python -m batchway serve` in `directory`, on free ports."""

    def __init__(self, directory: Path, changes: Document | None = None) -> None:
        self.directory = directory
        self.data: Address = ("127.0.0.1", free_port())
        self.admin_address: Address = ("127.0.0.1", free_port())
        self.control: Address = ("127.0.0.1", free_port())
        self.metrics: Address = ("127.0.0.1", free_port())
        self.config = merged(self._basics(), changes or {})
        self.config_path = directory / "conf" / "config.yaml"
        self.log_path = directory / "stderr.log"
        self.key = KEY
        self.environment: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def _basics(self) -> Document:
        admin_host, admin_port = self.admin_address
        keys = [
            {"name": "admin", "key": KEY, "role": "admin"},
            {"name": "viewer", "key": VIEWER_KEY, "role": "viewer"},
        ]
        return {
            "apisix": {
                "node_listen": [{"ip": self.data[0], "port": self.data[1]}],
                "control": {"ip": self.control[0], "port": self.control[1]},
            },
            "plugin_attr": {
                "prometheus": {"export_addr": {"ip": self.metrics[0], "port": self.metrics[1]}}
            },
            "deployment": {
                "admin": {"admin_listen": {"ip": admin_host, "port": admin_port}, "admin_key": keys}
            },
            "batchway": {"expose_batch": True, "store": {"path": str(self.directory / "batchway.db")}},
        }

    @property
    def data_url(self) -> str:
        """Where clients send requests."""
        return "http://{}:{}".format(*self.data)

    @property
    def admin_url(self) -> str:
        """Where routes are made."""
        return "http://{}:{}".format(*self.admin_address)

    # --- the process

    def write_config(self, changes: Document | None = None) -> None:
        """Write the config file, with `changes` from now on."""
        self.config = merged(self.config, changes or {})
        self.config_path.parent.mkdir(parents=True, exist_ok=True)
        whole = self.config_path.with_suffix(".new")
        whole.write_text(yaml.safe_dump(self.config))
        whole.replace(self.config_path)  # at once: a reload may be reading it

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process, ready or not."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "batchway", "serve", "--config", str(self.config_path)],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
            )
        return self.process

    def start(self) -> "Gateway":
        """Start the process and wait until it is healthy."""
        self.write_config()
        self.spawn()
        self.wait_healthy()
        return self

    def wait_healthy(self) -> None:
        """Return as soon as /healthz says so."""
        give_up = time.monotonic() + START_S
        while not self.healthy():
            assert self.running().poll() is None, f"ended: {self.log()}"
            assert time.monotonic() < give_up, f"not healthy: {self.log()}"
            time.sleep(0.02)

    def healthy(self) -> bool:
        """Whether the admin listener answers /healthz."""
        try:
            return fetch(self.admin_address, "GET", "/healthz", timeout_s=5).status == 200
        except OSError:
            return False

    def running(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self.process is not None
        return self.process

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.running().send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it in good order; its exit code."""
        if self.running().poll() is None:
            self.send_signal(number)
        try:
            return self.running().wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """kill -9, without any order."""
        self.running().kill()
        self.running().wait(STOP_S)

    def log(self) -> str:
        """All lines that it has written. One may be coming just now: it is left out until it is whole."""
        written = self.log_path.read_bytes() if self.log_path.exists() else b""
        return written[: written.rfind(b"\n") + 1].decode()

    def log_lines(self, part: str) -> list[str]:
        """The lines of its log with `part` in them."""
        return [line for line in self.log().splitlines() if part in line]

    def wait_log(self, part: str, count: int = 1, timeout_s: float = PATIENCE_S) -> None:
        """Return as soon as that many lines have `part` in them."""
        try:
            wait(lambda: len(self.log_lines(part)) >= count, repr(part), timeout_s)
        except AssertionError as late:
            raise AssertionError(f"{late} in: {self.log()}") from None

    def reload(self, changes: Document | None = None) -> None:
        """SIGHUP with `changes` in the config; returns when they hold."""
        before = len(self.log_lines("configuration reloaded"))
        self.write_config(changes)
        self.send_signal(signal.SIGHUP)
        self.wait_log("configuration reloaded", before + 1)

    def resident_kb(self) -> int:
        """Memory that the process has now."""
        return self._memory_kb("VmRSS")

    def peak_kb(self) -> int:
        """The most memory that it ever had."""
        return self._memory_kb("VmHWM")

    def _memory_kb(self, what: str) -> int:
        status = Path(f"/proc/{self.running().pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        assert found
        return int(found[1])

    def cpu_s(self) -> float:
        """The time for which it has had a core, however busy the machine was."""
        return time.clock_gettime(~self.running().pid << 3 | 2)  # its clock: clock_getcpuclockid(3)

    def open_files(self) -> int:
        """How many descriptors it has open: its connections, mostly."""
        return len(os.listdir(f"/proc/{self.running().pid}/fd"))

    # --- the Admin API

    def admin(self, method: str, path: str, document: object = None, key: str | None = None) -> Answer:
        """The answer to a request under /apisix/admin."""
        body = None if document is None else json.dumps(document)
        headers = {"X-API-KEY": self.key if key is None else key}
        return fetch(self.admin_address, method, f"/apisix/admin{path}", body, headers)

    def put(self, kind: str, name: str, document: Document) -> None:
        """Make or replace a resource."""
        answer = self.admin("PUT", f"/{kind}/{name}", document)
        assert answer.status in (200, 201), answer

    def delete(self, kind: str, name: str) -> None:
        """Delete a resource."""
        answer = self.admin("DELETE", f"/{kind}/{name}")
        assert answer.status == 200, answer

    def route(self, upstream: object, /, **fields: Any) -> str:
        """The prefix of a new route to `upstream`: a server of ours, or an upstream's document.

        `fields` are the upstream's. Requests to anything below the prefix go there.
        """
        document = upstream if isinstance(upstream, dict) else {"nodes": nodes(upstream)}
        name = f"r{next(_numbers)}"
        self.put("routes", name, {"uri": f"/{name}/*", "upstream": document | fields})
        return f"/{name}"

    # --- the data plane

    def fetch(
        self,
        target: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Headers | None = None,
    ) -> Answer:
        """The answer to a plain request."""
        return fetch(self.data, method, target, body, headers)

    def post_batch(self, body: bytes | str, headers: Headers | None = None, uri: str = BATCH) -> Answer:
        """The answer to a batch, given as it goes on the wire."""
        return fetch(self.data, "POST", uri, body, headers)

    def batch(self, document: object, headers: Headers | None = None, uri: str = BATCH) -> Answer:
        """The answer to a batch; a list is its pipeline, and strings in it are paths."""
        if isinstance(document, list):
            document = {"pipeline": [{"path": one} if isinstance(one, str) else one for one in document]}
        return self.post_batch(json.dumps(document), headers, uri)

    def replies(self, document: object, headers: Headers | None = None) -> list[Document]:
        """The replies to a batch that is expected to be run."""
        answer = self.batch(document, headers)
        assert answer.status == 200, answer
        replies: list[Document] = answer.json()
        return replies

    def reply(self, item: Document | str, headers: Headers | None = None) -> Document:
        """The reply to a batch of one."""
        (reply,) = self.replies([item], headers)
        return reply
