"""Requests per second through each peer, and how long a batch of slow items takes."""

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import peers
from bench.client import BATCH_PATH, Client, batch_of
from bench.errors import BenchError
from bench.processes import Server
from bench.wrk import load

SLOW_BATCH_ITEMS = 50
SLOW_BATCH_TARGET_MS = 40
WARM_UP_S = 1.0
SIZE_TOLERANCE = 0.02


@dataclass(frozen=True)
class Sample:
    """One round of one measurement."""

    rate: float
    """Requests per second that reached the upstream."""
    cpu_us: float
    """CPU time of the gateway for each of them, in microseconds."""
    cpu_share: float
    """How much of its core the gateway had."""
    p50_ms: float
    p99_ms: float


@dataclass
class Measurement:
    """What is measured, and what came of it."""

    peer: str
    items: int
    """Items in a batch; 0 is a plain request."""
    path: str = peers.FAST
    connections: int = 64
    """1 for slow batches: one client, one after another."""
    target: float | None = None
    """The least ratio to nginx's plain rate, or the most milliseconds of a slow batch."""
    samples: list[Sample] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What a reader calls it."""
        match self.items, self.path:
            case 0, _:
                return "plain requests"
            case items, peers.SLOW:
                return f"a batch of {items} x {peers.SLOW_MS} ms"
            case items, _:
                return f"batches of {items}"

    def median(self, figure: str) -> float:
        """The median of that figure over the rounds."""
        figures: list[float] = [getattr(sample, figure) for sample in self.samples]
        return statistics.median(figures)


def measurements(wanted: set[str]) -> list[Measurement]:
    """All that is to be measured, in the order of one round."""
    found = [Measurement("nginx", 0)]
    for peer in ("batchway", "naive"):
        if peer not in wanted:
            continue
        targets = (0.5, 0.35, 0.12) if peer == "batchway" else (None, None, None)
        for items, connections, target in zip((50, 10, 1), (4, 16, 64), targets, strict=True):
            found.append(Measurement(peer, items, connections=connections, target=target))
        if peer == "batchway":
            found.append(Measurement(peer, 0))
        slow_target = SLOW_BATCH_TARGET_MS if peer == "batchway" else None
        found.append(Measurement(peer, SLOW_BATCH_ITEMS, peers.SLOW, 1, slow_target))
    return found


class Speed:
    """All servers, running, and how each kind of measurement is taken on them."""

    def __init__(self, bed: peers.Bed, seconds: float) -> None:
        self._bed = bed
        self._seconds = seconds
        self._servers: dict[tuple[str, str], Server] = {}

    @contextlib.contextmanager
    def started(self, wanted: set[str]) -> Iterator[None]:
        """Every server that is wanted, for as long as the block lasts."""
        with contextlib.ExitStack() as stack:
            fast = self._upstream = stack.enter_context(peers.upstream(self._bed))
            slow = stack.enter_context(peers.slow_upstream(self._bed))
            servers = self._servers
            servers["nginx", peers.FAST] = stack.enter_context(peers.nginx(self._bed, fast))
            if "naive" in wanted:
                servers["naive", peers.FAST] = stack.enter_context(peers.naive(self._bed, fast))
                servers["naive", peers.SLOW] = stack.enter_context(peers.naive(self._bed, slow))
            if "batchway" in wanted:
                gateway = stack.enter_context(peers.batchway(self._bed, fast, slow))
                servers["batchway", peers.FAST] = servers["batchway", peers.SLOW] = gateway
            yield

    def take(self, measurement: Measurement) -> Sample:
        """One round of it. Raises BenchError if any answer is wrong."""
        server = self._servers[measurement.peer, measurement.path]
        with contextlib.closing(Client(server.address)) as client:
            if measurement.path == peers.SLOW:
                return self._slow_batches(measurement, server, client)
            return self._under_load(measurement, server, client)

    def _under_load(self, measurement: Measurement, server: Server, client: Client) -> Sample:
        url = f"http://{server.address}{BATCH_PATH if measurement.items else peers.FAST}"
        batch = self._check(measurement, client)
        expected_bytes = client.response_bytes
        connections = measurement.connections
        load(url, connections=connections, seconds=WARM_UP_S, batch=batch)
        served, cpu_s = self._served(), server.cpu_s()
        seen = load(url, connections=connections, seconds=self._seconds, batch=batch)
        served, cpu_s = self._served() - served, server.cpu_s() - cpu_s
        self._check(measurement, client)
        if abs(seen.bytes_per_response / expected_bytes - 1) > SIZE_TOLERANCE:
            raise BenchError(
                f"{url}: answers of {seen.bytes_per_response:.0f} bytes under load, "
                f"but {expected_bytes} bytes without it"
            )
        requests = seen.requests * max(1, measurement.items)
        if served < requests:
            raise BenchError(f"{url}: {requests} answers, but the upstream gave only {served}")
        return Sample(
            rate=requests / seen.seconds,
            cpu_us=cpu_s / requests * 1e6,
            cpu_share=cpu_s / seen.seconds,
            p50_ms=seen.p50_ms,
            p99_ms=seen.p99_ms,
        )

    def _check(self, measurement: Measurement, client: Client) -> Path | None:
        """See that one answer is right to the last byte; the file with the batch, if it is one."""
        if not measurement.items:
            if client.send("GET", measurement.path) != b"ok\n":
                raise BenchError(f"{measurement.peer}: not the answer of the upstream")
            return None
        client.check_batch(measurement.items, measurement.path)
        path = self._bed.folder / f"batch-{measurement.items}.json"
        path.write_bytes(batch_of(measurement.items, measurement.path))
        return path

    def _slow_batches(self, measurement: Measurement, server: Server, client: Client) -> Sample:
        items = measurement.items
        batch = batch_of(items, measurement.path)
        for _ in range(10):
            client.check_batch(items, measurement.path)
        cpu_s, start, took_ms = server.cpu_s(), time.perf_counter(), list[float]()
        while (now := time.perf_counter()) < start + self._seconds:
            client.send_batch(batch, items)
            took_ms.append((time.perf_counter() - now) * 1e3)
        cpu_s, requests = server.cpu_s() - cpu_s, items * len(took_ms)
        return Sample(
            rate=requests / (now - start),
            cpu_us=cpu_s / requests * 1e6,
            cpu_share=cpu_s / (now - start),
            p50_ms=statistics.median(took_ms),
            p99_ms=statistics.quantiles(took_ms, n=100)[-1],
        )

    def _served(self) -> int:
        """How many requests the fast upstream has answered, by its own count."""
        with contextlib.closing(Client(self._upstream.address)) as client:
            return int(client.send("GET", "/served").split()[9])


def measure(bed: peers.Bed, wanted: set[str], rounds: int, seconds: float) -> list[Measurement]:
    """Every measurement, once a round, so that a slow minute of the machine falls on all alike."""
    found = measurements(wanted)
    os.sched_setaffinity(0, {bed.load_core})
    speed = Speed(bed, seconds)
    with speed.started(wanted):
        for number in range(1, rounds + 1):
            for measurement in found:
                _show(f"round {number}/{rounds}: {measurement.peer}, {measurement.name}")
                measurement.samples.append(speed.take(measurement))
    _show("")
    return found


def _show(progress: str) -> None:
    """One line that the next one replaces, where somebody is watching."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{progress}", end="", file=sys.stderr, flush=True)
