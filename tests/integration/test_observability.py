"""What a running gateway tells of itself: metrics on a listener of their own, and the access log."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import BATCH, Document, Gateway, nodes
from .nginx import Nginx
from .scripted import each, echo
from .waiting import PATIENCE_S, wait
from .wire import fetch

METRICS = "/apisix/prometheus/metrics"


def numbers(gateway: Gateway) -> dict[str, float]:
    """The samples that Prometheus would read, by name and labels as they are spelled."""
    answer = fetch(gateway.metrics, "GET", METRICS)
    assert answer.status == 200
    assert answer.all("content-type")[0].startswith("text/plain; version=0.0.4")
    lines = (line.rpartition(" ") for line in answer.body.decode().splitlines() if line[0] != "#")
    return {name: float(value) for name, _, value in lines}


def total(found: dict[str, float], name: str, *labels: str) -> float:
    """The sum of the samples of that name with all these labels."""
    return sum(
        value
        for key, value in found.items()
        if re.match(rf"{name}({{|$)", key) and all(label in key for label in labels)
    )


def log_lines(path: Path, count: int) -> list[str]:
    """The lines of an access log, once there are so many."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= count or time.monotonic() > give_up:
            return lines
        time.sleep(0.02)


def put_routes(gateway: Gateway, nginx: Nginx) -> None:
    route: Document = {"uri": "/hello", "plugins": {"prometheus": {}}, "upstream": {"nodes": nodes(nginx)}}
    gateway.put("routes", "hello", route)
    gateway.put("routes", "down", {**route, "uri": "/down", "upstream": {"nodes": {}}})


@pytest.mark.parametrize("workers", [1, 2])
def test_metrics_are_those_of_all_workers(start_gateway: StartGateway, nginx: Nginx, workers: int) -> None:
    gateway = start_gateway({"batchway": {"workers": workers}})
    put_routes(gateway, nginx)
    for _ in range(20):  # on connections of their own: several workers have some
        assert fetch(gateway.data, "GET", "/hello").status == 200
    answer = gateway.batch(["/hello", "/hello", "/down"])
    assert answer.status == 200
    expected = [23, 22, 1, 22, 1, 2, 1]
    # What is passed on as it comes is counted once it is sent: the client has it a moment earlier.
    wait(lambda: told(gateway) == expected, f"{expected} told")
    for _ in range(4):  # whichever worker is asked
        assert told(gateway) == expected


def told(gateway: Gateway) -> list[float]:
    """What there is of the routes of `put_routes`, and of batches."""
    found = numbers(gateway)
    return [
        total(found, "apisix_http_requests_total"),
        total(found, "apisix_http_status", 'code="200"', 'route="hello"'),
        total(found, "apisix_http_status", 'code="503"', 'route="down"'),
        total(found, "apisix_http_latency_count", 'type="upstream"', 'route="hello"'),
        total(found, "batchway_batches_total", 'format="apisix"'),
        total(found, "batchway_batch_items_total", 'outcome="ok"'),
        total(found, "batchway_batch_items_total", 'outcome="failed"'),
    ]


def test_metrics_listener_has_nothing_else(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    assert fetch(gateway.metrics, "GET", "/").status == 404
    refusal = fetch(gateway.metrics, "POST", METRICS)
    assert (refusal.status, refusal.all("allow")) == (405, ["GET, HEAD"])
    assert fetch(gateway.data, "GET", METRICS).status == 404


def test_metrics_as_a_public_api(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"plugin_attr": {"prometheus": {"enable_export_server": False}}})
    gateway.put("routes", "metrics", {"uri": METRICS, "plugins": {"public-api": {}}})
    assert fetch(gateway.data, "GET", METRICS).status == 200
    with pytest.raises(OSError):  # noqa: PT011 - whichever the system says
        fetch(gateway.metrics, "GET", METRICS)


@pytest.fixture
def taken() -> Iterator[None]:
    """The ports where control API and metrics are by default."""
    with ExitStack() as sockets:
        for port in (9090, 9091):
            with suppress(AssertionError):  # it is taken for long, by a Prometheus: that does as well
                wait(partial(_hold, port, sockets), f"port {port}, which another run may have", seconds=5)
        yield


def _hold(port: int, sockets: ExitStack) -> bool:
    try:
        sockets.enter_context(socket.create_server(("127.0.0.1", port)))
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize("workers", [1, 2])
def test_port_that_nobody_asked_for_may_be_taken(start_gateway: StartGateway, workers: int) -> None:
    """Prometheus itself listens on 9090: that must not keep a first gateway from starting."""
    gateway = start_gateway(
        {"apisix": {"control": None}, "plugin_attr": None, "batchway": {"workers": workers}}
    )
    assert gateway.healthy()
    gateway.wait_log("not served, another process has the port", 2)
    gateway.wait_log("batchway is ready", 1)
    (ready,) = (line for line in gateway.log().splitlines() if '"batchway is ready"' in line)
    assert '"control": null, "metrics": null' in ready


