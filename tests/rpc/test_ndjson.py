"""Responses in lines, each as soon as it is there."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from batchway.rpc import Context, RpcApp
from batchway.rpc.ndjson import is_preferred
from batchway.wire import Message
from tests.engine.clock import InstantLoop
from tests.loops import until

from .asking import call, play, run
from .exchange import Exchange, exchange, post

ACCEPT = (b"accept", b"application/x-ndjson")


def make_app(**options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def sleep(seconds: float, size: int = 0) -> str:
        if seconds:
            await asyncio.sleep(seconds)
        return "x" * size

    return app


def stream(app: RpcApp, said: Any) -> Exchange:
    return post(app, said, ACCEPT)


def lines(found: Exchange) -> list[Any]:
    assert found.headers[b"content-type"] == b"application/x-ndjson"
    assert found.sent[-1] == {"type": "http.response.body", "body": b""}
    assert found.body.endswith(b"\n")
    return [json.loads(line) for line in found.body.splitlines()]


@pytest.mark.parametrize(
    "accept",
    [
        "application/x-ndjson",
        "application/ndjson",
        "Application/X-NDJSON; charset=utf-8",
        "application/x-ndjson, application/json;q=0.5",
        "application/json, application/x-ndjson",
        "text/html, application/x-ndjson;q=0.1, */*;q=0.01",
    ],
)
def test_accepted(accept: str) -> None:
    assert is_preferred(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/x-ndjson;q=0",
        "application/x-ndjson;charset=utf-8;q=0",
        "application/x-ndjson;q=0.5, application/json",
        "application/x-ndjsonx",
    ],
)
def test_not_accepted(accept: str) -> None:
    assert not is_preferred(accept)
    found = post(make_app(), [call("sleep", [0])], (b"accept", accept.encode()))
    assert found.headers[b"content-type"] == b"application/json"
    assert json.loads(found.body)[0]["result"] == ""


def test_each_response_is_sent_by_itself_as_it_finishes() -> None:
    async def main() -> None:
        times = []
        body = json.dumps([call("sleep", [n], n) for n in (3, 0, 1)]).encode()
        asking = Exchange(make_app(), [body], headers=[ACCEPT])
        send = asking.send

        async def note(message: Message) -> None:
            times.append(asyncio.get_running_loop().time())
            await send(message)

        await asking.app(asking.scope, asking.receive, note)
        assert [one["id"] for one in lines(asking)] == [0, 1, 3]
        assert times == [0, 0, 1, 3, 3]  # the headers go with the first, the end with the last
        assert all(message["more_body"] for message in asking.sent[1:-1])

    play(main())


def test_single_call_is_one_line() -> None:
    (one,) = lines(stream(make_app(), call("sleep", [0, 1])))
    assert one == {"jsonrpc": "2.0", "result": "x", "id": 1}


def test_entries_that_are_none_have_their_lines() -> None:
    found = lines(stream(make_app(), [1, call("none"), call("sleep", ["a"]), call("sleep", [0])]))
    assert sorted(one.get("error", {"code": 0})["code"] for one in found) == [-32602, -32601, -32600, 0]


@pytest.mark.parametrize("profile", ["standard", "sajya"])
def test_notifications_have_no_content(profile: str) -> None:
    note = call("sleep", [0], ...)
    for said in (note, [note, note]):
        found = stream(make_app(profile=profile), said)
        assert (found.status, found.body, found.headers) == (204, b"", {})


def test_sajya_has_its_own_envelopes() -> None:
    found = stream(make_app(profile="sajya"), [call("sleep", [0], 7)])
    assert found.body == b'{"id":"7","result":"","jsonrpc":"2.0"}\n'
    lines(found)


@pytest.mark.parametrize(("body", "code"), [(b"{", -32700), (b"[]", -32600), (b"[1,1,1]", -32000)])
def test_body_refused_before_anything_ran_is_answered_as_usual(body: bytes, code: int) -> None:
    found = stream(make_app(max_items=2), body)
    assert found.headers[b"content-type"] == b"application/json"
    assert json.loads(found.body)["error"]["code"] == code


def test_result_with_line_breaks_is_one_line() -> None:
    app = RpcApp()

    @app.method
    async def pretty() -> Raw:
        return Raw(b'{\n  "a": "\\n"\r\n}')

    (one,) = lines(stream(app, call("pretty")))
    assert one["result"] == {"a": "\n"}


def test_limits_hold() -> None:
    found = lines(
        stream(make_app(max_response_bytes=300), [call("sleep", [0, 100], id) for id in range(4)])
    )
    assert ["result" in one for one in found] == [True, True, False, False]

    async def late() -> None:
        asking = Exchange(
            make_app(timeout_s=2), [json.dumps([call("sleep", [n], n) for n in (1, 9)]).encode()]
        )
        asking.scope["headers"] = [ACCEPT]
        await asking.run()
        first, second = lines(asking)
        assert (first["id"], second["id"], second["error"]["code"]) == (1, 9, -32050)

    play(late())


def test_client_that_leaves_takes_its_calls_with_it() -> None:
    app = make_app()
    begun: list[int] = []
    stopped: list[int] = []

    @app.method
    async def work() -> None:
        begun.append(1)
        try:
            await asyncio.sleep(100)
        finally:
            stopped.append(1)

    async def main(said: Any) -> Exchange:
        leaving = Exchange(app, [json.dumps(said).encode()], headers=[ACCEPT])
        serving = asyncio.create_task(leaving.run())
        await until(lambda: begun)
        leaving.leave.set()
        await asyncio.wait_for(serving, 30)
        return leaving

    leaving = run(main([call("sleep", [0]), call("work")]))
    assert stopped == [1]
    assert [message["type"] for message in leaving.sent] == ["http.response.start", "http.response.body"]
    assert leaving.sent[-1]["more_body"]

    assert run(main([call("work")])).status == 499
    assert stopped == [1, 1]


def test_client_that_reads_nothing_is_given_up() -> None:
    async def main() -> None:
        app = make_app(timeout_s=5)
        asking = Exchange(
            app, [json.dumps([call("sleep", [n], n) for n in (0, 1)]).encode()], headers=[ACCEPT]
        )

        async def send(message: Message) -> None:
            asking.sent.append(message)
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        await app(asking.scope, asking.receive, send)
        assert asyncio.get_running_loop().time() <= 11
        assert asking.sent[-1]["more_body"]  # and so the server breaks the connection

    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        runner.run(main())


def test_work_begins_when_all_is_sent() -> None:
    app = make_app()

    async def main() -> None:
        asking = Exchange(app, [json.dumps([call("order")]).encode()], headers=[ACCEPT])

        async def work() -> None:
            asking.events.append("worked")

        @app.method
        async def order(context: Context) -> None:
            context.after(work)

        await asking.run()
        await app.aclose()
        assert asking.events == ["sent", "sent", "sent", "worked"]

    run(main())


def test_lines_are_not_compressed() -> None:
    found = exchange(
        make_app(),
        [json.dumps([call("sleep", [0, 5000])]).encode()],
        headers=[ACCEPT, (b"accept-encoding", b"gzip")],
    )
    assert b"content-encoding" not in found.headers
    assert len(lines(found)) == 1
