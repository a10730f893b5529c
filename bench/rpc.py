"""JSON-RPC in process, bytes in to bytes out: batchway beside other servers and a hand-written loop.

All run in turns in the same process, each with the same method: two integers in, their sum out. The time of
each is the best of its rounds, as what else the machine does can only add to it.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from jsonrpc import Dispatcher, JSONRPCResponseManager
from jsonrpclib.SimpleJSONRPCServer import SimpleJSONRPCDispatcher
from msgspec import UNSET, Raw, Struct, UnsetType
from pjrpc.server import AsyncDispatcher, MethodRegistry

from batchway.rpc import Procedure, RpcApp, method
from bench.errors import BenchError

Server = Callable[[bytes], Awaitable[Any]]

OWN, HAND_WRITTEN = "batchway", "msgspec by hand"
MOST_OF_HAND_WRITTEN = 1.5
"""What batchway's time may be of that of the loop."""
MOST_OF_FASTEST_PEER = 0.5
CALLS = 100
"""In a batch."""
BATCHES_A_ROUND = 100
"""The first few of a round find the caches full of what another server needs."""


class Maths(Procedure):
    """What is called."""

    name = "maths"

    @method
    async def add(self, a: int, b: int) -> int:
        """The sum."""
        return a + b


def batchway(calls: int) -> Server:
    """This one."""
    app = RpcApp([Maths], max_items=calls)
    return app.handle


def hand_written(_: int) -> Server:
    """What one would write with msgspec: a version, any id, params of both kinds, errors; no limits."""

    class Call(Struct):
        jsonrpc: Literal["2.0"]
        method: str
        params: Raw = Raw(b"[]")
        id: int | float | str | None | UnsetType = UNSET

    class Answer(Struct):
        id: int | float | str | None
        result: Any | UnsetType = UNSET
        error: dict[str, Any] | UnsetType = UNSET
        jsonrpc: str = "2.0"

    class Sum(Struct, forbid_unknown_fields=True):
        a: int
        b: int

    decode = msgspec.json.Decoder(list[Call]).decode
    encode = msgspec.json.Encoder().encode
    methods = {"maths@add": (Maths().add, msgspec.json.Decoder(tuple[int, int] | Sum).decode)}

    async def call_one(call: Call) -> Any:
        function, decode_params = methods[call.method]
        params = decode_params(call.params)
        return await function(*params if isinstance(params, tuple) else msgspec.structs.astuple(params))

    async def serve(body: bytes) -> bytes | None:
        answers = []
        for call in decode(body):
            error: dict[str, Any] | UnsetType = UNSET
            result: Any = UNSET
            try:
                result = await call_one(call)
            except KeyError:
                error = {"code": -32601, "message": "Method not found"}
            except msgspec.ValidationError:
                error = {"code": -32602, "message": "Invalid params"}
            except Exception:  # noqa: BLE001 - as by hand
                error = {"code": -32603, "message": "Internal error"}
            if call.id is not UNSET:
                answers.append(Answer(call.id, result, error))
        return encode(answers) if answers else None

    return serve


def pjrpc(_: int) -> Server:
    """pjrpc, its asynchronous dispatcher."""
    registry = MethodRegistry()
    registry.add_method(Maths().add, name="maths@add")
    dispatcher: Any = AsyncDispatcher()
    dispatcher.add_methods(registry)

    async def serve(body: bytes) -> Any:
        text, _ = await dispatcher.dispatch(body.decode(), context=None)
        return text.encode()

    return serve


def add(a: int, b: int) -> int:
    """The sum, for servers that are not asynchronous."""
    return a + b


def json_rpc(_: int) -> Server:
    """json-rpc; not asynchronous."""
    dispatcher = Dispatcher({"maths@add": add})

    async def serve(body: bytes) -> Any:
        return JSONRPCResponseManager.handle(body.decode(), dispatcher).json.encode()

    return serve


def pelix(_: int) -> Server:
    """jsonrpclib-pelix; not asynchronous."""
    dispatcher = SimpleJSONRPCDispatcher()
    dispatcher.register_function(add, "maths@add")

    async def serve(body: bytes) -> Any:
        return dispatcher._marshaled_dispatch(body.decode()).encode()

    return serve


SERVERS = {
    OWN: batchway,
    HAND_WRITTEN: hand_written,
    "jsonrpclib-pelix": pelix,
    "json-rpc": json_rpc,
    "pjrpc": pjrpc,
}


def batch(calls: int) -> bytes:
    """The body."""
    return json.dumps(
        [
            {"jsonrpc": "2.0", "method": "maths@add", "params": [number, 1], "id": number}
            for number in range(calls)
        ]
    ).encode()


def measure(rounds: int) -> dict[str, float]:
    """Microseconds that each server takes for one call. Raises BenchError."""
    logging.disable()
    try:
        return asyncio.run(_measure(rounds))
    finally:
        logging.disable(logging.NOTSET)


async def _measure(rounds: int) -> dict[str, float]:
    body = batch(CALLS)
    servers = {name: make(CALLS) for name, make in SERVERS.items()}
    best = dict.fromkeys(servers, float("inf"))
    for name, serve in servers.items():
        results = [answer["result"] for answer in json.loads(await serve(body))]
        if results != [number + 1 for number in range(CALLS)]:
            message = f"{name} answers something else"
            raise BenchError(message)
    for _ in range(rounds):
        for name, serve in servers.items():
            best[name] = min(best[name], await _time_us(serve, body))
    return best


async def _time_us(serve: Server, body: bytes) -> float:
    start = time.perf_counter()
    for _ in range(BATCHES_A_ROUND):
        await serve(body)
    return (time.perf_counter() - start) * 1e6 / BATCHES_A_ROUND / CALLS


def rows(found: dict[str, float]) -> list[dict[str, Any]]:
    """One for each server: its time, the ratio of it to batchway's, the target if there is one."""
    own = found[OWN]
    fastest_peer = min(found.keys() - {OWN, HAND_WRITTEN}, key=found.__getitem__)
    targets = {HAND_WRITTEN: MOST_OF_HAND_WRITTEN, fastest_peer: MOST_OF_FASTEST_PEER}
    return [
        {
            "server": name,
            "us_per_call": took_us,
            "to_batchway": took_us / own,
            "target": f"batchway <= {targets[name]:g} x" if name in targets else None,
            "met": own <= targets[name] * took_us if name in targets else None,
        }
        for name, took_us in found.items()
    ]
