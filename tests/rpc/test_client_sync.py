"""The client for code that is not async: its thread, and what becomes of that."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from batchway.rpc import ClientClosed, ClientError, RpcClient, RpcError
from tests.integration.scripted import Peer, Scripted

from .service import answering, sent, url_of, well_behaved


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted(answering(well_behaved)) as server:
        yield server


def own_threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "batchway-rpc-client"]


def test_calls_batches_and_the_rest(server: Scripted) -> None:
    with RpcClient(url_of(server)) as client:
        assert client.call("m", 1) == [1]
        assert client.call("m", 5, result_type=tuple[int]) == (5,)
        assert client.request("m", {"a": 1}) == {"a": 1}
        client.notify("n", a=2)
        assert client.proxy("tennis").ping() == "tennis@ping"
        with client.batch() as batch:
            one = batch.call("one")
            two = batch.call("two", 2)
        assert (one.result, two.result) == ("one", [2])
        assert [reply.result for reply in client.batch(["a", ("b", [1])])] == ["a", [1]]
        assert client.raw({"method": "m", "id": "x"})["id"] == "x"
    assert server.accepted == 1
    assert sent(server)[3] == {"jsonrpc": "2.0", "method": "n", "params": {"a": 2}}


def test_errors_are_raised_where_the_call_was_made() -> None:
    def answer(said: dict[str, object]) -> object:
        return {"jsonrpc": "2.0", "error": {"code": 5, "message": "no"}, "id": said["id"]}

    with Scripted(answering(answer)) as server, RpcClient(url_of(server)) as client:
        with pytest.raises(RpcError, match="no"):
            client.call("m")


def test_it_works_where_a_loop_runs(server: Scripted) -> None:
    async def main() -> object:
        with RpcClient(url_of(server)) as client:
            return client.call("m", 1)

    assert asyncio.run(main()) == [1]


def test_the_thread_begins_with_the_first_call_and_ends_with_the_client(server: Scripted) -> None:
    client = RpcClient(url_of(server))
    assert own_threads() == []
    client.call("m")
    assert len(own_threads()) == 1
    client.close()
    assert own_threads() == []
    client.close()  # twice is no harm
    with pytest.raises(ClientClosed):
        client.call("m")
    server.wait(lambda one: one.open == 0)


def test_a_client_that_was_never_used_is_closed_without_a_thread() -> None:
    client = RpcClient("http://127.0.0.1:1/")
    client.close()
    with pytest.raises(ClientClosed):
        client.call("m")


def test_a_client_that_is_forgotten_takes_its_thread_along(server: Scripted) -> None:
    client = RpcClient(url_of(server))
    with Scripted(lambda peer: peer.read()) as closing:  # whose connections are gone by then
        other = RpcClient(url_of(closing), retries=0)
        with pytest.raises(ClientError):
            other.call("m")
        del other
        gc.collect()
    assert own_threads() == []
    client.close()


def test_closing_ends_the_calls_of_other_threads() -> None:
    arrived = threading.Event()

    def hold(peer: Peer) -> None:
        peer.read()
        arrived.set()
        peer.read()

    errors: list[BaseException] = []
    with Scripted(hold) as server:
        client = RpcClient(url_of(server))

        def ask() -> None:
            try:
                client.call("m")
            except ClientError as error:
                errors.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        assert arrived.wait(30)
        client.close()
        asking.join(30)
    assert len(errors) == 1


# A process of its own: pytest's has threads, which Python warns of when it forks.
_FORKING = """
import os, sys
from batchway.rpc import RpcClient

client = RpcClient(sys.argv[1], retries=0)
assert client.call("m", "before") == ["before"]
child = os.fork()
if not child:
    assert client.call("m", "child") == ["child"]
    client.close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert client.call("m", "after") == ["after"]
child = os.fork()
if not child:
    sys.exit(0)  # leaves the client alone, and in good order
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert client.call("m", "still") == ["still"]
print("done")
"""


def test_a_forked_process_connects_anew(server: Scripted) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _FORKING, url_of(server)],
        capture_output=True,
        timeout=50,
        check=False,
        env=os.environ,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"done\n", b"")
    assert [call["params"] for call in sent(server)] == [["before"], ["child"], ["after"], ["still"]]
    assert server.accepted == 2  # the parent's connection, and the child's


_LEAVING = """
import sys
from batchway.rpc import RpcClient

client = RpcClient(sys.argv[1])
print(client.call("m", 1), flush=True)
"""


def test_a_process_ends_without_closing_its_client(server: Scripted) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LEAVING, url_of(server)], capture_output=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"[1]\n", b"")
