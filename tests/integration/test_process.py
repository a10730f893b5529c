"""The process: how it starts, how it ends, and what it says when it cannot do either."""

import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from .conftest import StartGateway, StartScripted
from .gateway import TRACEBACK, Document, Gateway
from .nginx import Nginx
from .scripted import Peer, each, ok, slowly
from .wire import Answer, Broken, Wire

# --- the end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_batch_finishes(
    start_gateway: StartGateway, scripted: StartScripted, number: signal.Signals
) -> None:
    gateway = start_gateway()
    upstream = scripted(slowly(0.5, ok(b"late")))
    path = gateway.route(upstream) + "/x"
    answers: list[Answer] = []
    client = threading.Thread(target=lambda: answers.append(gateway.batch([path] * 5)))
    client.start()
    upstream.wait_requests(5)

    gateway.send_signal(number)
    time.sleep(0.25)
    assert gateway.running().poll() is None
    for address in (gateway.data, gateway.admin_address):
        with pytest.raises(ConnectionRefusedError), Wire(address):
            pass
    client.join()

    assert gateway.running().wait(2) == 0
    assert [reply["body"] for reply in answers[0].json()] == ["late"] * 5
    assert answers[0].header("connection") == "close"


def test_a_running_download_finishes(start_gateway: StartGateway, scripted: StartScripted) -> None:
    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        time.sleep(0.4)
        peer.send(b"rest")

    gateway = start_gateway()
    path = gateway.route(scripted(serve)) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        wire.head()
        gateway.send_signal(signal.SIGTERM)
        assert wire.exactly(8) == b"halfrest"
        assert wire.is_closed()
    assert gateway.running().wait(2) == 0


