"""How the process ends: what runs is finished, for as long as the grace lasts."""

import json
import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import STOP_S, TRACEBACK
from .nginx import Nginx
from .processes import children, hail, is_alive
from .scripted import Gate, Peer, ok
from .test_reload import wait_refused
from .wire import Answer, Broken, Wire


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_batch_finishes(
    start_gateway: StartGateway, scripted: StartScripted, number: signal.Signals
) -> None:
    gateway = start_gateway()
    gate = Gate(ok(b"late"))
    upstream = scripted(gate)
    path = gateway.route(upstream) + "/x"
    answers: list[Answer] = []
    client = threading.Thread(target=lambda: answers.append(gateway.batch([path] * 5)))
    client.start()
    upstream.wait_requests(5)

    gateway.send_signal(number)
    for address in (gateway.data, gateway.admin_address):
        wait_refused(address)
    assert gateway.running().poll() is None
    gate.open()
    client.join()

    assert gateway.running().wait(STOP_S) == 0
    assert [reply["body"] for reply in answers[0].json()] == ["late"] * 5
    assert answers[0].header("connection") == "close"


def test_a_running_download_finishes(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gate = Gate()

    def serve(peer: Peer) -> None:
        peer.read()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
        gate.wait()
        peer.send(b"rest")

    gateway = start_gateway()
    path = gateway.route(scripted(serve)) + "/x"
    with Wire(gateway.data) as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        wire.head()
        gateway.send_signal(signal.SIGTERM)
        wait_refused(gateway.data)
        gate.open()
        assert wire.exactly(8) == b"halfrest"
        assert wire.is_closed()
    assert gateway.running().wait(STOP_S) == 0


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
        assert begun.answer().status == 408  # the rest of it is awaited for a second
        assert begun.is_closed()
    assert gateway.running().wait(STOP_S) == 0
    assert time.monotonic() - started < 15  # the grace lasts 30


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
        assert gateway.running().wait(STOP_S) == 0
        took = time.monotonic() - started
        check_cut_off(wire)

    assert 0.39 < took < 15  # by default it would be 30
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
        gateway.wait_log("draining")  # two at once would be one
        assert gateway.running().poll() is None
        gateway.send_signal(signal.SIGTERM)
        assert gateway.running().wait(STOP_S) == 0


def test_what_is_said_from_start_to_end(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    gateway.stop()

    events = [json.loads(line)["event"] for line in gateway.log().splitlines()]

    assert events == ["batchway is ready", "draining", "stopped"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_however_many_signals_come(
    start_gateway: StartGateway, workers: int, number: signal.Signals
) -> None:
    gateway = start_gateway({"batchway": {"workers": workers}})
    assert hail(gateway.running(), number, STOP_S) == 0
    assert "died" not in gateway.log()


def test_a_worker_ends_well_however_many_signals_come(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"batchway": {"workers": 2}})
    gateway.wait_log("batchway is ready")  # one worker alone is healthy, too
    [first, _] = children(gateway.running().pid)
    with suppress(ProcessLookupError):
        while is_alive(first):
            os.kill(first, signal.SIGTERM)
    gateway.wait_log('"event": "worker started"')
    assert "died" not in gateway.log()
    assert gateway.stop() == 0
