"""Asking an app, and reading what it says."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from batchway.rpc import Context, RpcApp
from tests.engine.clock import InstantLoop

T = TypeVar("T")


def run(
    main: Coroutine[Any, Any, T], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> T:
    """Run `main` to its end. Fails if it leaves a task behind."""

    async def checked() -> T:
        result = await main
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(checked())


def play(main: Coroutine[Any, Any, T]) -> T:
    """As `run`, where waiting takes no time. Not for what runs in threads."""
    return run(main, InstantLoop)


def call(method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
    """A call; a notification if `id` is `...`."""
    made: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        made["params"] = params
    return made if id is ... else {**made, "id": id}


async def ask(app: RpcApp, said: Any, context: Context | None = None) -> Any:
    """The answer to a body, which may be given as what it stands for; None if there is none."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    answer = await app.handle(body, context)
    return None if answer is None else json.loads(answer)


def answer(app: RpcApp, said: Any, context: Context | None = None) -> Any:
    """As `ask`. Fails if a task is left behind."""
    return run(ask(app, said, context))


def result(app: RpcApp, method: str, params: Any = None, context: Context | None = None) -> Any:
    """The result of one call; fails if it has none."""
    said = answer(app, call(method, params), context)
    assert "error" not in said, said
    return said["result"]


def error(app: RpcApp, method: str, params: Any = None, context: Context | None = None) -> Any:
    """The error of one call; fails if it has none."""
    said = answer(app, call(method, params), context)
    assert "result" not in said, said
    assert said["id"] == 1
    return said["error"]


def raw_answer(app: RpcApp, body: bytes | str) -> bytes | None:
    """The answer as it is sent."""
    return run(app.handle(body))
