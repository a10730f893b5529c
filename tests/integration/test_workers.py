"""Several workers behind one port: they are as one, and none of them is needed."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPException

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import START_S, STOP_S, TRACEBACK, Document, Gateway, nodes
from .nginx import Nginx
from .ports import free_port
from .processes import children, is_alive, stopped
from .scripted import Gate, ok, slowly
from .test_reload import load, wait_refused
from .waiting import wait
from .wire import Address, Answer, Broken, Wire, fetch

WORKERS = 2


@pytest.fixture
def gateway(start_gateway: StartGateway) -> Gateway:
    gateway = start_gateway({"batchway": {"workers": WORKERS}})
    gateway.wait_log("batchway is ready")  # one worker alone is healthy, too
    return gateway


def workers(gateway: Gateway) -> list[int]:
    """Process ids of the workers."""
    return children(gateway.running().pid)


@contextmanager
def connected(address: Address, pids: list[int]) -> Iterator[list[Wire]]:
    """Two connections to each of these workers, made while the others cannot accept any."""
    with ExitStack() as stack:
        wires: list[Wire] = []
        for pid in pids:
            with stopped([other for other in pids if other != pid]):
                new = [stack.enter_context(Wire(address)) for _ in range(2)]
                assert answers_of(new, "/no-route") == {404}
            wires += new
        yield wires


# --- as one


def test_all_workers_take_connections_and_one_needs_no_other(gateway: Gateway) -> None:
    one, other = workers(gateway)
    with connected(gateway.data, [one, other]) as wires:
        os.kill(one, signal.SIGKILL)
        gateway.wait_log("worker started")
        alive = 0
        for wire in wires:
            try:
                wire.get("/no-route")
                alive += wire.answer().status == 404
            except (Broken, OSError):
                continue

    assert alive == len(wires) / 2


def test_a_write_holds_for_the_next_request_on_any_worker(gateway: Gateway, nginx: Nginx) -> None:
    with ThreadPoolExecutor(10) as at_once:
        for turn in range(10):
            gateway.put("routes", "1", {"uri": f"/turn{turn}", "upstream": {"nodes": nodes(nginx)}})
            seen = list(at_once.map(lambda _, turn=turn: gateway.fetch(f"/turn{turn}").status, range(50)))
            assert seen == [200] * 50, f"turn {turn}"
            gone = list(
                at_once.map(lambda _, turn=turn: gateway.fetch(f"/turn{turn - 1}").status, range(10))
            )
            assert gone == [404] * 10, f"turn {turn}"


def test_a_delete_holds_for_the_next_request_on_any_worker(gateway: Gateway, nginx: Nginx) -> None:
    with connected(gateway.data, workers(gateway)) as wires:
        for _ in range(5):
            gateway.put("routes", "1", {"uri": "/x", "upstream": {"nodes": nodes(nginx)}})
            assert answers_of(wires, "/x") == {200}
            gateway.delete("routes", "1")
            assert answers_of(wires, "/x") == {404}


def answers_of(wires: list[Wire], target: str) -> set[int]:
    """What all of them are answered."""
    for wire in wires:
        wire.get(target)
    return {wire.answer().status for wire in wires}


def test_writes_through_all_workers_at_once(gateway: Gateway, nginx: Nginx) -> None:
    def write(wire: Wire, numbers: range) -> None:
        for number in numbers:
            path = f"/many/{number}"
            body = json.dumps({"uri": path, "upstream": {"nodes": nodes(nginx)}})
            head = f"PUT /apisix/admin/routes/m{number} HTTP/1.1\r\nHost: a\r\nX-API-KEY: {gateway.key}\r\n"
            wire.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert wire.answer().status == 201
            assert gateway.fetch(path).status == 200

    with connected(gateway.admin_address, workers(gateway)) as wires:
        parts = [range(100)[at :: len(wires)] for at in range(len(wires))]
        with ThreadPoolExecutor(len(wires)) as at_once:
            list(at_once.map(write, wires, parts))
    writers = {line.partition('"worker": ')[2][0] for line in gateway.log_lines("admin write")}
    assert writers == {"1", "2"}


def test_a_replaced_worker_knows_all_that_was_written(gateway: Gateway, nginx: Nginx) -> None:
    gateway.put("routes", "1", {"uri": "/old", "upstream": {"nodes": nodes(nginx)}})
    for number, pid in enumerate(workers(gateway)):
        os.kill(pid, signal.SIGKILL)
        gateway.put("routes", "2", {"uri": f"/new{number}", "upstream": {"nodes": nodes(nginx)}})
        gateway.wait_log("worker started", number + 1)
        with connected(gateway.data, workers(gateway)) as wires:
            assert answers_of(wires, "/old") == answers_of(wires, f"/new{number}") == {200}


def test_limits_count_all_workers_together(gateway: Gateway, nginx: Nginx) -> None:
    limit = {"count": 20, "time_window": 600, "key": "remote_addr", "rejected_code": 429}
    document = {"uri": "/l", "upstream": {"nodes": nodes(nginx)}, "plugins": {"limit-count": limit}}
    gateway.put("routes", "l", document)

    with ThreadPoolExecutor(10) as at_once:
        answers = list(at_once.map(lambda _: gateway.fetch("/l").status, range(60)))

    assert sorted(answers) == [200] * 20 + [429] * 40


# --- workers that die


def test_only_what_runs_in_a_killed_worker_fails(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/x"
    failures: list[Exception] = []
    statuses: list[int] = []
    counts = [0] * 6
    stop = threading.Event()

    def client(number: int) -> None:
        while not stop.is_set():
            try:
                statuses.append(gateway.fetch(path).status)
                counts[number] += 1
            except (OSError, HTTPException) as failure:
                failures.append(failure)

    threads = [threading.Thread(target=client, args=[number]) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        for turn in range(3):
            wait(lambda: len(workers(gateway)) == WORKERS, "two workers")
            os.kill(workers(gateway)[0], signal.SIGKILL)
            gateway.wait_log("worker started", turn + 1)
            seen = sum(counts)
            wait(lambda seen=seen: sum(counts) > seen + 50, "answers again")  # type: ignore[misc] # its type is not inferred
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert set(statuses) == {200}
    assert len(failures) <= 3 * len(threads)
    assert not any(isinstance(failure, ConnectionRefusedError) for failure in failures)
    assert len(gateway.log_lines("worker died")) == 3


def test_a_worker_that_is_told_to_end_drains_and_is_replaced(
    gateway: Gateway, scripted: StartScripted
) -> None:
    upstream = scripted(slowly(0.4, ok(b"late")))
    path = gateway.route(upstream) + "/x"
    before = workers(gateway)
    with ThreadPoolExecutor(6) as at_once:
        answers = [at_once.submit(gateway.fetch, path) for _ in range(6)]
        upstream.wait_requests(6)
        for pid in before:
            os.kill(pid, signal.SIGTERM)
        assert [answer.result().body for answer in answers] == [b"late"] * 6
    gateway.wait_log("worker started", 2)
    assert not set(before) & set(workers(gateway))
    assert gateway.log_lines("worker died") == []


def test_workers_end_when_their_supervisor_is_killed(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(slowly(0.3, ok(b"late")))
    path = gateway.route(upstream) + "/x"
    pids = workers(gateway)
    with Wire(gateway.data) as wire:
        wire.get(path)
        upstream.wait_requests()
        gateway.kill()
        assert wire.answer().body == b"late"
    wait(lambda: not any(is_alive(pid) for pid in pids), "the workers' end")
    for address in (gateway.data, gateway.admin_address):
        socket.create_server(address).close()


def test_a_worker_that_cannot_start_again_is_tried_until_it_can(gateway: Gateway) -> None:
    store = gateway.directory / "batchway.db"
    aside = store.with_suffix(".aside")
    store.rename(aside)
    store.symlink_to(gateway.directory)
    os.kill(workers(gateway)[0], signal.SIGKILL)
    gateway.wait_log("worker cannot start", 2)

    assert "batchway.db" in gateway.log_lines("worker cannot start")[0]
    assert {gateway.fetch("/no-route").status for _ in range(10)} == {404}
    aside.replace(store)  # at once: a worker that found neither would make a store of its own
    gateway.wait_log("worker started")
    assert len(workers(gateway)) == WORKERS


# --- reload


def test_no_request_is_lost_while_settings_change(gateway: Gateway, nginx: Nginx) -> None:
    with load(gateway, gateway.route(nginx) + "/x") as answers:
        for turn in range(5):
            gateway.reload({"batchway": {"limits": {"max_header_count": 50 + turn}}})
            seen = len(answers)
            wait(lambda seen=seen: len(answers) >= seen + 30, "answers")  # type: ignore[misc] # its type is not inferred

    assert {answer.status for answer in answers} == {200}


def test_settings_change_in_all_workers(gateway: Gateway) -> None:
    with connected(gateway.data, workers(gateway)) as wires:
        for count in (3, 30):
            gateway.reload({"batchway": {"limits": {"max_header_count": count}}})
            for wire in wires:
                headers = "".join(f"X-{number}: 1\r\n" for number in range(10))
                wire.send(f"GET /no-route HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode())
            if count == 30:
                assert {wire.answer().status for wire in wires} == {404}
            else:
                assert {wire.answer().status for wire in wires} == {431}
                break


def test_a_replaced_worker_has_the_new_settings(gateway: Gateway) -> None:
    gateway.reload({"batchway": {"limits": {"max_header_count": 3}}})
    for pid in workers(gateway):
        os.kill(pid, signal.SIGKILL)
    gateway.wait_log("worker started", 2)

    many = {f"X-{number}": "1" for number in range(10)}
    assert {fetch(gateway.data, "GET", "/", headers=many).status for _ in range(20)} == {431}


def test_both_ports_move(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/x"
    old = [gateway.data, gateway.admin_address]
    gateway.data, gateway.admin_address = (("127.0.0.1", free_port()) for _ in range(2))
    (ip, port), (admin_ip, admin_port) = gateway.data, gateway.admin_address
    moved: Document = {
        "apisix": {"node_listen": [{"ip": ip, "port": port}]},
        "deployment": {"admin": {"admin_listen": {"ip": admin_ip, "port": admin_port}}},
    }

    gateway.reload(moved)

    for address in old:
        wait_refused(address)
    with connected(gateway.data, workers(gateway)) as wires:
        assert answers_of(wires, path) == {200}
    with connected(gateway.admin_address, workers(gateway)):
        gateway.put("routes", "1", {"uri": "/y", "upstream": {"nodes": nodes(nginx)}})
    os.kill(workers(gateway)[0], signal.SIGKILL)
    gateway.wait_log("worker started")
    with connected(gateway.data, workers(gateway)) as wires:
        assert answers_of(wires, "/y") == {200}


def test_a_reload_that_cannot_be_changes_nothing(gateway: Gateway, nginx: Nginx) -> None:
    path = gateway.route(nginx) + "/x"
    taken = {"ip": "127.0.0.1", "port": nginx.address[1]}
    gateway.write_config({"apisix": {"node_listen": [taken]}, "batchway": {"expose_batch": False}})
    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log("not reloaded")
    gateway.config_path.write_text("unknown: 1")
    gateway.send_signal(signal.SIGHUP)
    gateway.wait_log("not reloaded", 2)

    assert [gateway.reply(path)["status"] for _ in range(10)] == [200] * 10
    assert len(workers(gateway)) == WORKERS


def test_a_change_that_needs_a_restart_is_said_once(gateway: Gateway) -> None:
    gateway.reload({"batchway": {"workers": 3}})

    assert len(gateway.log_lines("needs a restart")) == 1
    assert len(workers(gateway)) == WORKERS


def test_the_admin_api_can_ask_for_a_reload(gateway: Gateway) -> None:
    gateway.write_config({"batchway": {"limits": {"max_header_count": 3}}})
    assert gateway.admin("PUT", "/plugins/reload").status == 200

    many = {f"X-{number}": "1" for number in range(10)}
    assert {fetch(gateway.data, "GET", "/", headers=many).status for _ in range(20)} == {431}

    gateway.config_path.write_text("unknown: 1")
    assert gateway.admin("PUT", "/plugins/reload").status >= 400


# --- start and end


def test_the_supervisor_has_one_thread(gateway: Gateway) -> None:
    """Else what it forks could wait for ever for a lock that another thread has."""
    assert gateway.admin("PUT", "/plugins/reload").status == 200

    assert len(os.listdir(f"/proc/{gateway.running().pid}/task")) == 1


def test_what_is_said_from_start_to_end(gateway: Gateway) -> None:
    gateway.stop()

    events = [line.partition('"event": "')[2].partition('"')[0] for line in gateway.log().splitlines()]
    assert events == ["batchway is ready", "draining", "stopped"]
    assert f'"workers": {WORKERS}' in gateway.log()


@pytest.mark.parametrize("to_all", [False, True])
def test_running_batches_finish(gateway: Gateway, scripted: StartScripted, *, to_all: bool) -> None:
    """Also if a service manager sends SIGTERM to every process."""
    gate = Gate(ok(b"late"))
    upstream = scripted(gate)
    path = gateway.route(upstream) + "/x"
    pids = workers(gateway)
    with ThreadPoolExecutor(8) as at_once:
        answers = [at_once.submit(gateway.batch, [path] * 2) for _ in range(8)]
        upstream.wait_requests(16)
        for pid in pids if to_all else ():
            os.kill(pid, signal.SIGTERM)
        gateway.send_signal(signal.SIGTERM)
        for address in (gateway.data, gateway.admin_address):
            wait_refused(address)
        assert gateway.running().poll() is None
        gate.open()
        for answer in answers:
            assert [reply["body"] for reply in answer.result().json()] == ["late"] * 2
    assert gateway.running().wait(STOP_S) == 0
    assert not any(is_alive(pid) for pid in pids)


def test_ctrl_c_reaches_all_processes(gateway: Gateway, scripted: StartScripted) -> None:
    gate = Gate(ok(b"late"))
    upstream = scripted(gate)
    path = gateway.route(upstream) + "/x"
    with Wire(gateway.data) as wire:
        wire.get(path)
        upstream.wait_requests()
        for pid in workers(gateway):
            os.kill(pid, signal.SIGINT)
        gateway.send_signal(signal.SIGINT)
        wait_refused(gateway.data)
        gate.open()
        assert wire.answer().body == b"late"
    assert gateway.running().wait(STOP_S) == 0


def test_a_second_signal_cuts_the_grace_short(gateway: Gateway, scripted: StartScripted) -> None:
    upstream = scripted(lambda peer: (peer.read(), peer.stall()))
    path = gateway.route(upstream) + "/x"
    with Wire(gateway.data) as wire:
        wire.get(path)
        upstream.wait_requests()
        gateway.send_signal(signal.SIGTERM)
        wait_refused(gateway.data)
        assert gateway.running().poll() is None
        gateway.send_signal(signal.SIGTERM)
        assert gateway.running().wait(STOP_S) == 0


def test_the_end_comes_at_any_time(start_gateway: StartGateway) -> None:
    """Right after the start, during a reload, and when workers have just died."""
    gateway = start_gateway({"batchway": {"workers": WORKERS}})
    gateway.send_signal(signal.SIGHUP)
    assert gateway.stop() == 0
    gateway.start()
    for pid in workers(gateway):
        os.kill(pid, signal.SIGKILL)
    assert gateway.stop() == 0
    gateway.spawn()
    wait(lambda: workers(gateway), "workers")
    assert gateway.stop() == 0


@pytest.mark.parametrize("which", ["data", "admin", "store", "certificate"])
def test_a_start_that_fails(start_gateway: StartGateway, which: str) -> None:
    gateway = start_gateway({"batchway": {"workers": WORKERS}}, run=False)
    with ExitStack() as stack:
        if which == "store":
            gateway.write_config({"batchway": {"store": {"path": "/proc/no/store.db"}}})
        elif which == "certificate":
            gateway.write_config({"apisix": {"ssl": {"ssl_trusted_certificate": "/no/such.pem"}}})
        else:
            gateway.write_config()
            address = gateway.data if which == "data" else gateway.admin_address
            stack.enter_context(socket.create_server(address))
        code = gateway.spawn().wait(START_S)

    assert code == (2 if which == "certificate" else 1), gateway.log()
    assert gateway.log().count("\n") == 1, gateway.log()
    assert TRACEBACK not in gateway.log()


def test_auto(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"batchway": {"workers": "auto"}})
    cores = len(os.sched_getaffinity(0))

    assert len(workers(gateway)) <= cores
    assert gateway.fetch("/").status == 404


def test_all_at_once(gateway: Gateway, nginx: Nginx) -> None:
    """Many routes, and writes all the time, while requests go on: none fails."""
    for number in range(100):
        gateway.put("routes", f"b{number}", {"uri": f"/b/{number}/*", "upstream": {"nodes": nodes(nginx)}})
    path = gateway.route(nginx) + "/x"
    answers: list[Answer]
    with load(gateway, path) as answers:
        for number in range(100):
            document: Document = {"uri": f"/c/{number}", "upstream": {"nodes": nodes(nginx)}}
            gateway.put("routes", f"c{number % 20}", document)
            if number == 50:
                gateway.reload({"batchway": {"limits": {"max_header_count": 90}}})

    assert {answer.status for answer in answers} == {200}
    assert gateway.fetch("/c/99").status == 200
