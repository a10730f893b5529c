"""Does the gateway's memory stay flat over a million items?"""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench import peers
from bench.client import Client, batch_of
from bench.processes import Server

ITEMS = 50
CLIENTS = 4
STEP_ITEMS = 100_000
WARM_STEPS = 2
"""After so many steps pools and caches must have reached their size."""
MAX_GROWTH = 0.05


def measure(bed: peers.Bed, peer: str, total_items: int) -> Iterator[tuple[int, int]]:
    """Items sent so far and resident bytes, after every step. Raises BenchError at a wrong reply."""
    os.sched_setaffinity(0, {bed.load_core})
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(peers.slow_upstream(bed))
        gateway = stack.enter_context(_gateway(bed, peer, upstream))
        clients = [Client(gateway.address) for _ in range(CLIENTS)]
        for client in clients:
            stack.callback(client.close)
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        clients[0].check_batch(ITEMS, peers.FAST)
        list(pool.map(_fill_pool, clients))
        for sent in range(STEP_ITEMS, total_items + 1, STEP_ITEMS):
            list(pool.map(_send_share, clients))
            yield sent, gateway.rss_bytes()
        clients[0].check_batch(ITEMS, peers.FAST)


def growth(rss_bytes: list[int]) -> float:
    """By how much memory has grown since it was warm, as a share of what it was then."""
    warm = rss_bytes[WARM_STEPS - 1]
    return (max(rss_bytes[WARM_STEPS:]) - warm) / warm


def _fill_pool(client: Client) -> None:
    """Have every item of every client wait at once, so that each gets a connection of its own.

    Fast items share a few: their number, and so memory, would creep up to the same for minutes.
    """
    batch = batch_of(ITEMS, peers.FAST + "?slow")
    for _ in range(50):
        client.send_batch(batch, ITEMS)


def _send_share(client: Client) -> None:
    """One client's share of a step."""
    batch = batch_of(ITEMS, peers.FAST)
    for _ in range(STEP_ITEMS // ITEMS // CLIENTS):
        client.send_batch(batch, ITEMS)


def _gateway(bed: peers.Bed, peer: str, fast: Server) -> contextlib.AbstractContextManager[Server]:
    return peers.naive(bed, fast) if peer == "naive" else peers.batchway(bed, fast, fast)
