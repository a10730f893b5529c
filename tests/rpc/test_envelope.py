"""Edge cases of the envelope, byte by byte: what a client sends, and what it gets in either profile.

cases/envelope.json has them: `sent` (`sent_hex` if it is no UTF-8), and the answer under the name of each
profile, null if there is none. Each change in there is one that clients see.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from batchway.rpc import RpcApp

from .asking import raw_answer

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases" / "envelope.json").read_text())
PARSE_ERROR = b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'


def service(profile: str) -> RpcApp:
    app = RpcApp(profile=profile)

    @app.method
    async def ping() -> str:
        return "pong"

    @app.method
    async def echo(value: Any) -> Any:
        return value

    @app.method
    async def fail() -> None:
        raise KeyError("x")

    return app


APPS = {name: service(name) for name in ("standard", "sajya")}


def sent(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["sent_hex"]) if "sent_hex" in case else case["sent"].encode()


@pytest.mark.parametrize("profile", APPS)
@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_case(case: dict[str, Any], profile: str) -> None:
    expected = case[profile]
    assert raw_answer(APPS[profile], sent(case)) == (None if expected is None else expected.encode())


SINGLE = [case for case in CASES if not sent(case).lstrip().startswith(b"[")]


@pytest.mark.parametrize("case", SINGLE, ids=[case["name"] for case in SINGLE])
def test_case_in_a_batch(case: dict[str, Any]) -> None:
    """An entry is told in a batch what it is told alone, and a neighbour does not mind it."""
    entry = sent(case)
    alone = raw_answer(APPS["standard"], entry)
    said = raw_answer(APPS["standard"], b"[%b,%b]" % (entry, entry))
    if alone is None or alone == PARSE_ERROR:
        assert said == alone
    else:
        assert said == b"[%b,%b]" % (alone, alone)


def test_names_of_cases_are_unique() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_without_end_is_no_json(opening: bytes) -> None:
    assert raw_answer(APPS["standard"], opening * 100_000) == PARSE_ERROR


def test_array_nested_too_deep_to_be_read_is_no_json() -> None:
    assert raw_answer(APPS["standard"], b"[" * 100_000 + b"]" * 100_000) == PARSE_ERROR


def test_id_of_any_length_comes_back() -> None:
    id = b"9" * 10_000  # of more digits than Python turns into an integer
    said = raw_answer(APPS["standard"], b'{"jsonrpc":"2.0","method":"ping","id":%b}' % id)
    assert said == b'{"jsonrpc":"2.0","result":"pong","id":%b}' % id
    said = raw_answer(APPS["sajya"], b'{"jsonrpc":"2.0","method":"ping","id":%b}' % id)
    assert said == b'{"id":"%b","result":"pong","jsonrpc":"2.0"}' % id


def test_text_with_a_lone_surrogate_is_no_json() -> None:
    assert raw_answer(APPS["standard"], '{"jsonrpc":"2.0","method":"ping","id":"\ud800"}') == PARSE_ERROR
