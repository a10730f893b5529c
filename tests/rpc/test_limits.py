"""What a batch may cost, and what is said beyond that."""

import asyncio
import json
import tracemalloc
from typing import Any

import pytest
from msgspec import UNSET

from batchway.rpc import Context, RpcApp, RpcError, RpcLimits, TooMany

from .asking import answer, ask, call, error, play, raw_answer, result, run

TOO_LARGE = {"code": -32052, "message": "Response too large"}
LIMIT_EXCEEDED = {"code": -32005, "message": "Limit exceeded"}


def echoing(**options: Any) -> RpcApp:
    app = RpcApp(**options)

    @app.method
    async def text(size: int) -> str:
        return "x" * size

    @app.method
    async def later(size: int) -> str:
        await asyncio.sleep(0)
        return "x" * size

    @app.method
    async def number() -> int:
        return 1

    return app


# --- items


def test_hundred_calls_are_enough_for_all() -> None:
    app = echoing()
    assert len(answer(app, [call("number")] * 100)) == 100
    assert answer(app, [call("number")] * 101) == {
        "jsonrpc": "2.0",
        "error": {"code": -32000, "message": "Too many calls in one batch"},
        "id": None,
    }


@pytest.mark.parametrize("entry", [call("number"), call("number", None, ...), 1])
def test_entries_of_all_kinds_count(entry: Any) -> None:
    assert answer(echoing(max_items=2), [entry] * 3)["error"]["code"] == -32000


