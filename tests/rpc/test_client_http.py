"""Clients over HTTP: what is sent, what is made of what comes back, what is tried again."""

import asyncio
import gzip
import json
import ssl
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from batchway.errors import ConfigError
from batchway.rpc import (
    AnswerTimedOut,
    AsyncRpcClient,
    BadAnswer,
    ClientClosed,
    ConnectionBroken,
    HttpError,
    Redirected,
    RpcClient,
    RpcError,
    Unreachable,
)
from tests.integration.ports import free_port
from tests.integration.scripted import Behaviour, Peer, Received, Scripted, each, ok, once
from tests.integration.tls import TlsUpstream
from tests.loops import settle

from .asking import run
from .service import answering, result, sent, url_of, well_behaved

Start = Callable[..., Scripted]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a server with that behaviour."""
    started: list[Scripted] = []

    def begin(behaviour: Behaviour) -> Scripted:
        started.append(Scripted(behaviour))
        return started[-1]

    yield begin
    for server in started:
        server.stop()


@pytest.fixture
def server(start: Start) -> Scripted:
    """One that answers each call with its params."""
    return start(answering(well_behaved))


def asked(url: str, ask: Callable[[AsyncRpcClient], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    """What `ask` returns, given a client."""

    async def main() -> Any:
        async with AsyncRpcClient(url, **options) as client:
            return await ask(client)

    return run(main())


def failing(url: str, **options: Any) -> BaseException:
    """How a call fails."""

    async def ask(client: AsyncRpcClient) -> BaseException | None:
        try:
            await client.call("m", 1)
        except Exception as error:  # noqa: BLE001 - it is what is asked for
            return error
        return None

    found = asked(url, ask, **options)
    assert isinstance(found, Exception)
    return found


# --- what is sent


def test_a_call_is_one_post(server: Scripted) -> None:
    assert asked(url_of(server, "/api?key=a b"), lambda client: client.call("m", 1, "x")) == [1, "x"]
    (request,) = server.requests
    assert request.method == "POST"
    assert request.target == "/api?key=a%20b"
    assert request.header("Host") == "{}:{}".format(*server.address)
    assert request.header("content-type") == "application/json"
    assert request.header("accept-encoding") == "gzip"
    assert request.body == b'{"jsonrpc":"2.0","method":"m","params":[1,"x"],"id":1}'


def test_params_by_name_by_position_and_none(server: Scripted) -> None:
    async def ask(client: AsyncRpcClient) -> None:
        await client.call("m")
        await client.call("m", a=1)
        await client.request("m", [])
        await client.notify("n", 5)
        await client.proxy("tennis").ping(1)
        await client.proxy("tennis", delimiter=".").ping()

    asked(url_of(server), ask)
    assert sent(server) == [
        {"jsonrpc": "2.0", "method": "m", "id": 1},
        {"jsonrpc": "2.0", "method": "m", "params": {"a": 1}, "id": 2},
        {"jsonrpc": "2.0", "method": "m", "params": [], "id": 3},
        {"jsonrpc": "2.0", "method": "n", "params": [5]},
        {"jsonrpc": "2.0", "method": "tennis@ping", "params": [1], "id": 4},
        {"jsonrpc": "2.0", "method": "tennis.ping", "id": 5},
    ]
    assert server.accepted == 1  # the connection is kept


def test_headers_and_token(server: Scripted) -> None:
    options: dict[str, Any] = {"headers": {"X-Key": "k", "User-Agent": "me"}, "bearer": "secret"}
    asked(url_of(server), lambda client: client.call("m"), **options)
    (request,) = server.requests
    assert request.header("X-Key") == "k"
    assert request.header("user-agent") == "me"
    assert request.header("authorization") == "Bearer secret"


def test_cookies_are_not_kept(start: Start) -> None:
    server = start(answering(well_behaved, "Set-Cookie: a=1"))

    async def ask(client: AsyncRpcClient) -> None:
        await client.call("m")
        await client.call("m")

    asked(url_of(server), ask)
    assert [request.header("cookie") for request in server.requests] == [None, None]


def test_a_larger_batch_is_sent_in_parts(server: Scripted) -> None:
    async def ask(client: AsyncRpcClient) -> list[Any]:
        async with client.batch() as batch:
            replies = [batch.call("m", number) for number in range(7)]
        return [reply.result for reply in replies]

    assert asked(url_of(server), ask, max_batch=3) == [[number] for number in range(7)]
    assert sorted(len(batch) for batch in sent(server)) == [1, 3, 3]


def test_one_part_that_fails_leaves_the_others(start: Start) -> None:
    def answer(said: Any) -> Any:
        return b"oops" if said[0]["method"] == "bad" else well_behaved(said)

    async def ask(client: AsyncRpcClient) -> list[Any]:
        batch = client.batch()
        with pytest.raises(BadAnswer):
            async with batch:
                replies = [batch.call(name) for name in ("a", "b", "bad", "bad", "c")]
        return [reply.error is None for reply in replies]

    assert asked(url_of(start(answering(answer))), ask, max_batch=2) == [True, True, False, False, True]


def test_requests_under_way_are_bounded(start: Start) -> None:
    server = start(answering(well_behaved))

    async def ask(client: AsyncRpcClient) -> list[Any]:
        return await asyncio.gather(*(client.call("m", number) for number in range(20)))

    assert asked(url_of(server), ask, max_connections=2) == [[number] for number in range(20)]
    assert server.accepted <= 2


# --- what comes back


def test_a_gzipped_answer(start: Start) -> None:
    def answer(said: Any) -> bytes:
        return gzip.compress(json.dumps(result(said)).encode())

    server = start(answering(answer, "Content-Encoding: gzip"))
    assert asked(url_of(server), lambda client: client.call("m", 5)) == [5]


@pytest.mark.parametrize(("coding", "body"), [("gzip", b"no gzip"), ("rot13", b"{}")])
def test_an_answer_that_cannot_be_decoded(start: Start, coding: str, body: bytes) -> None:
    error = failing(url_of(start(answering(lambda _: body, f"Content-Encoding: {coding}"))))
    assert isinstance(error, BadAnswer)
    assert str(error).endswith(f"the answer cannot be decoded: its content coding is {coding}")


def test_an_answer_that_is_too_large(start: Start) -> None:
    error = failing(url_of(start(answering(lambda _: b"x" * 2000))), max_answer_bytes=1000)
    assert isinstance(error, BadAnswer)
    assert "larger than max_answer_bytes, which is 1000" in str(error)


def test_an_answer_that_unfolds_to_too_much(start: Start) -> None:
    bomb = gzip.compress(b"x" * 1_000_000)
    server = start(answering(lambda _: bomb, "Content-Encoding: gzip"))
    error = failing(url_of(server), max_answer_bytes=100_000)
    assert "larger than max_answer_bytes" in str(error)


def test_bad_gateway(start: Start) -> None:
    page = b"<html>Bad Gateway</html>"
    server = start(answering(lambda _: page, status="502 Bad Gateway"))
    error = failing(url_of(server, "/rpc?key=secret"))
    assert isinstance(error, HttpError)
    assert (error.status, error.reason, error.body) == (502, "Bad Gateway", page)
    assert str(error) == f"{url_of(server, '/rpc')}: the server answered 502 Bad Gateway"


def test_a_refusal_in_json_rpc_has_the_words_of_the_server(start: Start) -> None:
    said = {"jsonrpc": "2.0", "error": {"code": -32053, "message": "Request too large"}, "id": None}
    server = start(answering(lambda _: said, status="413 Content Too Large"))
    error = failing(url_of(server))
    assert isinstance(error, HttpError)
    assert error.status == 413
    assert error.error is not None
    assert error.error.code == -32053
    assert str(error).endswith("413 Content Too Large: Request too large (-32053)")


def test_an_error_of_the_call_under_another_status_is_the_call_s(start: Start) -> None:
    def answer(said: Any) -> Any:
        return {"result": None, "error": {"code": -8, "message": "no such block"}, "id": said["id"]}

    error = failing(url_of(start(answering(answer, status="500 Internal Server Error"))))
    assert isinstance(error, RpcError)
    assert error.code == -8


def test_a_redirect_is_not_followed(start: Start) -> None:
    server = start(answering(lambda _: b"", "Location: http://elsewhere.example/", status="307 Go"))
    error = failing(url_of(server))
    assert isinstance(error, Redirected)
    assert (error.status, error.location) == (307, "http://elsewhere.example/")
    assert "redirected to http://elsewhere.example/, which is not followed" in str(error)
    assert len(server.requests) == 1


def test_a_notification_that_is_refused_fails(start: Start) -> None:
    server = start(answering(lambda _: b"", status="401 Unauthorized"))

    async def ask(client: AsyncRpcClient) -> None:
        with pytest.raises(HttpError) as refused:
            await client.notify("m")
        assert refused.value.status == 401

    asked(url_of(server), ask)


def test_raw_bodies(start: Start) -> None:
    server = start(answering(lambda said: said))

    async def ask(client: AsyncRpcClient) -> list[Any]:
        return [await client.raw(b'{"a": 1}'), await client.raw([1])]

    assert asked(url_of(server), ask) == [b'{"a": 1}', [1]]


# --- what goes wrong, and what is tried again


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    error = failing(f"http://127.0.0.1:{free_port()}/rpc", retries=0)
    assert isinstance(error, Unreachable)
    assert capsys.readouterr() == ("", "")  # who is told of it needs no log
    assert str(error).endswith("/rpc: the server cannot be connected to: connection refused")


def test_a_name_that_is_none() -> None:
    error = failing("http://no-such-host.invalid/", retries=0)
    assert isinstance(error, Unreachable)
    assert str(error) == "http://no-such-host.invalid/: the name of the server cannot be resolved"


def test_what_was_not_sent_is_tried_again() -> None:
    port = free_port()

    async def main() -> Any:
        async with AsyncRpcClient(f"http://127.0.0.1:{port}/", retries=8) as client:
            asking = asyncio.create_task(client.call("m", 5))
            await asyncio.sleep(0.02)  # the first try has failed, or is about to
            with Scripted(answering(well_behaved), port=port):
                return await asking

    assert run(main()) == [5]


def hang_up(count: int) -> Behaviour:
    """Closes the first so many connections once a request is there; then it behaves."""

    def serve(peer: Peer) -> None:
        if peer.number < count:
            peer.read()
        else:
            answering(well_behaved)(peer)

    return serve


def test_what_may_have_run_is_not_tried_again(start: Start) -> None:
    server = start(hang_up(1))
    error = failing(url_of(server))
    assert isinstance(error, ConnectionBroken)
    assert "the server closed the connection before its answer was whole" in str(error)
    assert len(server.requests) == 1


def test_what_is_idempotent_is_tried_again(start: Start) -> None:
    server = start(hang_up(2))
    assert asked(url_of(server), lambda client: client.call("m", 5), idempotent=["m"]) == [5]
    assert len(server.requests) == 3


def test_a_batch_is_tried_again_only_if_all_calls_may_be(start: Start) -> None:
    server = start(hang_up(1))

    async def ask(client: AsyncRpcClient) -> None:
        replies = []
        with pytest.raises(ConnectionBroken):
            replies = await client.batch(["m", "other"])
        assert replies == []

    asked(url_of(server), ask, idempotent=["m"])
    assert len(server.requests) == 1


def test_a_connection_that_was_closed_while_idle_is_no_failure(server: Scripted) -> None:
    async def ask(client: AsyncRpcClient) -> Any:
        await client.call("m")
        server.drop()
        return await client.call("m", 2)

    assert asked(url_of(server), ask) == [2]
    assert server.accepted == 2


def test_a_server_that_says_nothing(start: Start) -> None:
    server = start(lambda peer: peer.read() and peer.read())
    error = failing(url_of(server), timeout_s=0.05)
    assert isinstance(error, AnswerTimedOut)
    assert isinstance(error, TimeoutError)
    assert str(error).endswith("no answer within 0.05 s")
    server.wait(lambda one: one.open == 0)  # the server hears of it


def test_a_call_may_have_less_time(start: Start) -> None:
    server = start(lambda peer: peer.read() and peer.read())

    async def ask(client: AsyncRpcClient) -> None:
        with pytest.raises(AnswerTimedOut):
            await client.request("m", timeout_s=0.02)
        with pytest.raises(AnswerTimedOut):
            await client.batch(["m"], timeout_s=0.02)

    asked(url_of(server), ask)


def test_what_is_no_http(start: Start) -> None:
    error = failing(url_of(start(once(b"220 mail.example ESMTP\r\n"))))
    assert isinstance(error, ConnectionBroken)
    assert "the server's answer is not HTTP/1.1" in str(error)


def test_an_answer_that_is_cut_short(start: Start) -> None:
    error = failing(url_of(start(once(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"))))
    assert isinstance(error, ConnectionBroken)


def test_a_cancelled_call_closes_its_connection(start: Start) -> None:
    server = start(lambda peer: peer.read() and peer.read())

    async def ask(client: AsyncRpcClient) -> None:
        asking = asyncio.create_task(client.call("m"))
        await asyncio.to_thread(server.wait_requests)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.to_thread(server.wait, lambda one: one.open == 0)

    asked(url_of(server), ask)


def test_a_closed_client_says_so(server: Scripted) -> None:
    async def ask(client: AsyncRpcClient) -> None:
        await client.call("m")
        await client.aclose()
        with pytest.raises(ClientClosed):
            await client.call("m")

    asked(url_of(server), ask)


def test_a_client_goes_on_in_another_loop(server: Scripted) -> None:
    client = AsyncRpcClient(url_of(server))

    async def ask() -> Any:
        return await client.call("m", 1)

    async def ask_and_close() -> Any:
        async with client:
            return await client.call("m", 2)

    first = asyncio.Runner()
    assert first.run(ask()) == [1]
    assert run(ask_and_close()) == [2]
    server.drop()  # or the first loop would complain of what was left open in it
    first.run(settle(50))
    first.close()


# --- TLS


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(ca: trustme.CA) -> Iterator[TlsUpstream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    with TlsUpstream(answering(well_behaved), context) as server:
        yield server


def test_tls_with_a_ca_of_its_own(tls_server: TlsUpstream, ca: trustme.CA, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    url = f"https://localhost:{tls_server.address[1]}/"
    assert asked(url, lambda client: client.call("m", 1), ca_file=path) == [1]
    assert tls_server.names == ["localhost"]


def test_a_certificate_that_nobody_trusts(tls_server: TlsUpstream) -> None:
    error = failing(f"https://localhost:{tls_server.address[1]}/", retries=0)
    assert isinstance(error, Unreachable)
    assert "the server's certificate is not valid" in str(error)


def test_unverified(tls_server: TlsUpstream) -> None:
    url = f"https://127.0.0.1:{tls_server.address[1]}/"
    assert asked(url, lambda client: client.call("m", 1), verify=False) == [1]


def test_https_where_there_is_none(start: Start) -> None:
    server = start(lambda peer: peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    error = failing(f"https://127.0.0.1:{server.address[1]}/", retries=0)
    assert isinstance(error, Unreachable)
    assert "no TLS" in str(error)


# --- settings


@pytest.mark.parametrize("client", [AsyncRpcClient, RpcClient])
@pytest.mark.parametrize(
    ("url", "options", "complaint"),
    [
        ("ftp://a/", {}, "url: expected one such as"),
        ("http://", {}, "url: expected one such as"),
        ("http://a:99999/", {}, "url: expected one such as"),
        ("http://me:pass@a/", {}, "url: a user or password in it is not supported"),
        ("http://a/", {"timeout_s": 0}, "timeout_s: "),
        ("http://a/", {"max_batch": 0}, "max_batch: "),
        ("http://a/", {"retires": 1}, "retires"),
        ("http://a/", {"headers": {"a b": "c"}}, "headers: a name"),
        ("http://a/", {"headers": {"a": "b\r\nc: d"}}, "headers: the value of a"),
        ("http://a/", {"headers": {"Content-Length": "5"}}, "headers: Content-Length cannot be set"),
        ("http://a/", {"bearer": "a\nb"}, "headers: the value of bearer"),
    ],
)
def test_settings_that_are_wrong_are_named(
    client: Callable[..., Any], url: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        client(url, **options)
    assert complaint in refused.value.message
    assert "pass@" not in refused.value.message


def test_a_ca_file_that_is_none_is_told_with_the_first_call(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("no certificate")
    assert isinstance(failing("https://127.0.0.1:1/", ca_file=path), ConfigError)


def test_an_echo_of_the_request_is_no_answer(start: Start) -> None:
    def echo(request: Received) -> bytes:
        return ok(request.body)

    error = failing(url_of(start(each(echo))))
    assert str(error) == "m: the answer has neither a result nor an error"
