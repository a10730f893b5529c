"""`auto_batch`: calls that are made about the same time leave together, and stay apart otherwise."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from batchway.rpc import AnswerTimedOut, AsyncRpcClient, ClientClosed, HttpError, RpcClient, RpcError
from tests.integration.scripted import Behaviour, Scripted
from tests.loops import until

from .asking import run
from .service import answering, sent, url_of, well_behaved

LONG_S = 30.0
"""A window that only a full batch ends."""


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted(answering(well_behaved)) as server:
        yield server


def asked(
    server: Scripted, ask: Callable[[AsyncRpcClient], Coroutine[Any, Any, Any]], **options: Any
) -> Any:
    async def main() -> Any:
        async with AsyncRpcClient(url_of(server), auto_batch=True, **options) as client:
            return await ask(client)

    return run(main())


def held_back(release: threading.Event) -> Behaviour:
    """Answers once that is set."""

    def answer(said: Any) -> Any:
        release.wait(30)
        return well_behaved(said)

    return answering(answer)


def test_calls_of_many_tasks_leave_as_one_batch(server: Scripted) -> None:
    async def ask(client: AsyncRpcClient) -> Any:
        calls = [client.call("m", number) for number in range(5)]
        return await asyncio.gather(*calls, client.notify("n"))

    assert asked(server, ask, max_batch=6, batch_window_s=LONG_S) == [[0], [1], [2], [3], [4], None]
    (batch,) = sent(server)
    assert [call["method"] for call in batch] == ["m"] * 5 + ["n"]


def test_a_call_alone_leaves_when_the_window_ends_and_is_no_array(server: Scripted) -> None:
    assert asked(server, lambda client: client.call("m", 1)) == [1]
    assert sent(server) == [{"jsonrpc": "2.0", "method": "m", "params": [1], "id": 1}]


def test_a_full_batch_leaves_at_once(server: Scripted) -> None:
    async def ask(client: AsyncRpcClient) -> Any:
        return await asyncio.gather(*(client.call("m", number) for number in range(6)))

    asked(server, ask, max_batch=2, batch_window_s=LONG_S)
    assert [len(batch) for batch in sent(server)] == [2, 2, 2]


def test_each_call_gets_its_own_error() -> None:
    def answer(said: Any) -> Any:
        error = {"code": 5, "message": "odd"}
        good = {"jsonrpc": "2.0", "result": "even", "id": str(said[1]["id"])}
        return [good, {"jsonrpc": "2.0", "error": error, "id": said[0]["id"]}]

    async def ask(client: AsyncRpcClient) -> Any:
        return await asyncio.gather(client.call("a"), client.call("b"), return_exceptions=True)

    with Scripted(answering(answer)) as server:
        odd, even = asked(server, ask)
    assert isinstance(odd, RpcError)
    assert even == "even"


def test_a_batch_that_fails_fails_each_call() -> None:
    async def ask(client: AsyncRpcClient) -> Any:
        return await asyncio.gather(client.call("a"), client.call("b"), return_exceptions=True)

    with Scripted(answering(lambda _: b"", status="503 Busy")) as server:
        errors = asked(server, ask)
    assert all(isinstance(error, HttpError) for error in errors)
    assert errors[0] is not errors[1]


def test_a_call_cancelled_before_it_leaves_is_never_sent(server: Scripted) -> None:
    async def ask(client: AsyncRpcClient) -> Any:
        first = asyncio.create_task(client.call("first"))
        await asyncio.sleep(0)
        first.cancel()
        second = asyncio.create_task(client.call("second"))
        third = asyncio.create_task(client.call("third"))
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second, await third

    assert asked(server, ask, max_batch=2, batch_window_s=LONG_S) == ("second", "third")
    assert [call["method"] for call in sent(server)[0]] == ["second", "third"]


def test_a_call_cancelled_on_its_way_leaves_the_others_alone() -> None:
    release = threading.Event()

    async def ask(client: AsyncRpcClient) -> Any:
        first = asyncio.create_task(client.call("first"))
        second = asyncio.create_task(client.call("second"))
        await until(lambda: holding.requests)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        release.set()
        return await second

    with Scripted(held_back(release)) as holding:
        assert asked(holding, ask) == "second"


def test_a_batch_that_nobody_waits_for_any_more_is_cut_off() -> None:
    release = threading.Event()

    async def ask(client: AsyncRpcClient) -> None:
        tasks = [asyncio.create_task(client.call(name)) for name in "ab"]
        await until(lambda: holding.requests)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Its one connection is free again: this call would wait for it.
        await asyncio.sleep(0)
        release.set()
        assert await client.call("c") == "c"

    with Scripted(held_back(release)) as holding:
        asked(holding, ask, max_connections=1)
        assert holding.accepted == 2


def test_a_call_with_little_time_leaves_the_others_alone() -> None:
    release = threading.Event()

    async def ask(client: AsyncRpcClient) -> Any:
        patient = asyncio.create_task(client.call("patient"))
        with pytest.raises(AnswerTimedOut, match="hasty: no answer within 0.05 s"):
            await client.request("hasty", timeout_s=0.05)
        release.set()
        return await patient

    with Scripted(held_back(release)) as holding:
        assert asked(holding, ask, max_batch=2, batch_window_s=LONG_S) == "patient"


def test_closing_fails_what_waits() -> None:
    release = threading.Event()

    async def ask(client: AsyncRpcClient) -> Any:
        flying = asyncio.create_task(client.call("flying"))
        other = asyncio.create_task(client.call("other"))
        await until(lambda: holding.requests)
        waiting = asyncio.create_task(client.call("waiting"))
        await asyncio.sleep(0)
        await client.aclose()
        found = await asyncio.gather(flying, other, waiting, return_exceptions=True)
        release.set()
        return found

    with Scripted(held_back(release)) as holding:
        found = asked(holding, ask, max_batch=2, batch_window_s=LONG_S)
    assert [type(one) for one in found] == [ClientClosed] * 3


def test_calls_of_several_threads_leave_as_one_batch(server: Scripted) -> None:
    count = 8
    with (
        RpcClient(url_of(server), auto_batch=True, max_batch=count, batch_window_s=LONG_S) as client,
        ThreadPoolExecutor(count) as threads,
    ):
        assert sorted(threads.map(lambda number: client.call("m", number), range(count))) == [
            [number] for number in range(count)
        ]
    (batch,) = sent(server)
    assert len(batch) == count
