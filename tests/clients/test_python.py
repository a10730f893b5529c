"""Clients in Python, unchanged: calls, batches, errors, and notifications where they have them."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import jsonrpc_async
import jsonrpcclient
import jsonrpclib
import pjrpc.client.backend.aiohttp
import pjrpc.client.backend.requests
import pytest
import requests
import tinyrpc
import tinyrpc.client
import tinyrpc.protocols.jsonrpc
import tinyrpc.transports.http
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import Web3RPCError

from .service import RICH

ACCOUNT = Web3.to_checksum_address(RICH)
DIVISION_BY_ZERO = (1001, "Division by zero", {"a": 1.0})
FUTURE_BLOCK = 99


def notes(url: str, topic: str) -> Any:
    """What notifications have left under a topic."""
    sent = {"jsonrpc": "2.0", "method": "journal_read", "params": [topic], "id": 1}
    with requests.post(url, json=sent, timeout=30) as response:
        return response.json()["result"]


# --- web3.py


@pytest.fixture
def web3(url: str) -> Iterator[Web3]:
    session = requests.Session()
    with contextlib.closing(session):
        yield Web3(Web3.HTTPProvider(url, session=session))


def test_web3(web3: Web3) -> None:
    assert web3.is_connected()
    assert web3.client_version == "batchway/test"
    assert (web3.eth.chain_id, web3.eth.block_number, web3.eth.gas_price) == (4242, 7, 10**9)
    assert web3.net.version == "4242"


def test_web3_batch(web3: Web3) -> None:
    with web3.batch_requests() as batch:
        batch.add(web3.eth.get_balance(ACCOUNT))
        batch.add(web3.eth.get_transaction_count(ACCOUNT))
        batch.add(web3.eth.get_balance(Web3.to_checksum_address("0x" + "22" * 20)))
        assert batch.execute() == [10**18, 5, 0]


def test_web3_error(web3: Web3) -> None:
    with pytest.raises(Web3RPCError, match="Resource not found") as caught:
        web3.eth.get_balance(ACCOUNT, FUTURE_BLOCK)
    assert caught.value.rpc_response is not None
    assert caught.value.rpc_response["error"]["code"] == -32001
    with web3.batch_requests() as batch:
        batch.add(web3.eth.get_balance(ACCOUNT))
        batch.add(web3.eth.get_balance(ACCOUNT, FUTURE_BLOCK))
        with pytest.raises(Web3RPCError, match="Resource not found"):
            batch.execute()


def test_web3_async(url: str) -> None:
    async def main() -> None:
        provider = AsyncWeb3.AsyncHTTPProvider(url)
        web3 = AsyncWeb3(provider)
        assert await web3.eth.chain_id == 4242
        async with web3.batch_requests() as batch:
            batch.add(web3.eth.get_balance(ACCOUNT))
            batch.add(web3.eth.get_transaction_count(ACCOUNT))
            assert await batch.async_execute() == [10**18, 5]
        with pytest.raises(Web3RPCError, match="Resource not found"):
            await web3.eth.get_balance(ACCOUNT, FUTURE_BLOCK)
        await provider.disconnect()

    asyncio.run(main())


def test_web3_websocket(url: str) -> None:
    async def main() -> None:
        async with AsyncWeb3(WebSocketProvider(url.replace("http", "ws"))) as web3:
            assert await web3.eth.chain_id == 4242
            async with web3.batch_requests() as batch:
                batch.add(web3.eth.get_balance(ACCOUNT))
                batch.add(web3.eth.get_transaction_count(ACCOUNT))
                assert await batch.async_execute() == [10**18, 5]
            with pytest.raises(Web3RPCError, match="Resource not found"):
                await web3.eth.get_balance(ACCOUNT, FUTURE_BLOCK)

    asyncio.run(main())


# --- jsonrpcclient


def test_jsonrpcclient(url: str) -> None:
    with requests.Session() as session:

        def post(sent: Any) -> Any:
            return jsonrpcclient.parse(session.post(url, json=sent, timeout=30).json())

        request = jsonrpcclient.request
        assert post(request("maths_add", params=(1, 2), id=5)) == jsonrpcclient.Ok(3, 5)
        failed = post(request("maths_divide", params={"a": 1, "b": 0}, id="x"))
        assert failed == jsonrpcclient.Error(*DIVISION_BY_ZERO, "x")
        note = jsonrpcclient.notification("journal_note", params={"topic": "jc", "text": "in a batch"})
        found = list(post([request("maths_add", params=(1, 2), id=1), note, request("none", id=2)]))
        assert found == [jsonrpcclient.Ok(3, 1), jsonrpcclient.Error(-32601, "Method not found", None, 2)]
        note = jsonrpcclient.notification("journal_note", params={"topic": "jc", "text": "alone"})
        assert session.post(url, json=note, timeout=30).content == b""
    assert notes(url, "jc") == ["in a batch", "alone"]


# --- pjrpc


def test_pjrpc(url: str) -> None:
    with pjrpc.client.backend.requests.Client(url) as client:
        assert client.call("maths_add", 1, 2) == client.proxy.maths_add(a=1, b=2) == 3
        client.notify("journal_note", "pj", "alone")
        with client.batch() as batch:
            batch("maths_add", 1, 2)
            batch.notify("journal_note", "pj", "in a batch")
            batch("maths_add", 3, 4)
        assert list(batch.get_results()) == [3, 7]
        with client.batch() as batch:
            batch.notify("journal_note", "pj", "in a batch of notifications")
        assert batch.get_response() is None
        assert client.call("journal_read", "pj") == ["alone", "in a batch", "in a batch of notifications"]


def test_pjrpc_error(url: str) -> None:
    with pjrpc.client.backend.requests.Client(url) as client:
        with client.batch() as batch:
            batch("maths_add", 1, 2)
            batch("maths_divide", 1, 0)
        with pytest.raises(pjrpc.client.exceptions.JsonRpcError) as caught:
            list(batch.get_results())
        assert (caught.value.code, caught.value.message, caught.value.data) == DIVISION_BY_ZERO
        with pytest.raises(pjrpc.client.exceptions.MethodNotFoundError):
            client.call("none")
        with pytest.raises(pjrpc.client.exceptions.InvalidParamsError):
            client.call("maths_add", "x")


def test_pjrpc_async(url: str) -> None:
    async def main() -> None:
        async with pjrpc.client.backend.aiohttp.Client(url) as client:
            assert await client.call("maths_add", 1, 2) == 3
            async with client.batch() as batch:
                batch("maths_add", 1, 2)
                batch("maths_add", 3, 4)
            assert list(batch.get_results()) == [3, 7]

    asyncio.run(main())


# --- jsonrpclib-pelix


@pytest.fixture
def server(url: str) -> Iterator[Any]:
    found = jsonrpclib.ServerProxy(url)
    yield found
    found("close")()


def test_jsonrpclib(server: Any) -> None:
    assert server.maths_add(1, 2) == server.maths_add(a=1, b=2) == 3
    batch = jsonrpclib.MultiCall(server)
    batch.maths_add(1, 2)
    batch._notify.journal_note("px", "in a batch")
    batch.maths_add(3, 4)
    assert list(batch()) == [3, 7]
    assert server.journal_read("px") == ["in a batch"]


def test_jsonrpclib_error(server: Any) -> None:
    with pytest.raises(jsonrpclib.AppError) as caught:
        server.maths_divide(1, 0)
    assert caught.value.args[0] == DIVISION_BY_ZERO
    batch = jsonrpclib.MultiCall(server)
    batch.maths_add(1, 2)
    batch.none()
    results = batch()
    assert results[0] == 3
    with pytest.raises(jsonrpclib.ProtocolError, match="Method not found"):
        results[1]


def test_jsonrpclib_notification(never_204_url: str) -> None:
    server = jsonrpclib.ServerProxy(never_204_url)
    server._notify.journal_note("px", "alone")
    batch = jsonrpclib.MultiCall(server)
    batch._notify.journal_note("px", "in a batch of notifications")
    batch()
    assert server.journal_read("px") == ["alone", "in a batch of notifications"]
    server("close")()


# --- jsonrpc-async: it has no batches


def test_jsonrpc_async(url: str) -> None:
    async def main() -> None:
        async with jsonrpc_async.Server(url) as server:
            assert await server.maths_add(1, 2) == await server.maths_add(a=1, b=2) == 3
            with pytest.raises(jsonrpc_async.ProtocolError) as caught:
                await server.maths_divide(1, 0)
            assert caught.value.args[:2] == DIVISION_BY_ZERO[:2]

    asyncio.run(main())


def test_jsonrpc_async_notification(never_204_url: str) -> None:
    async def main() -> None:
        async with jsonrpc_async.Server(never_204_url) as server:
            await server.journal_note("ja", "alone", _notification=True)
            assert await server.journal_read("ja") == ["alone"]

    asyncio.run(main())


# --- tinyrpc


def test_tinyrpc(url: str) -> None:
    with requests.Session() as session:
        transport = tinyrpc.transports.http.HttpPostClientTransport(url, session.post)
        client = tinyrpc.RPCClient(tinyrpc.protocols.jsonrpc.JSONRPCProtocol(), transport)
        proxy = client.get_proxy()
        assert proxy.maths_add(1, 2) == client.call("maths_add", [], {"a": 1, "b": 2}) == 3
        client.get_proxy(one_way=True).journal_note("ti", "alone")
        assert proxy.journal_read("ti") == ["alone"]
        with pytest.raises(tinyrpc.protocols.jsonrpc.JSONRPCError, match="Division by zero"):
            proxy.maths_divide(1, 0)


def test_tinyrpc_batch(url: str) -> None:
    with requests.Session() as session:
        protocol = tinyrpc.protocols.jsonrpc.JSONRPCProtocol()
        made = [("maths_add", [1, 2]), ("maths_divide", [1, 0]), ("maths_add", [3, 4])]
        batch = protocol.create_batch_request([protocol.create_request(*one) for one in made])
        answer = session.post(url, data=batch.serialize(), timeout=30).content
        replies = protocol.parse_reply(answer)
        assert [getattr(one, "result", None) for one in replies] == [3, None, 7]
        assert (replies[1].error, replies[1]._jsonrpc_error_code) == DIVISION_BY_ZERO[1::-1]
