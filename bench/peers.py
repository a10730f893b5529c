"""The servers of a bench: an upstream that costs next to nothing, one that is slow, three in front.

The gateways under test share one core, the upstreams and the load have the other.
"""

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.client import Client
from bench.errors import BenchError
from bench.processes import Server, free_ports, running

FAST, SLOW = "/fast", "/slow"
SLOW_MS = 20

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  default_type text/plain;
  keepalive_requests 1000000000;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  {servers}
}}
"""
NGINX_UPSTREAM = """
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ return 200 "ok\\n"; }}
    location = /served {{ stub_status; }}
  }}
"""
NGINX_PROXY = """
  upstream fast {{
    server 127.0.0.1:{upstream};
    keepalive 256;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://fast;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }}
  }}
"""


@dataclass(frozen=True)
class Bed:
    """Where the bench runs: a folder for configuration and logs, and two cores."""

    folder: Path
    gateway_core: int
    load_core: int

    @classmethod
    def make(cls, folder: Path) -> "Bed":
        """The first two cores that this process may use. Raises BenchError if there is only one."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise BenchError("two cores are needed: one for the gateway, one for the load")
        return cls(folder, cores[0], cores[1])


@contextlib.contextmanager
def upstream(bed: Bed) -> Iterator[Server]:
    """nginx with an answer of three bytes to everything; /served counts what it has answered."""
    (port,) = free_ports(1)
    with _nginx(bed, "upstream", NGINX_UPSTREAM.format(port=port), port, bed.load_core) as server:
        yield server


@contextlib.contextmanager
def slow_upstream(bed: Bed) -> Iterator[Server]:
    """An upstream that answers what has "slow" in its target after 20 ms, and all else at once."""
    (port,) = free_ports(1)
    command = [
        *(sys.executable, "-m", "bench.slow_upstream"),
        *("--port", str(port), "--delay-ms", str(SLOW_MS)),
    ]
    log = bed.folder / "slow-upstream.log"
    with running("slow upstream", command, core=bed.load_core, port=port, log=log) as server:
        yield server


@contextlib.contextmanager
def nginx(bed: Bed, fast: Server) -> Iterator[Server]:
    """nginx as a plain proxy, with connections to the upstream kept."""
    (port,) = free_ports(1)
    servers = NGINX_PROXY.format(port=port, upstream=fast.port)
    with _nginx(bed, "nginx", servers, port, bed.gateway_core) as server:
        yield server


@contextlib.contextmanager
def naive(bed: Bed, behind: Server) -> Iterator[Server]:
    """The naive aggregator in front of one upstream."""
    (port,) = free_ports(1)
    command = [
        *(sys.executable, "-m", "bench.naive_aiohttp"),
        *("--port", str(port), "--upstream", f"http://{behind.address}"),
    ]
    log = bed.folder / f"naive-{port}.log"
    with running("naive", command, core=bed.gateway_core, port=port, log=log) as server:
        yield server


@contextlib.contextmanager
def batchway(bed: Bed, fast: Server, slow: Server) -> Iterator[Server]:
    """batchway with a route to each upstream."""
    port, admin_port = free_ports(2)
    key = secrets.token_hex(16)
    config = {
        "apisix": {"node_listen": [{"ip": "127.0.0.1", "port": port}]},
        "deployment": {
            "admin": {
                "admin_listen": {"ip": "127.0.0.1", "port": admin_port},
                "admin_key": [{"name": "admin", "key": key, "role": "admin"}],
            }
        },
        "plugins": ["batch-requests", "public-api"],
        "batchway": {"expose_batch": True, "store": {"path": str(bed.folder / "batchway.db")}},
    }
    path = bed.folder / "batchway.yaml"
    path.write_text(json.dumps(config))  # JSON is YAML
    command = [sys.executable, "-m", "batchway", "serve", "--config", str(path)]
    log = bed.folder / "batchway.log"
    with running(
        "batchway", command, core=bed.gateway_core, port=port, log=log, wait_for=admin_port
    ) as server:
        _make_routes(admin_port, key, {FAST: fast, SLOW: slow})
        yield server


def _make_routes(admin_port: int, key: str, upstreams: dict[str, Server]) -> None:
    with contextlib.closing(Client(f"127.0.0.1:{admin_port}")) as client:
        for uri, server in upstreams.items():
            nodes = {"type": "roundrobin", "nodes": {server.address: 1}}
            route = json.dumps({"uri": uri, "upstream": nodes}).encode()
            client.send("PUT", f"/apisix/admin/routes{uri}", route, {"X-API-KEY": key})


@contextlib.contextmanager
def _nginx(bed: Bed, name: str, servers: str, port: int, core: int) -> Iterator[Server]:
    folder = bed.folder / name
    folder.mkdir()
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, servers=servers))
    command = ["nginx", "-p", str(folder), "-c", str(path)]
    with running(name, command, core=core, port=port, log=folder / f"{name}.log") as server:
        yield server
