"""A JSON-RPC server in a thread, for clients to talk to: one that behaves, and one that is scripted."""

import json
from collections.abc import Callable
from typing import Any

from tests.integration.scripted import Behaviour, Received, Scripted, each, ok

Answer = Callable[[Any], Any]
"""What to answer to what was sent, both as JSON stands for; None is no body at all."""


def result(call: Any) -> Any:
    """The answer to a call: its params, or its method if it has none."""
    return {"jsonrpc": "2.0", "result": call.get("params", call["method"]), "id": call["id"]}


def well_behaved(said: Any) -> Any:
    """Answers each call."""
    if isinstance(said, dict):
        return result(said) if "id" in said else None
    return [result(call) for call in said if "id" in call] or None


def answering(answer: Answer, *headers: str, status: str = "200 OK") -> Behaviour:
    """A server that answers every request so."""

    def reply(request: Received) -> bytes:
        found = answer(json.loads(request.body))
        if found is None:
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        return ok(body, "Content-Type: application/json", *headers, status=status)

    return each(reply)


def url_of(server: Scripted, path: str = "/") -> str:
    """Where it is."""
    host, port = server.address
    return f"http://{host}:{port}{path}"


def sent(server: Scripted) -> list[Any]:
    """What came, as JSON stands for."""
    return [json.loads(request.body) for request in server.requests]