def test_answer_to_too_many_is_a_setting() -> None:
    app = echoing(max_items=1, too_many=TooMany(-32600, "Too long", {"max": 1}, in_array=True))
    assert answer(app, [call("number")] * 2) == [
        {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Too long", "data": {"max": 1}}, "id": None}
    ]


def test_limits_come_one_by_one_or_all_together() -> None:
    assert RpcApp().limits == RpcLimits()
    assert RpcApp(max_items=7).limits.max_items == 7
    limits = RpcLimits(max_items=5, timeout_s=2)
    assert RpcApp(limits=limits).limits == limits
    assert RpcApp(limits=limits, max_items=6).limits == RpcLimits(max_items=6, timeout_s=2)


# --- bytes


def test_body_that_is_too_large_is_not_looked_at() -> None:
    body = json.dumps(call("number")).encode()
    app = echoing(max_body_bytes=len(body))
    assert answer(app, body)["result"] == 1
    assert answer(app, body + b" ") == {
        "jsonrpc": "2.0",
        "error": {"code": -32053, "message": "Request too large"},
        "id": None,
    }


@pytest.mark.parametrize("method", ["text", "later"])
def test_result_that_is_too_large_keeps_its_neighbours(method: str) -> None:
    app = echoing(max_reply_bytes=5000)
    said = answer(app, [call(method, [10], 1), call(method, [6000], 2), call(method, [4990], 3)])
    assert said[0]["result"] == "x" * 10
    assert said[1] == {"jsonrpc": "2.0", "error": TOO_LARGE, "id": 2}
    assert said[2]["result"] == "x" * 4990


@pytest.mark.parametrize("method", ["text", "later"])
def test_small_bounds_hold_too(method: str) -> None:
    app = echoing(max_reply_bytes=100)
    said = answer(app, [call(method, [10], 1), call(method, [200], 2)])
    assert [said[0]["result"], said[1]] == ["x" * 10, {"jsonrpc": "2.0", "error": TOO_LARGE, "id": 2}]


def test_data_of_an_error_may_be_too_large() -> None:
    app = RpcApp(max_reply_bytes=500)

    @app.method
    async def fail(size: int) -> None:
        raise RpcError(1, "Failed", "x" * size)

    said = answer(app, [call("fail", [10], 1), call("fail", [600], 2)])
    assert said[0]["error"] == {"code": 1, "message": "Failed", "data": "x" * 10}
    assert said[1] == {"jsonrpc": "2.0", "error": TOO_LARGE, "id": 2}


@pytest.mark.parametrize("method", ["text", "later"])
@pytest.mark.parametrize("size", [100, 6000], ids=["small", "large"])
def test_results_beyond_what_all_may_take_are_left_out(method: str, size: int) -> None:
    app = echoing(max_response_bytes=size * 5)
    said = answer(app, [call(method, [size], id) for id in range(10)])
    assert [one["id"] for one in said] == list(range(10))
    kept = ["result" in one for one in said]
    assert kept == sorted(kept, reverse=True)
    assert 2 <= sum(kept) <= 4
    assert all(one["error"] == TOO_LARGE for one in said if "error" in one)


def test_error_without_data_is_told_whatever_the_bound() -> None:
    app = echoing(max_reply_bytes=10)
    assert error(app, "none") == {"code": -32601, "message": "Method not found"}
    assert error(app, "text", [20]) == TOO_LARGE


def test_no_room_for_what_is_told_of_a_call_without_an_id() -> None:
    """As a notification whose params make it none: its answer has the id null, whatever it says."""
    app = echoing(max_response_bytes=10)
    assert answer(app, [call("number", [], 7), call("number", 1, ...)]) == [
        {"jsonrpc": "2.0", "error": TOO_LARGE, "id": id} for id in (7, None)
    ]


def test_notifications_have_no_result_to_be_too_large() -> None:
    app = echoing(max_reply_bytes=10)
    assert answer(app, [call("text", [5000], ...), call("number")])[0]["result"] == 1


def test_memory_of_results_that_do_not_fit_is_given_back() -> None:
    app = echoing(max_items=200, max_response_bytes=2**20)

    async def main() -> int:
        tracemalloc.start()
        try:
            await app.handle(json.dumps([call("text", [2**18])] * 200).encode())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert run(main()) < 2**23


# --- weight


def test_calls_that_weigh_too_much_are_left_out() -> None:
    app = RpcApp(max_weight=5)
    ran = []

    @app.method(weight=3)
    async def heavy(name: str) -> str:
        ran.append(name)
        return name

    @app.method
    async def light(name: str, context: Context) -> int:
        ran.append(name)
        return context.weight

    said = answer(
        app,
        [
            call("heavy", ["a"]), call("heavy", ["b"]), call("light", ["c"]), call("heavy", ["d"], ...),
            call("unknown"), call("light", ["e"]),
        ],
    )  # fmt: skip
    too_heavy = {"code": -32054, "message": "Batch too heavy"}
    assert [one.get("result", one.get("error", {}).get("code")) for one in said] == [
        "a",
        -32054,
        1,
        -32601,
        -32054,
    ]
    assert said[1]["error"] == too_heavy
    assert sorted(ran) == ["a", "c"]


# --- a method's own


def test_rate_of_a_method_is_kept() -> None:
    app = RpcApp()

    @app.method(rate=2)
    async def limited() -> str:
        return "done"

    async def main() -> None:
        said = await ask(app, [call("limited")] * 4)
        assert [one.get("result", one.get("error")) for one in said] == [
            "done",
            "done",
            LIMIT_EXCEEDED,
            LIMIT_EXCEEDED,
        ]
        await asyncio.sleep(0.5)
        said = await ask(app, [call("limited")] * 2)
        assert ["result" in one for one in said] == [True, False]
        await asyncio.sleep(100)
        said = await ask(app, [call("limited")] * 3)
        assert ["result" in one for one in said] == [True, True, False]

    play(main())


def test_rate_below_one_lets_one_through() -> None:
    app = RpcApp()

    @app.method(rate=0.1)
    async def rare() -> int:
        return 1

    async def main() -> None:
        for seconds, expected in [(0, True), (9, False), (2, True)]:
            await asyncio.sleep(seconds)
            assert ("result" in await ask(app, call("rare"))) is expected

    play(main())


def test_concurrency_of_a_method_is_kept_over_all_batches() -> None:
    app = RpcApp()
    running = most = 0

    @app.method(concurrency=2)
    async def limited() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(1)
        running -= 1

    @app.method
    async def free() -> float:
        await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    async def main() -> None:
        batches = [ask(app, [call("limited"), call("limited"), call("free")]) for _ in range(3)]
        said = await asyncio.gather(*batches)
        assert most == 2
        assert [batch[2]["result"] for batch in said] == [1, 1, 1]
        assert asyncio.get_running_loop().time() == 3

    play(main())


def test_call_that_is_cancelled_while_it_waits_takes_no_slot() -> None:
    app = RpcApp(timeout_s=1)

    @app.method(concurrency=1)
    async def limited(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def main() -> None:
        said = await ask(app, [call("limited", [9]), call("limited", [9])])
        assert [one["error"]["code"] for one in said] == [-32050, -32050]
        await asyncio.sleep(0)
        assert (await ask(app, call("limited", [0.5])))["result"] == "done"

    play(main())


# --- whatever is thrown at it


def test_deep_params_are_refused_and_the_depth_is_a_setting() -> None:
    app = echoing(max_depth=3)

    @app.method
    async def any_value(value: Any) -> int:
        return 1

    assert result(app, "any_value", [[[1]]]) == 1
    assert error(app, "any_value", [[[[1]]]]) == {
        "code": -32600,
        "message": "Invalid Request",
        "data": "params are nested deeper than 3",
    }


def test_integer_that_python_does_not_write_fails_alone() -> None:
    app = RpcApp()

    @app.method
    async def power(exponent: int) -> int:
        return int(10**exponent)

    body = json.dumps([call("power", [2], 1), call("power", [5000], 2), call("power", [3], 3)])
    said = raw_answer(app, body)
    assert said is not None
    first, second, third = json.loads(said)
    assert (first["result"], third["result"]) == (100, 1000)
    assert second["error"]["code"] == -32603


def test_text_is_a_body_too() -> None:
    app = echoing()
    assert raw_answer(app, json.dumps(call("number"))) == b'{"jsonrpc":"2.0","result":1,"id":1}'
    said = raw_answer(app, '{"jsonrpc":"2.0","method":"\ud800"}')
    assert said is not None
    assert json.loads(said)["error"]["code"] == -32700


def test_no_data_is_told_from_null_data() -> None:
    assert TooMany().error.data is UNSET
    assert TooMany(data=None).error.data is None