def test_port_that_was_asked_for_must_be_free(start_gateway: StartGateway) -> None:
    first = start_gateway()
    second = Gateway(
        first.directory / "second", {"apisix": {"control": {"ip": "127.0.0.1", "port": first.control[1]}}}
    )
    second.directory.mkdir()
    second.write_config()
    assert second.spawn().wait(20) != 0
    assert "apisix.control: " in second.log()


def access_log(**changes: object) -> Document:
    return {"nginx_config": {"http": {"enable_access_log": True, **changes}}}


def test_line_of_each_request_and_item(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway(access_log())
    put_routes(gateway, nginx)
    fetch(gateway.data, "GET", "/hello?a=%20b")
    gateway.batch(["/hello", "/nowhere"])
    lines = log_lines(gateway.directory / "logs" / "access.log", 4)
    plain = next(line for line in lines if "?a=%20b" in line)
    address = "{}:{}".format(*nginx.address)
    assert '"GET /hello?a=%20b HTTP/1.1" 200 ' in plain
    assert f" {address} " in plain
    assert plain.endswith(" hello - -")
    batch = next(line for line in lines if f'"POST {BATCH} HTTP/1.1" 200' in line)
    batch_id = batch.split()[-1]
    assert re.fullmatch("[0-9a-f]{32}", batch_id)
    items = sorted(line.partition('"')[2].split('"')[0] for line in lines if line.endswith(batch_id))
    assert items == ["GET /hello HTTP/1.1", "GET /nowhere HTTP/1.1", f"POST {BATCH} HTTP/1.1"]


def test_json_format_to_a_file_of_one_s_own(start_gateway: StartGateway, nginx: Nginx) -> None:
    template = '{"uri":"$request_uri","agent":"$http_user_agent","id":"$http_x_request_id"}'
    gateway = start_gateway(
        access_log(access_log="own.log", access_log_format=template, access_log_format_escape="json")
    )
    put_routes(gateway, nginx)
    fetch(gateway.data, "GET", "/hello", headers={"User-Agent": 'a"b\\c'})
    (line,) = log_lines(gateway.directory / "own.log", 1)
    assert json.loads(line) == {"uri": "/hello", "agent": 'a"b\\c', "id": ""}


def test_log_is_made_anew_on_reload(start_gateway: StartGateway) -> None:
    gateway = start_gateway(access_log())
    path = gateway.directory / "logs" / "access.log"
    fetch(gateway.data, "GET", "/1")
    assert len(log_lines(path, 1)) == 1
    path.rename(path.with_suffix(".old"))
    gateway.reload()
    fetch(gateway.data, "GET", "/2")
    (line,) = log_lines(path, 1)
    assert "/2 " in line
    gateway.reload(access_log(enable_access_log=False))
    fetch(gateway.data, "GET", "/3")
    assert gateway.stop(signal.SIGTERM) == 0
    assert log_lines(path, 1) == [line]


def test_nothing_is_lost_at_the_end(start_gateway: StartGateway) -> None:
    gateway = start_gateway(access_log())
    for number in range(50):
        fetch(gateway.data, "GET", f"/{number}")
    assert gateway.stop() == 0
    assert len((gateway.directory / "logs" / "access.log").read_text().splitlines()) == 50


def test_traces_and_request_ids_are_passed_on(start_gateway: StartGateway, scripted: StartScripted) -> None:
    gateway, upstream = start_gateway(), scripted(each(echo))
    plugins: Document = {"request-id": {}}
    gateway.put("routes", "1", {"uri": "/*", "plugins": plugins, "upstream": {"nodes": nodes(upstream)}})
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    own = {"path": "/own", "headers": {"X-Request-Id": "item-1"}}
    headers = {"traceparent": trace, "X-Request-Id": "batch-1"}
    answer = gateway.batch(["/a", own], headers=headers)
    seen = [reply["body"].lower() for reply in answer.json()]
    assert all(f"traceparent: {trace}" in one for one in seen)
    assert ["x-request-id: batch-1" in one for one in seen] == [True, False]
    assert ["x-request-id: item-1" in one for one in seen] == [False, True]
    assert [reply["headers"]["X-Request-Id"] for reply in answer.json()] == ["batch-1", "item-1"]
