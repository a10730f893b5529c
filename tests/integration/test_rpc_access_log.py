"""What a running gateway writes and counts of JSON-RPC batches on a route: each of their calls."""

import json
import re
import socket
from pathlib import Path

import pytest

from .conftest import StartGateway
from .gateway import Document, Gateway
from .test_observability import access_log, log_lines, numbers, total
from .waiting import wait
from .wire import Answer, fetch

SERVICE = """
import asyncio
from pathlib import Path
from batchway.rpc import RpcApp, RpcError

app = RpcApp(timeout_s=30)

@app.method("tennis@ping")
async def ping() -> str:
    return "pong"

@app.method("tennis@out")
async def out() -> None:
    raise RpcError(7, "out")

@app.method("tennis@never")
async def never() -> None:
    Path("begun").touch()
    await asyncio.Event().wait()
"""
COUNT = 4


@pytest.fixture
def gateway(start_gateway: StartGateway, tmp_path: Path) -> Gateway:
    """It serves the service at /rpc, where four calls are too many, and writes its access log."""
    (tmp_path / "tennis_service.py").write_text(SERVICE)
    gateway = start_gateway(access_log(), run=False)
    gateway.environment["PYTHONPATH"] = str(tmp_path)
    gateway.start()
    limit: Document = {"count": COUNT, "time_window": 600, "rejected_code": 429}
    plugins: Document = {"limit-count": limit, "json-rpc": {"app": "tennis_service:app"}}
    gateway.put("routes", "rpc", {"uri": "/rpc", "plugins": plugins})
    return gateway


def call(method: str, id: int | None = None) -> Document:
    return {"jsonrpc": "2.0", "method": method} | ({} if id is None else {"id": id})


def post(gateway: Gateway, document: object) -> Answer:
    return fetch(gateway.data, "POST", "/rpc", body=json.dumps(document).encode())


def lines(gateway: Gateway, count: int) -> list[str]:
    return log_lines(gateway.directory / "logs" / "access.log", count)


def test_line_of_each_call_of_a_batch(gateway: Gateway) -> None:
    bad: Document = {"method": "tennis@ping", "id": 9}
    strange = call('no "such\n"' + "x" * 500, 3)
    batch = [call("tennis@ping", 1), call("tennis@out", 2), call("tennis@ping"), bad, strange]
    answer = post(gateway, [*batch, call("tennis@ping", 5)])
    codes = [one.get("error", {}).get("code", 0) for one in answer.json()]
    assert codes == [0, 7, -32600, -32601, -32005], "the notification has none"
    found = lines(gateway, 7)
    assert len(found) == 7
    *of_calls, of_batch = found
    said = f'"POST /rpc HTTP/1.1" 200 {len(answer.body)} '
    assert said in of_batch
    batch_id = of_batch.split()[-1]
    assert re.fullmatch("[0-9a-f]{32}", batch_id)
    assert all('"POST /rpc HTTP/1.1" 200 0 0.' in line for line in of_calls)
    assert [line.partition(f" rpc - {batch_id} ")[2] for line in of_calls] == [
        '0 "tennis@ping" 0',
        '1 "tennis@out" 7',
        '2 "tennis@ping" 0',
        '3 "-" -32600',
        r'4 "no \x22such\x0A\x22' + "x" * 118 + '..." -32601',
        '5 "tennis@ping" -32005',
    ]
    counted = numbers(gateway)
    assert total(counted, "batchway_batches_total", 'format="jsonrpc"') == 1
    assert total(counted, "batchway_batch_items_total", 'format="jsonrpc"', 'outcome="ok"') == 2
    assert total(counted, "batchway_batch_items_total", 'format="jsonrpc"', 'outcome="failed"') == 3
    assert total(counted, "batchway_batch_duration_seconds_count", 'format="jsonrpc"') == 1
    sent = total(counted, "batchway_batch_bytes_sum", 'format="jsonrpc"', 'type="egress"')
    assert sent == len(answer.body)


def test_one_call_has_one_line(gateway: Gateway) -> None:
    assert post(gateway, call("tennis@out", 1)).json()["error"]["code"] == 7
    assert post(gateway, call("tennis@ping")).status == 204
    assert [line.partition(" rpc ")[2] for line in lines(gateway, 2)] == [
        '- - - "tennis@out" 7',
        '- - - "tennis@ping" 0',
    ]


def test_client_that_leaves(gateway: Gateway) -> None:
    body = json.dumps([call("tennis@ping", 1), call("tennis@never", 2)]).encode()
    with socket.create_connection(gateway.data) as client:
        client.sendall(b"POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        wait((gateway.directory / "begun").exists, "begun")
    found = lines(gateway, 3)
    assert [line.partition('" 499 ')[1] for line in found] == ['" 499 '] * 3
    assert found[0].endswith(' 0 "tennis@ping" 0')
    assert found[1].endswith(' 1 "tennis@never" -')


def test_format_of_one_s_own(gateway: Gateway) -> None:
    template = '{"call":"$rpc_method","at":"$rpc_index","code":"$rpc_code","status":$status}'
    gateway.reload(
        access_log(access_log="own.log", access_log_format=template, access_log_format_escape="json")
    )
    post(gateway, [call('a"b', 1), call("tennis@ping", 2)])
    found = [json.loads(line) for line in log_lines(gateway.directory / "own.log", 3)]
    assert found == [
        {"call": 'a"b', "at": "0", "code": "-32601", "status": 200},
        {"call": "tennis@ping", "at": "1", "code": "0", "status": 200},
        {"call": "", "at": "", "code": "", "status": 200},
    ]
