"""Nodes that fail are in the log, and do not fill it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from batchway.errors import UpstreamBroken, UpstreamError, UpstreamRefused
from batchway.upstream.failures import INTERVAL_S, Failures

from .asking import BLOCK, Client, request
from .servers import closed_port


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_line_for_many_failures_and_their_number_later() -> None:
    clock = Clock()
    failures = Failures(clock)
    with capture_logs() as lines:
        for _ in range(1000):
            failures.note("a:80", UpstreamRefused("no"))
        clock.now += INTERVAL_S
        failures.note("a:80", UpstreamRefused("no"))

    assert [(line["node"], line["error"], line["untold"]) for line in lines] == [
        ("a:80", UpstreamRefused.code, 0),
        ("a:80", UpstreamRefused.code, 999),
    ]
    assert {(line["event"], line["log_level"]) for line in lines} == {("upstream node failed", "warning")}


def test_another_node_and_another_failure_have_lines_of_their_own() -> None:
    failures = Failures(Clock())
    with capture_logs() as lines:
        failures.note("a:80", UpstreamRefused("no"))
        failures.note("b:80", UpstreamRefused("no"))
        failures.note("a:80", UpstreamBroken("no"))

    assert len(lines) == 3


def test_what_is_remembered_is_bounded() -> None:
    failures = Failures(Clock())
    with capture_logs():
        for port in range(5000):
            failures.note(f"a:{port}", UpstreamRefused("no"))

    assert len(failures._told) <= 1024


def test_every_try_that_failed_is_told() -> None:
    async def ask() -> list[str]:
        ports = [closed_port(), closed_port()]
        async with Client.running() as client:
            with pytest.raises(UpstreamError):
                await client.upstream(ports).send(request(), BLOCK)
        return [f"127.0.0.1:{port}" for port in ports]

    with capture_logs() as lines:
        nodes = asyncio.run(ask())

    assert sorted(line["node"] for line in lines) == sorted(nodes)
