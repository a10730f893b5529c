"""Any bytes as a JSON-RPC body: the app raises nothing, and says what another reading of the body expects.

Near-valid bodies are built from pieces; either profile is asked. What is checked: tests/rpc/model.py.

python fuzz/fuzz_jsonrpc.py -max_total_time=60 fuzz/corpus/fuzz_jsonrpc
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import atheris
import structlog

sys.path.insert(0, str(Path(__file__).parents[1]))

with atheris.instrument_imports():
    from batchway.rpc import Procedure, RpcApp, method

from tests.rpc import model

MAX_ITEMS, MAX_DEPTH = 6, 6
NAMES = ["fuzz@ping", "fuzz@echo", "fuzz@wait", "fuzz@fail", "rpc.discover", "none", ""]
MEMBERS = ["jsonrpc", "method", "params", "id", "x", ""]
ODD = [
    "1e400",
    "-1e400",
    "1e-400",
    "1.0",
    "-0",
    "1E+2",
    "9" * 40,
    "NaN",
    "-Infinity",
    "01",
    '"\\ud800"',
    '"2.\\u0030"',
]

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


class Fuzz(Procedure):
    """Methods of each kind: on the spot, later, and failing."""

    name = "fuzz"

    @method
    async def ping(self) -> str:
        """Has no parameters."""
        return "pong"

    @method
    async def echo(self, value: Any) -> Any:
        """Takes anything, and gives it back."""
        return value

    @method
    async def wait(self, *values: Any, **more: Any) -> list[Any]:
        """Needs a turn of the loop."""
        await asyncio.sleep(0)
        return [values, more]

    @method
    async def fail(self, number: int = 0) -> float:
        """Fails, if it is called rightly."""
        return 1 / number


APPS = {
    profile: RpcApp([Fuzz], profile=profile, max_items=MAX_ITEMS, max_depth=MAX_DEPTH)
    for profile in ("standard", "sajya")
}


class Builder:
    """Bodies that are near enough to valid ones to get far."""

    def __init__(self, data: atheris.FuzzedDataProvider) -> None:
        self.data = data

    def one_of(self, choices: list[str]) -> str:
        return choices[self.count(len(choices) - 1)]

    def count(self, most: int) -> int:
        return int(self.data.ConsumeIntInRange(0, most))

    def text(self) -> str:
        return json.dumps(
            self.data.ConsumeUnicodeNoSurrogates(self.count(8)), ensure_ascii=self.count(1) == 0
        )

    def value(self, room: int = 4) -> str:
        kind = self.count(7 if room else 5)
        if kind < 2:
            return self.one_of([str(self.count(300) - 100), "0", "true", "false", "null"])
        if kind < 4:
            return self.text()
        if kind < 5:
            return self.one_of(ODD)
        if kind < 6:
            depth = self.count(9)
            return "[" * depth + "]" * depth or "{}"
        if kind < 7:
            return "[" + ",".join(self.value(room - 1) for _ in range(self.count(3))) + "]"
        return "{" + ",".join(f"{self.text()}:{self.value(room - 1)}" for _ in range(self.count(3))) + "}"

    def entry(self) -> str:
        """Mostly a call, some of its members missing, odd, or there twice."""
        members = ['"jsonrpc":"2.0"', f'"method":{json.dumps(self.one_of(NAMES))}']
        if self.count(3):
            members.append(f'"params":{self.value()}')
        if self.count(3):
            members.append(f'"id":{self.value()}')
        for _ in range(self.count(2)):
            at = self.count(len(members))
            members[at : at + self.count(1)] = [f"{json.dumps(self.one_of(MEMBERS))}:{self.value()}"]
        space = self.one_of(["", " ", "\n"])
        return "{" + f",{space}".join(members) + "}"

    def body(self) -> str:
        if not self.count(3):
            return self.entry()
        entries = [
            self.entry() if self.count(7) else self.value() for _ in range(self.count(MAX_ITEMS + 1))
        ]
        return "[" + ",".join(entries) + "]"


def check(runner: asyncio.Runner, body: bytes) -> None:
    """Raises unless both profiles answer as they should."""
    for profile, app in APPS.items():
        said = runner.run(app.handle(body))
        model.check(profile, body, said, max_items=MAX_ITEMS, max_depth=MAX_DEPTH)


def main() -> None:
    runner = asyncio.Runner()

    def one_input(raw: bytes) -> None:
        if raw[:1] == b"\xff":  # which begins no JSON: the rest is for the builder
            check(runner, Builder(atheris.FuzzedDataProvider(raw[1:])).body().encode())
        else:
            check(runner, raw)

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
