"""Routes change all the time while requests flow: none is lost, and a write holds once it is answered."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count

import pytest
from msgspec import Struct, field

from .conftest import StartGateway
from .gateway import KEY, Document, Gateway, nodes
from .nginx import Nginx
from .waiting import wait

ROUTES = 2000
SECONDS = 3.0
A_SECOND = 200
"""Writes."""
CHANGING = 50
"""Routes that are written again and again."""
LOOK_EVERY = 10


class Report(Struct):
    """What was seen. Times in seconds, per request or write."""

    waits: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{len(self.waits)} requests: {_spread(self.waits)}; {len(self.writes)} writes: "
            f"{_spread(self.writes)}; {len(self.faults)} faults {self.faults[:3]}"
        )


def _spread(times: list[float]) -> str:
    ordered = sorted(times)
    return ", ".join(
        f"{share:.1%} {ordered[int((len(ordered) - 1) * share)] * 1e3:.2f} ms"
        for share in (0.5, 0.99, 0.999, 1)
    )


class Caller:
    """One connection that is kept."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.connection = http.client.HTTPConnection(*address, timeout=20)

    def close(self) -> None:
        self.connection.close()

    def status(self, method: str, target: str, document: Document | None = None) -> int:
        """Of the answer, which is read whole."""
        body = None if document is None else json.dumps(document)
        self.connection.request(method, target, body, {"X-API-KEY": KEY})
        response = self.connection.getresponse()
        response.read()
        return response.status


def fill(gateway: Gateway, nginx: Nginx, routes: int) -> None:
    """Make so many routes to one upstream."""
    gateway.put("upstreams", "all", {"nodes": nodes(nginx)})

    def make(first: int) -> None:
        with closing(Caller(gateway.admin_address)) as caller:
            for number in range(first, routes, 4):
                route = {"uri": f"/still/{number}", "upstream_id": "all"}
                assert caller.status("PUT", f"/apisix/admin/routes/still{number}", route) == 201

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))


def observe(gateway: Gateway, routes: int, seconds: float) -> Report:
    """Write and ask for so long."""
    report, over = Report(), threading.Event()
    tasks: list[Callable[[], None]] = [
        lambda: _ask(gateway, routes, report, over),
        lambda: _ask(gateway, routes, report, over),
        lambda: _write(gateway, report, over),
    ]
    with ThreadPoolExecutor(len(tasks)) as pool:
        running = [pool.submit(task) for task in tasks]
        over.wait(seconds)
        try:
            wait(lambda: report.waits and report.writes, "both, however late they have begun")
        finally:
            over.set()
        for one in running:
            one.result()
    return report


def _ask(gateway: Gateway, routes: int, report: Report, over: threading.Event) -> None:
    with closing(Caller(gateway.data)) as caller:
        for number in count():
            if over.is_set():
                return
            began = time.perf_counter()
            status = caller.status("GET", f"/still/{number * 7 % routes}")
            report.waits.append(time.perf_counter() - began)
            if status != 200:
                report.faults.append(f"/still answered {status}")


def _write(gateway: Gateway, report: Report, over: threading.Event) -> None:
    with closing(Caller(gateway.admin_address)) as admin, closing(Caller(gateway.data)) as caller:
        due = time.perf_counter()
        for number in count():
            due += 1 / A_SECOND
            if over.wait(max(0.0, due - time.perf_counter())):
                return
            name = number % CHANGING
            route = {"uri": f"/moving{name}/{number}", "upstream_id": "all"}
            began = time.perf_counter()
            status = admin.status("PUT", f"/apisix/admin/routes/moving{name}", route)
            report.writes.append(time.perf_counter() - began)
            if status not in (200, 201):
                report.faults.append(f"a write was answered {status}")
            if number % LOOK_EVERY == 0:
                _look(caller, name, number, report)


def _look(caller: Caller, name: int, number: int, report: Report) -> None:
    """The route is where it is now, and not where it was before."""
    if caller.status("GET", f"/moving{name}/{number}") != 200:
        report.faults.append("a write did not hold when it was answered")
    if number >= CHANGING and caller.status("GET", f"/moving{name}/{number - CHANGING}") != 404:
        report.faults.append("a route is still where it was")


@pytest.fixture
def gateway(start_gateway: StartGateway) -> Gateway:
    return start_gateway({"batchway": {"workers": 1}})


@pytest.mark.timeout(180)  # to make the routes is work for some seconds of a whole core
def test_no_request_is_lost_while_routes_change(gateway: Gateway, nginx: Nginx) -> None:
    fill(gateway, nginx, ROUTES)

    report = observe(gateway, ROUTES, SECONDS)

    assert not report.faults, report
    assert report.writes
    assert report.waits
