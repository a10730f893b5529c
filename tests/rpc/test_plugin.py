"""The gateway's plugin `json-rpc`: an app behind a route, its calls counted one by one."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchway.errors import InvalidResource
from batchway.gateway import Gateway
from batchway.gateway.access_log import AccessLog, Format
from batchway.model import Budget, Response
from batchway.plugins import Registry
from batchway.rpc import inside, plugin
from batchway.rpc.plugin import finish_apps
from tests.loops import until
from tests.plugins.gateways import document, get, header, new_batch, put, request, running, to
from tests.upstream.servers import Server

SERVICE = """
import asyncio
from batchway.rpc import Context, Procedure, RpcApp, method

later: list[str] = []

async def do_later() -> None:
    await asyncio.sleep(0.05)
    later.append("done")

class Tennis(Procedure):
    name = "tennis"

    @method
    async def ping(self) -> str:
        return "pong"

    @method
    async def put_off(self, context: Context) -> str:
        context.after(do_later)
        return "soon"

    @method
    async def who(self, context: Context) -> str:
        return context.headers.get("x-consumer-username", "") + " " + context.client

app = RpcApp([Tennis])
by_get = RpcApp([Tennis], get=True)
other = 1
"""


@pytest.fixture(autouse=True)
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "rpc_service.py").write_text(SERVICE)
    (tmp_path / "rpc_broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("rpc_service", None)


def route(gateway: Gateway, **plugins: Any) -> None:
    served = {"json-rpc": {"app": "rpc_service:app"}}
    put(gateway, "/routes/1", {"uri": "/rpc", "plugins": served | plugins})


def calls(*methods: str) -> bytes:
    return msgspec.json.encode(
        [{"jsonrpc": "2.0", "method": one, "id": number} for number, one in enumerate(methods)]
    )


async def post(gateway: Gateway, body: bytes, **more: Any) -> Response:
    return await get(gateway, "/rpc", "POST", body=body, **more)


def test_batch_behind_a_route() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            response = await post(gateway, calls("tennis@ping", "tennis@ping"))
            assert response.status == 200
            assert [answer["result"] for answer in document(response)] == ["pong", "pong"]
            assert header(response, "content-type") == "application/json"

    asyncio.run(main())


def test_app_sees_the_consumer_and_the_client() -> None:
    async def main() -> None:
        async with running(
            consumers={"jack": {"username": "jack", "plugins": {"key-auth": {"key": "j"}}}}
        ) as gateway:
            route(gateway, **{"key-auth": {}})
            assert (await post(gateway, calls("tennis@who"))).status == 401
            response = await post(gateway, calls("tennis@who"), headers=[("apikey", "j")])
            assert document(response)[0]["result"] == "jack 10.0.0.1"

    asyncio.run(main())


def test_each_call_counts_as_one_request() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway, **{"limit-count": {"count": 5, "time_window": 60, "rejected_code": 429}})
            response = await post(gateway, calls(*["tennis@ping"] * 3))
            assert header(response, "X-RateLimit-Remaining") == "2"
            response = await post(gateway, calls(*["tennis@ping"] * 4))
            assert response.status == 200
            answers = document(response)
            assert [answer.get("result") for answer in answers] == ["pong", "pong", None, None]
            error = answers[2]["error"]
            assert (error["code"], error["data"]["status"]) == (-32005, 429)
            assert 0 < error["data"]["retry_after"] <= 60

    asyncio.run(main())


def test_limit_of_a_global_rule_counts_each_call() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway, **{"limit-count": {"count": 7, "time_window": 60}})
            limit = {"count": 5, "time_window": 60, "rejected_code": 429}
            put(gateway, "/global_rules/1", {"plugins": {"limit-count": limit}})
            assert (await post(gateway, b"[]")).status == 200
            response = await post(gateway, calls(*["tennis@ping"] * 6))
            codes = [answer.get("error", {}).get("code") for answer in document(response)]
            assert codes == [None] * 4 + [-32005] * 2
            assert (await post(gateway, calls("tennis@ping"))).status == 429

    asyncio.run(main())


def test_global_rule_that_serves_an_app_counts_its_calls() -> None:
    async def main() -> None:
        async with running() as gateway:
            put(gateway, "/routes/1", {"uri": "/rpc", "plugins": {}})
            limit = {"count": 2, "time_window": 60, "_meta": {"filter": [["arg_free", "~=", "yes"]]}}
            plugins = {"limit-count": limit, "json-rpc": {"app": "rpc_service:app"}}
            put(gateway, "/global_rules/1", {"plugins": plugins})
            body = calls(*["tennis@ping"] * 3)
            codes = [answer.get("error", {}).get("code") for answer in document(await post(gateway, body))]
            assert codes == [None, None, -32005]
            free = document(await post(gateway, body, query="free=yes"))
            assert [answer.get("result") for answer in free] == ["pong"] * 3

    asyncio.run(main())


def test_call_of_an_unknown_method_counts_too() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway, **{"limit-count": {"count": 3, "time_window": 60}})
            response = await post(gateway, calls("tennis@ping", *["tennis@none"] * 4))
            answers = document(response)
            codes = [answer.get("error", {}).get("code") for answer in answers]
            assert codes == [None, -32601, -32601, -32005, -32005]

    asyncio.run(main())


@pytest.mark.parametrize("body", [b"", b"nonsense", b"[]", b"[1]"])
def test_request_without_a_call_counts_too(body: bytes) -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway, **{"limit-count": {"count": 2, "time_window": 60}})
            statuses = [(await post(gateway, body)).status for _ in range(3)]
            assert statuses == [200, 200, 503]

    asyncio.run(main())


def test_notifications_and_other_methods() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            note = b'{"jsonrpc":"2.0","method":"tennis@ping"}'
            response = await post(gateway, note)
            assert (response.status, response.body) == (204, None)
            assert (await get(gateway, "/rpc", "PUT")).status == 405
            page = await get(gateway, "/rpc", headers=[("accept", "text/html")])
            assert page.status == 200
            assert page.body is not None
            assert b"tennis" in page.body  # type: ignore[operator]  # `get` has read it whole

    asyncio.run(main())


def test_answers_as_they_finish() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            accepts = [("accept", "application/x-ndjson")]
            response = await post(gateway, calls("tennis@ping", "tennis@ping"), headers=accepts)
            assert isinstance(response.body, bytes)
            lines = [msgspec.json.decode(line) for line in response.body.splitlines()]
            assert sorted(line["id"] for line in lines) == [0, 1]

    asyncio.run(main())


def test_batch_of_calls_as_an_item_of_a_batch() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            response = await post(gateway, calls("tennis@ping"), batch=new_batch())
            assert document(response)[0]["result"] == "pong"

    asyncio.run(main())


def test_profile() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway, **{"json-rpc": {"app": "rpc_service:app", "profile": "sajya"}})
            response = await post(gateway, b'{"jsonrpc":"2.0","method":"tennis@ping","id":1}')
            assert response.body == b'{"id":"1","result":"pong","jsonrpc":"2.0"}'

    asyncio.run(main())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "app"),
        ({"app": "rpc_none:app"}, "rpc_none: there is no such module"),
        ({"app": "rpc_service:none"}, "there is no none in it; an RpcApp is rpc_service:app"),
        ({"app": "rpc_service:other"}, "expected an RpcApp"),
        ({"app": "rpc_broken:app"}, "ZeroDivisionError"),
        ({"app": "rpc_service.py"}, "MODULE:APP"),
        ({"app": "rpc_service:app", "profile": "none"}, "profile"),
    ],
)
def test_app_that_cannot_be_had(config: dict[str, Any], words: str) -> None:
    async def main() -> None:
        async with running() as gateway:
            with pytest.raises(InvalidResource) as caught:
                route(gateway, **{"json-rpc": config})
            assert words in caught.value.message

    asyncio.run(main())


def test_app_that_is_not_allowed_is_not_even_imported() -> None:
    registry = Registry(None, {"json-rpc": {"apps": ["rpc_service:app"]}})
    registry.check_plugin("json-rpc", {"app": "rpc_service:app"})
    with pytest.raises(InvalidResource, match=r"rpc_broken:app is not in plugin_attr.json-rpc.apps"):
        registry.check_plugin("json-rpc", {"app": "rpc_broken:app"})


def test_limit_holds_for_requests_that_the_app_is_not_asked_for() -> None:
    async def main() -> None:
        async with Server() as server, running() as gateway:
            served = {"app": "rpc_service:app", "_meta": {"filter": [["http_a", "==", "rpc"]]}}
            plugins = {"json-rpc": served, "limit-count": {"count": 2, "time_window": 60}}
            put(gateway, "/routes/1", {"uri": "/rpc", "plugins": plugins, "upstream": to(server)})
            response = await post(gateway, calls("tennis@ping"), headers=[("a", "rpc")])
            assert document(response)[0]["result"] == "pong"
            assert [(await get(gateway, "/rpc")).status for _ in range(2)] == [200, 503]

    asyncio.run(main())


LINES = [("accept", "application/x-ndjson")]


def test_answers_in_lines_to_an_item() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            batch = new_batch()
            before = batch.remaining
            response = await gateway.handle(
                request("/rpc", "POST", body=calls(*["tennis@ping"] * 5), headers=LINES, batch=batch)
            )
            assert isinstance(response.body, bytes)
            assert len(response.body.splitlines()) == 5
            assert batch.remaining == before - len(response.body)
            await until(lambda: not inside._running)

    asyncio.run(main())


@pytest.mark.parametrize("headers", [[], LINES], ids=["whole", "in lines"])
def test_answer_to_an_item_is_bounded(headers: list[tuple[str, str]]) -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            batch = Budget(max_reply_size=100, max_response_size=1 << 20)
            many = calls(*["tennis@ping"] * 20)
            response = await post(gateway, many, headers=headers, batch=batch)
            assert response.status == 502
            assert "max_reply_size" in document(response)["error_msg"]
            batch = Budget(max_reply_size=1 << 20, max_response_size=100)
            assert (await post(gateway, many, headers=headers, batch=batch)).status == 502
            await until(lambda: not inside._running)

    asyncio.run(main())


def test_client_that_leaves_half_way() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            response = await gateway.handle(
                request("/rpc", "POST", body=calls(*["tennis@ping"] * 50), headers=LINES)
            )
            assert response.body is not None
            assert not isinstance(response.body, bytes)
            async for _ in response.body:
                break
            await response.body.aclose()
            await until(lambda: not inside._running)

    asyncio.run(main())


def test_count_that_fails_leaves_nothing_behind() -> None:
    """Nothing of `[1, ...]` is a call: the request itself is counted, once its answer has begun."""

    async def main() -> None:
        async with running() as gateway:
            limit = {"count": "$http_none", "time_window": 60}
            route(gateway, **{"limit-count": limit})
            response = await post(gateway, msgspec.json.encode([1] * 50), headers=LINES)
            assert response.status == 500
            await until(lambda: not inside._running)

    asyncio.run(main())


def test_what_calls_have_put_off_is_waited_for_at_the_end() -> None:
    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            assert document(await post(gateway, calls("tennis@put_off")))[0]["result"] == "soon"
        await finish_apps()
        assert sys.modules["rpc_service"].later == ["done"]

    asyncio.run(main())


LOGGED = "$status $rpc_index $rpc_method $rpc_code $batch_id"


def logged(tmp_path: Path, *bodies: bytes, limit: int | None = None, **more: Any) -> list[list[str]]:
    """The columns of the lines in the access log, without those of other requests."""

    async def main() -> None:
        async with running() as gateway:
            writer = AccessLog(str(tmp_path / "access.log"), Format(LOGGED))
            gateway.observers = (writer,)
            route(gateway, **({"limit-count": {"count": limit, "time_window": 60}} if limit else {}))
            for body in bodies:
                await post(gateway, body, **more)
            await until(lambda: not inside._running)
            await writer.close()

    asyncio.run(main())
    return [line.split() for line in (tmp_path / "access.log").read_text().splitlines()]


def test_each_call_has_a_line_in_the_access_log(tmp_path: Path) -> None:
    note = b'{"jsonrpc":"2.0","method":"tennis@ping"}'
    body = b"[" + note + b",1," + calls("tennis@ping", "tennis@ping")[1:]
    lines = logged(tmp_path, body, limit=2)
    assert [line[:4] for line in lines] == [
        ["200", "0", "tennis@ping", "0"],
        ["200", "1", "-", "-32600"],
        ["200", "2", "tennis@ping", "0"],
        ["200", "3", "tennis@ping", "-32005"],
        ["200", "-", "-", "-"],
    ]
    (batch_id,) = {line[4] for line in lines}
    assert len(batch_id) == 32


def test_one_call_has_one_line(tmp_path: Path) -> None:
    one = calls("tennis@none")[1:-1]
    assert logged(tmp_path, one, b"{") == [
        ["200", "-", "tennis@none", "-32601", "-"],
        ["200", "-", "-", "-32700", "-"],
    ]


def test_request_that_the_app_does_not_look_at_has_one_line(tmp_path: Path) -> None:
    lines = logged(tmp_path, calls("tennis@ping"), headers=[("content-encoding", "none")])
    assert lines == [["415", "-", "-", "-32056", "-"]]


def test_calls_by_get(tmp_path: Path) -> None:
    async def main() -> None:
        async with running() as gateway:
            writer = AccessLog(str(tmp_path / "access.log"), Format(LOGGED))
            gateway.observers = (writer,)
            route(gateway, **{"json-rpc": {"app": "rpc_service:by_get"}})
            for query in ("method=rpc.discover&id=1", "method=none&method=none", ""):
                await get(gateway, "/rpc", query=query)
            await writer.close()

    asyncio.run(main())
    assert (tmp_path / "access.log").read_text().splitlines() == [
        "200 - rpc.discover 0 -", "200 - - -32600 -", "200 - - - -"
    ]  # fmt: skip


def test_calls_of_an_item_have_lines_with_the_id_of_its_batch(tmp_path: Path) -> None:
    batch = new_batch()
    lines = logged(tmp_path, calls("tennis@ping"), calls("tennis@ping")[1:-1], batch=batch)
    assert lines == [
        ["200", "0", "tennis@ping", "0", batch.id],
        ["200", "-", "-", "-", batch.id],
        ["200", "-", "tennis@ping", "0", batch.id],
    ]


def test_calls_that_are_answered_in_lines_are_logged_when_all_are(tmp_path: Path) -> None:
    lines = logged(tmp_path, calls("tennis@ping", "tennis@none"), headers=LINES)
    assert [line[1:4] for line in lines] == [
        ["0", "tennis@ping", "0"], ["1", "tennis@none", "-32601"], ["-", "-", "-"]
    ]  # fmt: skip


def test_request_that_is_refused_for_what_is_no_call_has_one_line(tmp_path: Path) -> None:
    lines = logged(tmp_path, b"[1,2]", b"[1,2]", limit=1)
    assert [line[:4] for line in lines] == [
        ["200", "0", "-", "-32600"],
        ["200", "1", "-", "-32600"],
        ["200", "-", "-", "-"],
        ["503", "-", "-", "-"],
    ]


def test_calls_are_watched_only_for_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError

    async def main() -> None:
        async with running() as gateway:
            route(gateway)
            monkeypatch.setattr(plugin, "Watch", never)
            assert document(await post(gateway, calls("tennis@ping")))[0]["result"] == "pong"

    asyncio.run(main())
