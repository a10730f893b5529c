"""A batch that is watched: what is told of each of its entries, and that nobody else's pays for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from batchway.model import CallReport
from batchway.rpc import Context, RpcApp, RpcError
from batchway.rpc.session import Session
from batchway.rpc.watch import Watch, Watched
from tests.loops import until

from .asking import call


def note(method: str) -> dict[str, Any]:
    return call(method, id=...)


def make_app(**options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def ping() -> str:
        return "pong"

    @app.method
    async def later() -> str:
        await asyncio.sleep(0)
        return "pong"

    @app.method
    async def never() -> None:
        await asyncio.Event().wait()

    @app.method
    async def out() -> None:
        raise RpcError(7, "out")

    @app.method
    async def broken() -> None:
        raise ValueError

    @app.method
    async def large() -> str:
        return "x" * 600

    @app.method(weight=5)
    async def heavy() -> None: ...

    return app


def watched(app: RpcApp, document: Any) -> tuple[Watch, Any]:
    """What the watch has seen once the answer is there, and the answer."""

    async def main() -> tuple[Watch, Any]:
        watch = Watch()
        body = document if isinstance(document, bytes) else msgspec.json.encode(document)
        answer = await app.handle(body, Watched(watch))
        return watch, answer and msgspec.json.decode(answer)

    return asyncio.run(main())


def outcomes(watch: Watch) -> list[tuple[int, str | None, int | None]]:
    return [(one.index, one.method, one.code) for one in watch]


def test_each_entry_in_wire_order() -> None:
    document = [
        call("ping"),
        call("later"),
        note("ping"),
        note("broken"),
        call("out"),
        call("none"),
        note("none"),
        call("ping", params=1),
        call("ping", params=[1]),
        {"method": "ping"},
        1,
    ]
    watch, answer = watched(make_app(), document)
    assert [code for _, _, code in outcomes(watch)] == [
        0, 0, 0, -32603, 7, -32601, -32601, -32600, -32602, -32600, -32600
    ]  # fmt: skip
    assert outcomes(watch)[3] == (3, "broken", -32603)
    assert outcomes(watch)[9] == (9, None, -32600)
    waiting = [code for (_, _, code), sent in zip(outcomes(watch), document, strict=True) if _waits(sent)]
    assert [one.get("error", {}).get("code", 0) for one in answer] == waiting
    assert isinstance(watch.id, str)
    assert len(watch.id) == 32
    assert watch.id == watch.id


def _waits(sent: Any) -> bool:
    return not isinstance(sent, dict) or "id" in sent or "jsonrpc" not in sent


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (call("ping"), ("ping", 0)),
        (note("out"), ("out", 7)),
        (1, (None, -32600)),
        ([], (None, -32600)),
        (b"{", (None, -32700)),
        ([call("ping")] * 4, (None, -32000)),
        (call("ping" * 100), (None, -32053)),
    ],
)
def test_what_is_no_batch_is_one_call(document: Any, told: tuple[str | None, int]) -> None:
    watch, _ = watched(make_app(max_items=3, max_body_bytes=400), document)
    assert outcomes(watch) == [(0, *told)]
    assert watch.id is None


def test_calls_that_limits_refuse() -> None:
    app = make_app(max_weight=6, max_response_bytes=1000)
    watch, answer = watched(app, [call("large"), call("large"), call("heavy"), note("heavy"), call("ping")])
    assert [code for _, _, code in outcomes(watch)] == [0, -32052, -32054, -32054, 0]
    assert [one.get("error", {}).get("code", 0) for one in answer] == [0, -32052, -32054, 0]


def test_errors_that_cannot_be_told() -> None:
    app = make_app(max_reply_bytes=1000)

    @app.method
    async def tell(data: Any) -> None:
        raise RpcError(7, "out", object() if data is None else data)

    watch, answer = watched(app, [call("tell", params=[data]) for data in (1, None, "x" * 2000)])
    assert [code for _, _, code in outcomes(watch)] == [7, -32603, -32052]
    assert [one["error"]["code"] for one in answer] == [7, -32603, -32052]


def test_call_that_is_late() -> None:
    watch, _ = watched(make_app(timeout_s=0.02), [call("ping"), call("never")])
    first, late = watch
    assert first.code == 0
    assert (late.code, late.took_s >= 0.01) == (-32050, True)
    assert first.took_s < late.took_s
    assert [one.took_s for one in watch] == [first.took_s, late.took_s], "the clock has stopped"


def test_calls_that_have_no_turn_before_it_is_late() -> None:
    watch, _ = watched(make_app(timeout_s=0.02, sequential=True), [call("never"), call("ping")])
    assert [code for _, _, code in outcomes(watch)] == [-32050, -32050]
    assert [one.took_s for one in watch][1] == 0


def test_late_call_that_answers_after_all() -> None:
    """It has been told that it is late; what it says then is heard by nobody."""
    app = make_app(timeout_s=0.02)

    @app.method
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RpcError(8, "late") from None

    watch, answer = watched(app, [call("stubborn")])
    assert answer[0]["error"]["code"] == -32050
    assert outcomes(watch) == [(0, "stubborn", -32050)]


def test_batch_that_is_cut_off() -> None:
    async def main() -> None:
        watch = Watch()
        body = msgspec.json.encode([call("ping"), call("never")])
        running = asyncio.create_task(make_app().handle(body, Watched(watch)))
        await until(lambda: [code for _, _, code in outcomes(watch)] == [0, None])
        _, before = watch
        running.cancel()
        await asyncio.wait({running})
        _, after = watch
        await asyncio.sleep(0)  # in which the call hears of it
        assert outcomes(watch) == [(0, "ping", 0), (1, "never", None)]
        assert before.took_s < after.took_s == list(watch)[1].took_s

    asyncio.run(main())


def test_nothing_is_known_before_there_are_calls() -> None:
    assert list(Watch()) == []
    assert Watch().id is None


def test_answers_in_lines() -> None:
    async def main() -> None:
        watch, sent = Watch(), []

        async def send(response: bytes) -> None:
            sent.append(response)

        document = [call("later"), note("out"), call("large"), call("large"), 1, call("never")]
        app = make_app(timeout_s=0.02, max_response_bytes=1000)
        await app.stream(msgspec.json.encode(document), send, Watched(watch))
        codes = [code for _, _, code in outcomes(watch)]
        assert codes == [0, 7, 0, -32052, -32600, -32050]
        answered = [msgspec.json.decode(one).get("error", {}).get("code", 0) for one in sent]
        assert sorted(answered) == [-32600, -32052, -32050, 0, 0]

    asyncio.run(main())


@pytest.mark.parametrize(("error", "code"), [(RpcError(9, "closed"), 9), (ValueError(), -32603)])
def test_batch_that_is_refused_whole(error: Exception, code: int) -> None:
    async def closed(_: Context, proceed: Callable[[], Awaitable[Any]]) -> None:
        raise error

    watch, answer = watched(make_app(batch_middleware=[closed]), [call("ping"), note("ping")])
    assert answer["error"]["code"] == code
    assert outcomes(watch) == [(0, "ping", code), (1, "ping", code)]


def test_refusal_after_answers_in_lines_undoes_none() -> None:
    async def closing(_: Context, proceed: Callable[[], Awaitable[Any]]) -> None:
        await proceed()
        raise RpcError(9, "closed")

    async def main() -> None:
        watch, sent = Watch(), []

        async def send(response: bytes) -> None:
            sent.append(msgspec.json.decode(response))

        body = msgspec.json.encode([call("ping"), note("out")])
        await make_app(batch_middleware=[closing]).stream(body, send, Watched(watch))
        assert [one.get("error", {}).get("code", 0) for one in sent] == [0, 9]
        assert [code for _, _, code in outcomes(watch)] == [0, 7]

    asyncio.run(main())


def test_refusal_before_answers_in_lines_is_told_of_all() -> None:
    async def closed(_: Context, proceed: Callable[[], Awaitable[Any]]) -> None:
        raise RpcError(9, "closed")

    async def main() -> None:
        watch = Watch()

        async def send(_: bytes) -> None: ...

        body = msgspec.json.encode([call("ping"), note("out")])
        await make_app(batch_middleware=[closed]).stream(body, send, Watched(watch))
        assert [code for _, _, code in outcomes(watch)] == [9, 9]

    asyncio.run(main())


def test_profile_s_own_codes() -> None:
    watch, answer = watched(make_app(profile="sajya"), [{"jsonrpc": "2.0", "id": 1}, call(" ")])
    assert [one["error"]["code"] for one in answer] == [-32602, -32602]
    assert outcomes(watch) == [(0, None, -32602), (1, None, -32602)]


def test_calls_of_middleware_are_watched_too() -> None:
    """Whoever passes requests on puts middleware around each call, and none is answered on the spot."""

    async def refuse(context: Context, proceed: Callable[[], Awaitable[Any]]) -> Any:
        if context.method == "later":
            raise RpcError(-32005, "Limit exceeded")
        return await proceed()

    async def main() -> list[CallReport]:
        watch = Watch()
        document = [call("ping"), call("later"), call("none"), call("never", params=1)]
        await make_app().handle(msgspec.json.encode(document), Watched(watch, middleware=(refuse,)))
        return list(watch)

    assert [one.code for one in asyncio.run(main())] == [0, -32005, -32601, -32600]


def test_nobody_else_pays_for_it() -> None:
    """An app that is not watched has the sessions that it always had, also within one that is."""
    app = make_app()
    body = msgspec.json.encode([call("ping")])
    assert type(app._open(body, None)) is Session
    assert type(app._open(body, Context())) is Session
    seen: list[type] = []

    @app.method
    async def look(context: Context) -> None:
        seen.append(type(context))
        await app.handle(body, context)

    watch, _ = watched(app, [call("look")])
    assert seen == [Context]
    assert outcomes(watch) == [(0, "look", 0)]
