"""Calls by GET: which methods, what a query string says, and what may keep the response."""

import gzip
import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.rpc import Procedure, Proxy, RpcApp, RpcError, get, method

from .asking import call
from .exchange import Exchange, exchange


class Tennis(Procedure):
    name = "tennis"

    @method(idempotent=True)
    async def echo(self, *args: Any, **more: Any) -> Any:
        return list(args) or more

    @method
    async def serve(self) -> str:
        return "changed"


class Club(Proxy):
    name = "club"

    async def forward(self, method: str, params: Any, context: Any) -> Any:
        return method


def make_app(**options: Any) -> RpcApp:
    return RpcApp([Tennis, Club], **{"get": True, **options})


def ask(query: str | bytes, app: RpcApp | None = None, **scope: Any) -> Exchange:
    query = query if isinstance(query, bytes) else query.encode()
    return exchange(app or make_app(), method=scope.pop("method", "GET"), query_string=query, **scope)


def answer(**members: str) -> Any:
    found = ask(urlencode({"method": "tennis@echo", **members}))
    assert found.status == 200
    return json.loads(found.body)


def refusal(found: Exchange) -> tuple[int, int]:
    return found.status, json.loads(found.body)["error"]["code"]


def test_a_call() -> None:
    found = ask("jsonrpc=2.0&method=tennis%40echo&params=%5B%22a%22%5D&id=1")
    assert (found.status, found.body) == (200, b'{"jsonrpc":"2.0","result":["a"],"id":1}')
    assert found.headers == {
        b"content-type": b"application/json",
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
        b"content-length": b"39",
    }


def test_version_may_be_left_out_but_not_be_another() -> None:
    assert answer(params="[1]", id="1")["result"] == [1]
    assert answer(params="[1]", id="1", jsonrpc="1.0")["error"]["code"] == -32600


PARAMS = '["~~?>\xff", {"ä": [1.50]}]'


@pytest.mark.parametrize(
    "sent",
    [
        PARAMS,
        f"  {PARAMS} ",
        b64encode(PARAMS.encode()).decode(),
        urlsafe_b64encode(PARAMS.encode()).decode(),
        b64encode(PARAMS.encode()).decode().rstrip("="),
        b64encode(b'{"0":1}').decode(),
    ],
)
def test_params_are_json_or_base64_of_it(sent: str) -> None:
    expected = {"0": 1} if sent.startswith("eyIw") else json.loads(PARAMS)
    assert answer(params=sent, id="1")["result"] == expected


def test_plus_of_base64_that_was_not_escaped() -> None:
    sent = b64encode(PARAMS.encode())
    assert b"+" in sent
    found = ask(b"method=tennis@echo&id=1&params=" + sent)
    assert json.loads(found.body)["result"] == json.loads(PARAMS)


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "x",
        "[1",
        "[1],",
        '[1],"method":"tennis@serve"',
        "[1] [2]",
        "5%",
        b64encode(b"hello").decode(),
        b64encode(b'[1],"id":5').decode(),
        "[" * 100_000,
    ],
)
def test_params_that_are_neither_are_told_so(sent: str) -> None:
    error = answer(params=sent, id="1")["error"]
    assert error["code"] == -32700
    assert error["data"] == "params are neither JSON nor base64 of it"


def test_params_that_are_a_value_of_another_kind_make_no_call() -> None:
    assert answer(params=b64encode(b"12").decode(), id="1")["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("sent", "returned"),
    [("1", 1), ("-1.5", -1.5), ('"1"', "1"), ("abc", "abc"), ("", ""), ("null", None), ("true", "true"),
     ("[1]", "[1]"), ("9" * 23, int("9" * 23)), ('1,"method":"x"', '1,"method":"x"')],
)  # fmt: skip
def test_ids(sent: str, returned: Any) -> None:
    assert answer(params="[1]", id=sent) == {"jsonrpc": "2.0", "result": [1], "id": returned}


