"""SIGHUP: the new config holds from the next request on, and no request is lost on the way."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml

from .conftest import StartGateway, StartScripted
from .gateway import BATCH, STOP_S, VIEWER_KEY, Document, Gateway
from .nginx import Nginx
from .ports import free_port
from .scripted import Gate, each, echo, ok, slowly
from .waiting import wait
from .wire import Address, Answer, Wire, fetch


@pytest.fixture
def gateway(start_gateway: StartGateway) -> Gateway:
    return start_gateway()


@contextmanager
def load(gateway: Gateway, path: str) -> Iterator[list[Answer]]:
    """Four clients send batches and plain requests, on kept and on new connections; their answers."""
    answers: list[Answer] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def kept() -> None:
        try:
            with Wire(gateway.data) as wire:
                while not stop.is_set():
                    wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    answers.append(wire.answer())
        except Exception as failure:  # noqa: BLE001 - shown below
            failures.append(failure)

    def fresh() -> None:
        try:
            while not stop.is_set():
                answers.append(gateway.batch([path] * 5))
        except Exception as failure:  # noqa: BLE001 - shown below
            failures.append(failure)

    threads = [threading.Thread(target=client) for client in (kept, kept, fresh, fresh)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def wait_refused(address: Address) -> None:
    """Return as soon as nobody listens there."""

    def is_refused() -> bool:
        try:
            with Wire(address):
                return False
        except ConnectionRefusedError:
            return True
        except ConnectionError:  # it was about to be
            return False

    wait(is_refused, "refused")


def wait_listening(address: Address) -> None:
    """Return as soon as somebody does."""

    def is_listening() -> bool:
        try:
            with Wire(address):
                return True
        except ConnectionError:
            return False

    wait(is_listening, "listening")


def test_no_request_is_lost(gateway: Gateway, nginx: Nginx) -> None:
    with load(gateway, gateway.route(nginx) + "/x") as answers:
        for turn in range(10):
            gateway.reload({"batchway": {"limits": {"max_header_count": 50 + turn}}})
            seen = len(answers)
            while len(answers) < seen + 30:
                time.sleep(0.005)

    assert len(answers) > 200
    for answer in answers:
        assert answer.status == 200
        if answer.body.startswith(b"["):
            assert [reply["status"] for reply in answer.json()] == [200] * 5


def test_running_batches_go_on(gateway: Gateway, scripted: StartScripted) -> None:
    gate = Gate()
    upstream = scripted(gate)
    path = gateway.route(upstream) + "/x"
    answers: list[Answer] = []
    client = threading.Thread(target=lambda: answers.append(gateway.batch([path] * 3)))
    client.start()
    upstream.wait_requests(3)

    gateway.reload({"plugins": ["public-api"], "batchway": {"expose_batch": False}})
    gate.open()
    client.join()

    assert [reply["status"] for reply in answers[0].json()] == [200] * 3
    assert gateway.batch([path]).status == 404


def test_plugins_come_and_go(gateway: Gateway) -> None:
    gateway.put("routes", "br", {"uri": "/br", "plugins": {"public-api": {"uri": BATCH}}})
    hidden: Document = {"batchway": {"expose_batch": False}}

    gateway.reload(hidden | {"plugins": ["public-api"]})
    assert gateway.batch(["/x"], uri="/br").status == 404
    gateway.reload(hidden | {"plugins": ["batch-requests"]})
    assert gateway.batch(["/x"], uri="/br").status == 404  # a route whose plugin is off is not served
    gateway.reload(hidden | {"plugins": ["batch-requests", "public-api"]})
    assert gateway.batch(["/x"], uri="/br").status == 200
    gateway.reload(
        {"plugin_attr": {"batch-requests": {"uri": "/moved"}}, "batchway": {"expose_batch": True}}
    )
    assert gateway.batch(["/x"], uri="/br").status == 404
    assert gateway.batch(["/x"], uri="/moved").status == 200
    assert gateway.batch(["/x"]).status == 404


def test_keys_change(gateway: Gateway) -> None:
    keys = [{"name": "new", "key": "another-key", "role": "admin"}]

    gateway.reload({"deployment": {"admin": {"admin_key": keys}}})

    assert gateway.admin("GET", "/routes").status == 401
    assert gateway.admin("GET", "/routes", key=VIEWER_KEY).status == 401
    assert gateway.admin("GET", "/routes", key="another-key").status == 200


def test_a_key_that_was_taken_out_is_generated(gateway: Gateway) -> None:
    gateway.reload({"deployment": {"admin": {"admin_key": None}}})

    config = yaml.safe_load(gateway.config_path.read_text())
    key = config["deployment"]["admin"]["admin_key"][0]["key"]
    assert gateway.admin("GET", "/routes").status == 401
    assert gateway.admin("GET", "/routes", key=key).status == 200


def test_limits_and_rules_change(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    path = gateway.route(upstream) + "/x"
    with Wire(gateway.data) as wire:  # a connection that is open already
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Real-IP: 9.9.9.9\r\n\r\n".encode())
        wire.answer()
        http = {"real_ip_from": ["127.0.0.1"], "real_ip_header": "X-Client"}
        gateway.reload({"nginx_config": {"http": http}, "batchway": {"limits": {"max_header_count": 3}}})
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Client: 9.9.9.9\r\n\r\n".encode())
        wire.answer()
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n".encode())
        assert wire.answer().status == 431

    before, after = upstream.requests
    assert before.header("x-real-ip") == "127.0.0.1"
    assert after.header("x-client") == "9.9.9.9"


def test_the_upstream_limit_changes(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(slowly(0.02))
    path = gateway.route(upstream) + "/x"

    gateway.reload({"batchway": {"limits": {"upstream_max_connections": 3}}})
    gateway.replies([path] * 30)

    assert upstream.most == 3


@pytest.mark.parametrize(
    "text", ["a: [", "unknown: 1", "deployment: {admin: {admin_key: [{key: x}]}}", None, "dir"]
)
def test_a_broken_config_changes_nothing(gateway: Gateway, nginx: Nginx, text: str | None) -> None:
    path = gateway.route(nginx) + "/x"
    before = gateway.config_path.read_text()
    log = gateway.log()
    if text == "dir":
        gateway.config_path.unlink()
        gateway.config_path.mkdir()
    else:
        gateway.config_path.write_text(before.replace("apisix:", "apisx:") if text is None else text)

    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log("not reloaded")

    assert gateway.log().removeprefix(log).count("\n") == 1
    assert gateway.reply(path)["status"] == 200
    assert gateway.admin("GET", "/routes").status == 200
    if text == "dir":
        gateway.config_path.rmdir()
    gateway.reload({"batchway": {"expose_batch": False}})
    assert gateway.batch([path]).status == 404


def test_a_file_that_is_being_saved_changes_nothing(gateway: Gateway, nginx: Nginx) -> None:
    """It is emptied or moved away first."""
    path = gateway.route(nginx) + "/x"
    gateway.config_path.write_text("\n")
    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log("it is empty or gone")
    assert gateway.config_path.read_text() == "\n"
    gateway.config_path.unlink()
    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log("it is empty or gone", 2)
    assert not gateway.config_path.exists()
    gateway.config_path.write_text("# only the first line, so far\n")
    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log("it is empty or gone", 3)

    assert gateway.reply(path)["status"] == 200
    assert gateway.admin("GET", "/routes").status == 200
    gateway.reload({"batchway": {"expose_batch": False}})
    assert gateway.batch([path]).status == 404


def test_the_port_moves(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/x"
    old, new = gateway.data, ("127.0.0.1", free_port())
    with load(gateway, path) as answers:
        while len(answers) < 50:
            time.sleep(0.005)
    gateway.reload({"apisix": {"node_listen": [{"ip": new[0], "port": new[1]}]}})

    assert fetch(new, "GET", path).status == 200
    wait_refused(old)


def test_a_port_is_added_and_nobody_notices(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/x"
    new = ("127.0.0.1", free_port())
    both = [{"ip": ip, "port": port} for ip, port in (gateway.data, new)]

    with load(gateway, path) as answers:
        while len(answers) < 50:
            time.sleep(0.005)
        gateway.reload({"apisix": {"node_listen": both}})
        assert fetch(new, "GET", path).status == 200
        seen = len(answers)
        while len(answers) < seen + 50:
            time.sleep(0.005)

    assert {answer.status for answer in answers} == {200}


def test_a_port_that_moves_lets_running_requests_finish(gateway: Gateway, scripted: StartScripted) -> None:
    gate = Gate(ok(b"late"))
    upstream = scripted(gate)
    path = gateway.route(upstream) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        upstream.wait_requests()
        gateway.write_config({"apisix": {"node_listen": [{"ip": "127.0.0.1", "port": free_port()}]}})
        gateway.send_signal(signal.SIGHUP)
        wait_refused(gateway.data)
        gate.open()
        assert wire.answer().body == b"late"
    gateway.wait_log("configuration reloaded")


def test_a_reload_does_not_wait_for_the_old_port(gateway: Gateway, scripted: StartScripted) -> None:
    gate = Gate()
    upstream = scripted(gate)
    path = gateway.route(upstream) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        upstream.wait_requests()
        new = ("127.0.0.1", free_port())
        gateway.write_config({"apisix": {"node_listen": [{"ip": new[0], "port": new[1]}]}})
        gateway.send_signal(signal.SIGHUP)
        gateway.data = new
        wait_listening(new)
        gateway.write_config({"batchway": {"expose_batch": False}})
        gateway.send_signal(signal.SIGHUP)
        wait(lambda: gateway.batch(["/x"]).status == 404, "reloaded, though the old port is in use")
        gate.open()
        assert wire.answer().status == 200


def test_the_end_lets_requests_of_the_old_port_finish(gateway: Gateway, scripted: StartScripted) -> None:
    gate = Gate(ok(b"late"))
    upstream = scripted(gate)
    path = gateway.route(upstream) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        upstream.wait_requests()
        new = ("127.0.0.1", free_port())
        gateway.write_config({"apisix": {"node_listen": [{"ip": new[0], "port": new[1]}]}})
        gateway.send_signal(signal.SIGHUP)
        wait_listening(new)
        wait_refused(gateway.data)
        gateway.send_signal(signal.SIGTERM)
        gateway.wait_log("draining")
        gate.open()
        assert wire.answer().body == b"late"
    assert gateway.running().wait(STOP_S) == 0


def test_a_refused_reload_writes_no_key(gateway: Gateway) -> None:
    changes: Document = {"plugins": ["public-api"], "deployment": {"admin": {"admin_key": None}}}
    gateway.write_config(changes)
    before = gateway.config_path.read_text()

    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log("not reloaded")

    assert gateway.config_path.read_text() == before


def test_the_admin_port_moves(gateway: Gateway) -> None:
    old, gateway.admin_address = gateway.admin_address, ("127.0.0.1", free_port())
    listen = {"ip": "127.0.0.1", "port": gateway.admin_address[1]}

    gateway.reload({"deployment": {"admin": {"admin_listen": listen}}})

    assert gateway.admin("GET", "/routes").status == 200
    wait_refused(old)


def test_a_port_that_is_taken_changes_nothing(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/x"
    taken = {"ip": "127.0.0.1", "port": nginx.address[1]}
    gateway.write_config({"apisix": {"node_listen": [taken]}, "batchway": {"expose_batch": False}})

    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log("not reloaded")

    assert "in use" in gateway.log_lines("not reloaded")[0]
    assert gateway.reply(path)["status"] == 200


def test_many_signals_at_once(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/x"
    for _ in range(50):
        gateway.send_signal(signal.SIGHUP)

    gateway.reload({"batchway": {"limits": {"max_header_count": 70}}})

    assert gateway.reply(path)["status"] == 200
    assert gateway.stop() == 0


def test_the_end_comes_during_a_reload(gateway: Gateway) -> None:
    gateway.send_signal(signal.SIGHUP)
    gateway.send_signal(signal.SIGTERM)

    assert gateway.running().wait(STOP_S) == 0


def test_a_setting_that_needs_a_restart_is_named(gateway: Gateway) -> None:
    gateway.reload({"apisix": {"dns_resolver": ["127.0.0.1"]}})

    assert "dns_resolver" in gateway.log_lines("needs a restart")[0]
