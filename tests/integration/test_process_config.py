"""What the process makes of its config file, its store and its log."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from .conftest import StartGateway, StartScripted
from .gateway import TRACEBACK
from .nginx import Nginx
from .scripted import Peer, each
from .wire import Wire


def test_keys_of_apisix_that_have_no_use_are_one_warning(start_gateway: StartGateway) -> None:
    gateway = start_gateway(
        {
            "plugins": ["batch-requests", "public-api", "key-auth", "wolf-rbac", "limit-req"],
            "plugin_attr": {"skywalking": {"service_name": "APISIX"}},
            "apisix": {"enable_ipv6": True, "proxy_cache": {}},
            "nginx_config": {"worker_processes": "auto", "error_log_level": "warn"},
            "deployment": {"role": "traditional", "etcd": {"host": ["http://127.0.0.1:2379"]}},
        }
    )

    (unused,) = gateway.log_lines("batchway has no use for")
    for name in ("apisix.enable_ipv6", "nginx_config.worker_processes", "deployment.etcd", "skywalking"):
        assert name in unused
    (missing,) = gateway.log_lines("batchway does not have")
    assert "wolf-rbac, limit-req" in missing


def test_values_from_the_environment(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway(run=False)
    gateway.config["apisix"]["node_listen"][0]["port"] = "${{DATA_PORT}}"
    gateway.config["deployment"]["admin"]["admin_key"][0]["key"] = "${{ADMIN_KEY:=by-default}}"
    gateway.config["batchway"]["store"]["path"] = "${{STORE_DIR:=data}}/x.db"
    gateway.environment = {"DATA_PORT": str(gateway.data[1]), "ADMIN_KEY": "from-the-environment"}
    gateway.key = "from-the-environment"
    gateway.start()

    assert gateway.reply(gateway.route(nginx) + "/x")["status"] == 200
    assert (gateway.directory / "data" / "x.db").exists()


ALONE = """
import fcntl, http.client, socket, struct, subprocess, sys, time

with socket.socket() as any_socket:  # ip link set lo up
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))
gateway = subprocess.Popen([sys.executable, "-m", "batchway", "serve"])
give_up = time.monotonic() + 30
while True:
    try:
        admin = http.client.HTTPConnection("127.0.0.1", 9180)
        admin.request("GET", "/healthz")
        break
    except OSError:
        if gateway.poll() is not None or time.monotonic() > give_up:
            sys.exit("not healthy")
        time.sleep(0.02)
data = http.client.HTTPConnection("127.0.0.1", 9080)
data.request("GET", "/")
print(admin.getresponse().status, data.getresponse().status)
gateway.terminate()
sys.exit(gateway.wait())
"""
IN_A_NETWORK_OF_ITS_OWN = ["unshare", "--map-root-user", "--net"]


def test_no_config_file_at_all(tmp_path: Path) -> None:
    """Defaults that work. They name fixed ports, so this runs where no other process is."""
    if subprocess.run([*IN_A_NETWORK_OF_ITS_OWN, "true"], check=False, capture_output=True).returncode:
        pytest.skip("unshare is not allowed here")
    command = [*IN_A_NETWORK_OF_ITS_OWN, sys.executable, "-c", ALONE]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)

    assert (done.returncode, done.stdout) == (0, "200 404\n"), done.stderr
    assert TRACEBACK not in done.stderr
    config_path = tmp_path / "conf" / "config.yaml"
    config = yaml.safe_load(config_path.read_text())
    assert len(config["deployment"]["admin"]["admin_key"][0]["key"]) == 32
    assert stat.S_IMODE(config_path.stat().st_mode) & 0o077 == 0
    assert (tmp_path / "data" / "batchway.db").exists()


def test_a_generated_key_is_kept(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"deployment": {"admin": {"admin_key": None}}}, run=False)
    gateway.write_config()
    gateway.config_path.write_text("# mine\n" + gateway.config_path.read_text())
    gateway.spawn()
    gateway.wait_healthy()
    text = gateway.config_path.read_text()
    found = re.search(r"key: ['\"]?(\w{32})", text)
    assert found
    gateway.key = found[1]

    assert gateway.admin("GET", "/routes").status == 200
    assert gateway.admin("GET", "/routes", key="").status == 401
    assert text.startswith("# mine\n")
    assert found[1] not in gateway.log()
    gateway.stop()
    gateway.spawn()
    gateway.wait_healthy()
    assert gateway.config_path.read_text() == text
    assert gateway.admin("GET", "/routes").status == 200


@pytest.mark.parametrize("allow", [[], ["10.0.0.0/8"]])
def test_allow_admin(start_gateway: StartGateway, allow: list[str]) -> None:
    gateway = start_gateway({"deployment": {"admin": {"allow_admin": allow}}})

    assert gateway.admin("GET", "/routes").status == 403
    assert gateway.healthy()


def test_the_store_is_for_its_owner_only(start_gateway: StartGateway) -> None:
    gateway = start_gateway()

    for name in os.listdir(gateway.directory):
        if name.startswith("batchway.db"):
            assert stat.S_IMODE((gateway.directory / name).stat().st_mode) & 0o077 == 0


def test_hundreds_of_routes_after_a_restart(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway()
    with Wire(gateway.admin_address) as wire:
        for number in range(300):
            document = {
                "uri": f"/many/{number}",
                "upstream": {"nodes": {f"127.0.0.1:{nginx.address[1]}": 1}},
            }
            body = json.dumps(document)
            head = f"PUT /apisix/admin/routes/{number} HTTP/1.1\r\nHost: a\r\nX-API-KEY: {gateway.key}\r\n"
            wire.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert wire.answer().status == 201
    gateway.stop()
    gateway.start()

    replies = gateway.replies([f"/many/{number}" for number in range(300)])
    assert {reply["status"] for reply in replies} == {200}


def test_a_keepalive_timeout(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"batchway": {"limits": {"keepalive_timeout_s": 0.3}}})
    with Wire(gateway.data) as wire:
        started = time.monotonic()
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wire.answer()
        assert wire.is_closed()
        assert 0.29 < time.monotonic() - started < 15  # by default it would be 60


def test_every_line_of_the_log_is_json(start_gateway: StartGateway, scripted: StartScripted) -> None:
    """Where nobody watches, programs read it: also what is about broken upstreams and clients."""
    gateway = start_gateway()

    def cut_off(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        time.sleep(0.05)

    path = gateway.route(scripted(cut_off)) + "/x"
    for request in (f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n", "garbage\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"):
        with Wire(gateway.data) as wire:
            wire.send(request.encode())
            wire.to_end()
    gateway.reply(path)
    gateway.stop()

    for line in gateway.log().splitlines():
        assert json.loads(line)["event"], line


def test_the_batch_is_not_logged(start_gateway: StartGateway, scripted: StartScripted) -> None:
    """Neither bodies nor credentials nor queries stand in the log, errors or not."""
    gateway = start_gateway({"batchway": {"log": {"level": "debug"}}})
    prefix = gateway.route(scripted(each(lambda _: b"garbage s3cret\r\n\r\n")))
    secret = {"Authorization": "s3cret"}
    item = {"path": prefix + "/x?q=s3cret", "method": "POST", "body": "s3cret", "headers": secret}

    gateway.batch({"pipeline": [item]}, secret)
    gateway.post_batch('{"s3cret": ')
    gateway.fetch(prefix + "/x", headers=secret)
    gateway.admin("PUT", "/routes/x", {"uri": "/x", "plugins": {"public-api": {"s3cret": "s3cret"}}})

    assert "s3cret" not in gateway.log()
    assert gateway.key not in gateway.log()
