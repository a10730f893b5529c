"""wrk, the load generator, and what it says."""

import json
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.processes import run_tool

SCRIPT = Path(__file__).with_name("report.lua")
ERRORS = ("non_2xx", "connect", "read", "write", "timeout")


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw."""

    requests: int
    seconds: float
    bytes_per_response: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def load(url: str, *, connections: int, seconds: float, batch: Path | None = None) -> Load:
    """Keep that many connections busy for that long, with GETs or with the batch of that file.

    Raises BenchError if any answer was an error, or none came.
    """
    # wrk knows whole seconds only
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout=10s"]
    environment = {"BATCH_FILE": str(batch)} if batch else {}
    output = run_tool([*command, f"--script={SCRIPT}", url], environment, seconds + 30)
    figures: dict[str, int] = json.loads(output.splitlines()[-1])
    errors = {name: figures[name] for name in ERRORS if figures[name]}
    if errors or not figures["requests"]:
        raise BenchError(f"{url}: {figures['requests']} answers, errors: {errors}")
    return Load(
        requests=figures["requests"],
        seconds=figures["duration_us"] / 1e6,
        bytes_per_response=figures["bytes"] / figures["requests"],
        p50_ms=figures["p50_us"] / 1e3,
        p99_ms=figures["p99_us"] / 1e3,
    )
