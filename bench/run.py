"""`make bench` and `make bench-memory`: run, print tables or JSON, say which targets are met."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import memory, peers, rpc, speed
from bench.errors import BenchError

PEERS = {"batchway", "naive"}
MIB = 1024 * 1024
BUSY = 0.9
"""A gateway that has less of its core than this was not the one that set the pace."""
LEGEND = """
requests/s  that reached the upstream, each item of a batch being one
ratio       of that to nginx's plain requests/s; by cpu: the same for equal CPU time
cpu us      the gateway's CPU time for each request
core        how much of its core the gateway had"""


def main() -> int:
    """Run what the command line asks for; 1 if the bench is worthless or memory grows."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended then, too
    try:
        with tempfile.TemporaryDirectory(prefix="batchway-bench-") as folder:
            bed = peers.Bed.make(Path(folder))
            return RUNS[options.what](bed, options)
    except BenchError as error:
        print(f"\nthe bench failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run_all(bed: peers.Bed, options: argparse.Namespace) -> int:
    """Measure the speed of all there is."""
    return run_speed(bed, options, with_http=True, with_rpc=True)


def run_http(bed: peers.Bed, options: argparse.Namespace) -> int:
    """Measure the gateway beside its peers."""
    return run_speed(bed, options, with_http=True)


def run_rpc(bed: peers.Bed, options: argparse.Namespace) -> int:
    """Measure JSON-RPC in process beside its peers."""
    return run_speed(bed, options, with_rpc=True)


def run_speed(
    bed: peers.Bed, options: argparse.Namespace, *, with_http: bool = False, with_rpc: bool = False
) -> int:
    """Measure speed and print it."""
    document: dict[str, Any] = {"machine": _machine()}
    if with_http:
        found = speed.measure(bed, options.peers, options.rounds, options.seconds)
        document["results"] = [_speed_row(measurement, nginx=found[0]) for measurement in found]
        if not options.json:
            _print_speed(document["results"], options)
    if with_rpc:
        document["rpc"] = rpc.rows(rpc.measure(options.rpc_rounds))
        if not options.json:
            _print_rpc(document["rpc"], options)
    if options.json:
        print(json.dumps(document, indent=2))
    return 0


def run_memory(bed: peers.Bed, options: argparse.Namespace) -> int:
    """Measure memory and print it as it is measured."""
    (peer,) = options.peers if len(options.peers) == 1 else ("batchway",)
    seen = []
    for sent, rss_bytes in memory.measure(bed, peer, options.items):
        seen.append(rss_bytes)
        if not options.json:
            print(f"{sent:>10,} items  {rss_bytes / MIB:8.1f} MiB", flush=True)
    growth = memory.growth(seen)
    flat = growth < memory.MAX_GROWTH
    if options.json:
        document = {"peer": peer, "rss_bytes": seen, "growth": growth, "flat": flat}
        print(json.dumps({"machine": _machine(), "memory": document}, indent=2))
    else:
        verdict = "flat" if flat else "NOT FLAT"
        print(
            f"{peer}: {growth:+.1%} after the first {memory.WARM_STEPS * memory.STEP_ITEMS:,} "
            f"items (target < {memory.MAX_GROWTH:.0%}): {verdict}"
        )
    return 0 if flat else 1


RUNS = {"all": run_all, "http": run_http, "rpc": run_rpc, "memory": run_memory}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.sh", description=__doc__)
    parser.add_argument("what", nargs="?", choices=RUNS, default="all")
    parser.add_argument("--seconds", type=float, default=5, help="how long each round measures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rpc-rounds", type=int, default=30, help="the best of them counts")
    parser.add_argument("--items", type=_many_items, default=1_000_000, help="for memory")
    parser.add_argument("--peers", type=_peers, default=PEERS, help="batchway,naive or one of them")
    parser.add_argument("--json", action="store_true")
    return parser


def _peers(text: str) -> set[str]:
    names = set(text.split(","))
    if not names <= PEERS:
        raise argparse.ArgumentTypeError(f"one or more of {', '.join(sorted(PEERS))}")
    return names


def _many_items(text: str) -> int:
    least = (memory.WARM_STEPS + 1) * memory.STEP_ITEMS
    if int(text) < least:
        raise argparse.ArgumentTypeError(f"at least {least}")
    return int(text)


def _speed_row(measurement: speed.Measurement, nginx: speed.Measurement) -> dict[str, Any]:
    rate, slow = measurement.median("rate"), measurement.path == peers.SLOW
    cpu_us = measurement.median("cpu_us")
    row: dict[str, Any] = {
        "peer": measurement.peer,
        "what": measurement.name,
        "connections": measurement.connections,
        "batches_per_s": rate / measurement.items if measurement.items else None,
        "requests_per_s": rate,
        "ratio": None if slow else rate / nginx.median("rate"),
        "ratio_by_cpu": None if slow else nginx.median("cpu_us") / cpu_us,
        "p50_ms": measurement.median("p50_ms"),
        "p99_ms": measurement.median("p99_ms"),
        "cpu_us": cpu_us,
        "cpu_share": measurement.median("cpu_share"),
        "target": None,
        "met": None,
    }
    if measurement.target is None:
        return row
    if slow:
        return row | {
            "target": f"p50 <= {measurement.target:g} ms",
            "met": row["p50_ms"] <= measurement.target,
        }
    return row | {
        "target": f"ratio >= {measurement.target:g}",
        "met": row["ratio"] >= measurement.target,
    }


def _print_speed(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    print(f"{_machine_line()}\nmedian of {options.rounds} rounds of {options.seconds:g} s\n")
    _print_table(rows)
    print(LEGEND)
    if rows[0]["cpu_share"] < BUSY:
        print(
            "\nnginx could not use its whole core: the load, or another process on this machine, "
            "held it back, and the ratios look better than they are (by cpu, they do not)"
        )


def _print_rpc(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    print(f"\nJSON-RPC in process, batches of {rpc.CALLS}, best of {options.rpc_rounds} rounds\n")
    print(f"{'':18} {'us/call':>8} {'to batchway':>12}  target")
    for row in rows:
        verdict = {None: "", True: "met", False: "MISSED"}[row["met"]]
        ratio = f"{row['to_batchway']:.2f} x"
        line = f"{row['server']:18} {row['us_per_call']:8.2f} {ratio:>12}  {row['target'] or ''} {verdict}"
        print(line.rstrip())


def _print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'':9} {'':22} {'clients':>7} {'batches/s':>9} {'requests/s':>10} {'ratio':>5} "
        f"{'by cpu':>6} {'p50 ms':>7} {'p99 ms':>7} {'cpu us':>7} {'core':>5}  target"
    )
    for row in rows:
        batches = "" if row["batches_per_s"] is None else f"{row['batches_per_s']:.0f}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        by_cpu = "" if row["ratio"] is None else f"{row['ratio_by_cpu']:.2f}"
        verdict = {None: "", True: "met", False: "MISSED"}[row["met"]]
        line = (
            f"{row['peer']:9} {row['what']:22} {row['connections']:>7} {batches:>9} "
            f"{row['requests_per_s']:>10.0f} {ratio:>5} {by_cpu:>6} {row['p50_ms']:>7.2f} "
            f"{row['p99_ms']:>7.2f} {row['cpu_us']:>7.1f} {row['cpu_share']:>5.0%}  "
            f"{row['target'] or ''} {verdict}"
        )
        print(line.rstrip())


def _machine() -> dict[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "nginx": _nginx_version(),
    }


def _machine_line() -> str:
    machine = _machine()
    return f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, {machine['nginx']}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _nginx_version() -> str:
    done = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
    return done.stderr.rpartition(": ")[2].strip()


if __name__ == "__main__":
    sys.exit(main())