def test_notification_has_no_content() -> None:
    found = ask("method=tennis@echo")
    assert (found.status, found.body) == (204, b"")
    assert found.headers[b"cache-control"] == b"no-store"


def test_sajya_answers_in_its_own_way() -> None:
    app = make_app(profile="sajya")
    assert ask("method=tennis@echo&id=1", app).body == b'{"id":"1","result":{},"jsonrpc":"2.0"}'
    assert ask("method=tennis@echo", app).body == b"{}"


@pytest.mark.parametrize("name", ["tennis@serve", "club@anything"])
def test_method_that_may_change_something_is_for_post(name: str) -> None:
    found = ask(urlencode({"method": name, "id": 1}))
    assert refusal(found) == (405, -32057)
    assert found.headers[b"allow"] == b"POST"
    assert json.loads(found.body)["error"]["data"] == "the method is not idempotent"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("method=none&id=1", -32601),
        ("method=club&id=1", -32601),
        ("id=1", -32600),
        ("method=tennis@echo&method=tennis@serve&id=1", -32600),
        ("method=%FF&id=1", -32700),
        (b"method=\xff&id=1", -32700),
        ("id=1" + "&a=1" * 1000, -32700),
    ],
)
def test_queries_that_make_no_call(query: str | bytes, code: int) -> None:
    assert refusal(ask(query)) == (200, code)


def test_fields_of_others_are_left_alone() -> None:
    assert json.loads(ask("utm_source=x&method=tennis@echo&id=1&_=5&_=6").body)["result"] == {}


def test_query_is_bounded_as_a_body_is() -> None:
    for name in ("params", "id"):
        query = urlencode({"method": "tennis@echo", "id": "1", name: json.dumps(["x" * 100])})
        assert refusal(ask(query, make_app(max_body_bytes=99))) == (413, -32053)


@pytest.mark.parametrize("http_method", ["GET", "HEAD"])
def test_off_unless_asked_for(http_method: str) -> None:
    found = ask("method=tennis@echo&id=1", make_app(get=False, page=False), method=http_method)
    assert (found.status, found.headers[b"allow"]) == (405, b"POST")
    found = ask("method=tennis@echo&id=1", make_app(get=False), method=http_method)
    assert found.status == 405


def test_head_is_get_without_the_body() -> None:
    query = urlencode({"method": "tennis@echo", "params": json.dumps(["x" * 5000]), "id": 1})
    headers = [(b"accept-encoding", b"gzip")]
    by_get, by_head = (ask(query, method=one, headers=headers) for one in ("GET", "HEAD"))
    assert json.loads(gzip.decompress(by_get.body))["result"] == ["x" * 5000]
    assert (by_head.status, by_head.body, by_head.headers) == (200, b"", by_get.headers)


def test_without_a_call_there_is_the_page_or_nothing() -> None:
    for query in ("", "utm_source=x"):
        assert ask(query, make_app()).headers[b"content-type"].startswith(b"text/html")
        found = ask(query, make_app(page=False))
        assert refusal(found) == (405, -32057)
        assert found.headers[b"allow"] == b"GET, HEAD, POST"


def test_discovery_may_come_by_get() -> None:
    assert json.loads(ask("method=rpc.discover&id=1").body)["result"]["openrpc"]


def test_post_is_as_ever() -> None:
    body = json.dumps(call("tennis@serve")).encode()
    found = exchange(make_app(), [body], query_string=b"method=tennis@echo&id=1")
    assert json.loads(found.body)["result"] == "changed"


@given(st.dictionaries(st.sampled_from(sorted(get.MEMBERS)), st.text()) | st.binary())
def test_any_query_is_a_call_or_refused(query: dict[str, str] | bytes) -> None:
    said = query if isinstance(query, bytes) else urlencode(query, errors="replace").encode()
    try:
        members = get.read(said)
    except RpcError:
        return
    assert set(members) <= get.MEMBERS