def test_idle_connections_do_not_hold_up_the_end(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway()
    path = gateway.route(nginx) + "/x"
    with Wire(gateway.data) as used, Wire(gateway.data) as unused, Wire(gateway.data) as begun:
        used.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        used.answer()
        begun.send(b"GET / HT")
        started = time.monotonic()
        gateway.send_signal(signal.SIGTERM)
        assert used.is_closed()
        assert unused.is_closed()
        assert begun.is_closed()
    assert gateway.running().wait(2) == 0
    assert time.monotonic() - started < 1.5


@pytest.mark.logs_traceback  # not wanted, but not what this is about: see the next test
def test_the_grace_ends(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gateway = start_gateway({"batchway": {"limits": {"shutdown_grace_s": 0.4}}})
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    path = gateway.route(upstream) + "/x"
    body = json.dumps({"pipeline": [{"path": path}]}).encode()

    with Wire(gateway.data) as wire:
        head = f"POST /apisix/batch-requests HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        wire.send(head.encode(), body)
        upstream.wait_requests()
        started = time.monotonic()
        gateway.send_signal(signal.SIGTERM)
        assert gateway.running().wait(5) == 0
        took = time.monotonic() - started
        check_cut_off(wire)

    assert 0.3 < took < 2
    upstream.wait(lambda upstream: upstream.open == 0)


def check_cut_off(wire: Wire) -> None:
    """No answer comes, or one that says what happened."""
    try:
        answer = wire.answer()
    except Broken:
        return
    assert answer.status >= 500


def test_the_end_of_the_grace_logs_no_traceback(
    start_gateway: StartGateway, scripted: StartScripted
) -> None:
    gateway = start_gateway({"batchway": {"limits": {"shutdown_grace_s": 0.2}}})
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    path = gateway.route(upstream) + "/x"

    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        upstream.wait_requests()
        gateway.stop()

    assert TRACEBACK not in gateway.log()


@pytest.mark.logs_traceback
def test_a_second_signal_cuts_the_grace_short(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gateway = start_gateway()
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    path = gateway.route(upstream) + "/x"

    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        upstream.wait_requests()
        gateway.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert gateway.running().poll() is None
        gateway.send_signal(signal.SIGTERM)
        assert gateway.running().wait(2) == 0


def test_what_is_said_from_start_to_end(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    gateway.stop()

    events = [json.loads(line)["event"] for line in gateway.log().splitlines()]

    assert events == ["batchway is ready", "draining", "stopped"]


# --- a start that fails


def failed_start(gateway: Gateway) -> tuple[int, str]:
    """Exit code and output of a gateway that cannot start."""
    code = gateway.spawn().wait(10)
    return code, gateway.log()


def check_one_line(output: str, *parts: str) -> None:
    """One line for people, with all of `parts` in it."""
    assert output.count("\n") == 1, output
    assert TRACEBACK not in output
    for part in parts:
        assert part in output


@pytest.mark.parametrize("which", ["data", "admin"])
def test_a_port_that_is_taken(start_gateway: StartGateway, which: str) -> None:
    gateway = start_gateway(run=False)
    address = gateway.data if which == "data" else gateway.admin_address
    gateway.write_config()

    with socket.create_server(address):
        code, output = failed_start(gateway)

    assert code == 1
    check_one_line(output, f"{address[0]}:{address[1]}", "in use")


def test_a_second_gateway_on_the_same_ports(start_gateway: StartGateway) -> None:
    first = start_gateway()
    second = start_gateway(run=False)
    second.config["apisix"] = first.config["apisix"]
    second.write_config()

    code, output = failed_start(second)

    assert code == 1
    check_one_line(output, "in use")
    assert first.healthy()


def no_database(path: Path) -> Path:
    path.write_bytes(b"this is no database" * 100)
    return path


def other_database(path: Path) -> Path:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE other (x)")
    db.commit()
    db.close()
    return path


@pytest.mark.parametrize(
    "make",
    [lambda path: path.mkdir() or path, no_database, other_database, lambda path: Path("/proc/x/store.db")],
)
def test_a_store_that_cannot_be_written(start_gateway: StartGateway, tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = make(tmp_path / "store")
    gateway = start_gateway({"batchway": {"store": {"path": str(path)}}}, run=False)
    gateway.write_config()

    code, output = failed_start(gateway)

    assert code == 1
    check_one_line(output, str(path.parent))


def test_two_gateways_on_one_store(start_gateway: StartGateway) -> None:
    """Writes through one are seen by the other, or the second says that it cannot run: never silence."""
    first = start_gateway()
    second = start_gateway({"batchway": {"store": first.config["batchway"]["store"]}}, run=False)
    second.write_config()
    process = second.spawn()
    try:
        second.wait_healthy()
    except AssertionError:
        assert process.wait(5) == 1
        check_one_line(second.log(), "store")
        return
    first.put("routes", "shared", {"uri": "/shared", "upstream": {"nodes": {}}})
    give_up = time.monotonic() + 2
    while second.fetch("/shared").status == 404:
        assert time.monotonic() < give_up, "a write through the one is never seen by the other"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"apisix": {"node_lisen": 9080}}, ["apisix.node_lisen", "node_listen"]),
        ({"batchway": {"expose_batch": "maybe"}}, ["batchway.expose_batch", "true or false"]),
        ({"plugins": ["public-api"]}, ["batchway.expose_batch", "batch-requests"]),
        ({"plugin_attr": {"batch-requests": {"uri": "no slash"}}}, ["plugin_attr.batch-requests", "uri"]),
        ({"apisix": {"node_listen": "${{NOT_SET_ANYWHERE}}"}}, ["apisix.node_listen", "NOT_SET_ANYWHERE"]),
    ],
)
def test_a_wrong_config(start_gateway: StartGateway, changes: Document, parts: list[str]) -> None:
    gateway = start_gateway(changes, run=False)
    gateway.write_config()

    code, output = failed_start(gateway)

    assert code == 2
    check_one_line(output, "config.yaml", *parts)


@pytest.mark.parametrize("text", ["a: [", "- list", "!!python/object:x {}"])
def test_a_config_that_is_no_yaml_mapping(start_gateway: StartGateway, text: str) -> None:
    gateway = start_gateway(run=False)
    gateway.write_config()
    gateway.config_path.write_text(text)

    code, output = failed_start(gateway)

    assert code == 2
    check_one_line(output, "config.yaml")


def test_a_failed_start_leaves_no_key_behind(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"unknown": 1, "deployment": {"admin": {"admin_key": None}}}, run=False)
    gateway.write_config()
    before = gateway.config_path.read_text()

    assert failed_start(gateway)[0] == 2
    assert gateway.config_path.read_text() == before


# --- the config


def test_keys_of_apisix_that_have_no_use_are_one_warning(start_gateway: StartGateway) -> None:
    gateway = start_gateway(
        {
            "plugins": ["batch-requests", "public-api", "key-auth", "limit-count", "prometheus"],
            "plugin_attr": {"prometheus": {"export_addr": {"port": 9091}}},
            "apisix": {"enable_ipv6": True, "proxy_cache": {}},
            "nginx_config": {"worker_processes": "auto", "error_log_level": "warn"},
            "deployment": {"role": "traditional", "etcd": {"host": ["http://127.0.0.1:2379"]}},
        }
    )

    (unused,) = gateway.log_lines("batchway has no use for")
    for name in ("apisix.enable_ipv6", "nginx_config.worker_processes", "deployment.etcd", "prometheus"):
        assert name in unused
    (missing,) = gateway.log_lines("batchway does not have")
    assert "key-auth, limit-count, prometheus" in missing


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
give_up = time.monotonic() + 10
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

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)

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
        for number in range(600):
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

    replies = gateway.replies([f"/many/{number}" for number in range(0, 600, 2)])
    assert {reply["status"] for reply in replies} == {200}


def test_a_keepalive_timeout(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"batchway": {"limits": {"keepalive_timeout_s": 0.3}}})
    with Wire(gateway.data) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wire.answer()
        started = time.monotonic()
        assert wire.is_closed()
        assert 0.2 < time.monotonic() - started < 2


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
