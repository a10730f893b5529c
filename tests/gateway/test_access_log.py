"""The access log: a line for each request, for each item of a batch and for each call."""

import asyncio
import base64
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from batchway.errors import ConfigError
from batchway.gateway import access_log
from batchway.gateway.access_log import CALL_FORMAT, FORMAT, MAX_METHOD, AccessLog, Format
from batchway.model import Budget, CallReport
from batchway.plugins import Context
from tests.loops import until
from tests.plugins.gateways import get, put, request, running, to
from tests.upstream.servers import Server


def line(template: str, *, json: bool = False, **more: object) -> str:
    context = Context(request(**more), "/")  # type: ignore[arg-type]  # each test knows its own
    return Format(template, json=json)(context)


def test_variables_and_what_is_missing() -> None:
    assert line("$remote_addr|${request_method}|$http_none|", path="/a") == "10.0.0.1|GET|-|"
    assert line('"$request"', path="/a", query="b=1") == '"GET /a?b=1 HTTP/1.1"'
    assert line('{"a":"$http_none"}', json=True) == '{"a":""}'
    assert line("plain") == "plain"
    assert line("$") == "$"


def test_user_of_basic_credentials() -> None:
    given_ = base64.b64encode(b"jack:secret").decode()
    assert line("$remote_user", headers=[("Authorization", f"Basic {given_}")]) == "jack"
    assert line("$remote_user", headers=[("Authorization", "Basic !")]) == "-"
    assert line("$remote_user", headers=[("Authorization", "Bearer x")]) == "-"


@given(st.text(st.characters(max_codepoint=255)))
def test_value_is_never_more_than_a_value(value: str) -> None:
    headers = [("user-agent", value)]
    plain = line("$http_user_agent|end", headers=headers)
    assert plain.count("\n") == 0
    assert '"' not in plain
    assert plain.endswith("|end")
    document = json.loads(line('{"agent":"$http_user_agent"}', json=True, headers=headers))
    assert document == {"agent": value}


def test_line_of_a_request_and_of_each_item(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "logs" / "access.log"
        writer = AccessLog(str(path), Format("$request $status $route_id $batch_id"))
        async with (
            Server() as server,
            running(routes={"1": {"uri": "/a", "upstream": to(server)}}) as gateway,
        ):
            gateway.observers = (writer,)
            gateway.changed()
            gateway.expose(["/batch", "/apisix/batch-requests"])
            assert (await get(gateway, "/a")).body == b"ok"
            batch = msgspec.json.encode({"pipeline": [{"path": "/a"}, {"path": "/none"}]})
            await get(gateway, "/apisix/batch-requests", "POST", body=batch)
            await writer.close()
        lines = path.read_text().splitlines()
        assert lines[0] == "GET /a HTTP/1.1 200 1 -"
        by_request = {line.split()[1]: line.split() for line in lines[1:]}
        batch_id = by_request["/apisix/batch-requests"][-1]
        assert len(batch_id) == 32
        assert by_request["/a"][3:] == ["200", "1", batch_id]
        assert by_request["/none"][3:] == ["404", "-", batch_id]

    asyncio.run(main())


def test_own_format_has_a_value_for_each_variable() -> None:
    text = line(FORMAT, path="/a", headers=[("referer", "r"), ("user-agent", "u")])
    assert text.startswith("10.0.0.1 - - [")
    assert text.endswith('"GET /a HTTP/1.1" - 0 ' + text.split("- 0 ")[1])
    assert text.split("- 0 ")[1].split(" ", 1)[1] == '"r" "u" - - - - - -'


def test_file_is_appended_to(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "access.log"
        for _ in range(2):
            writer = AccessLog(str(path), Format("$request_method"))
            writer(Context(request(), "/"))
            await writer.close()
        assert path.read_text() == "GET\nGET\n"

    asyncio.run(main())


def test_lines_are_written_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "FLUSH_S", 0.001)

    async def main() -> None:
        path = tmp_path / "access.log"
        writer = AccessLog(str(path), Format("$request_method"))
        for count in (1, 2):
            writer(Context(request(), "/"))
            await until(lambda: path.read_text() == "GET\n" * count)  # noqa: B023 - awaited here
        await writer.close()

    asyncio.run(main())


def test_slow_disk_holds_up_nothing_and_costs_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "FLUSH_S", 0.001)
    monkeypatch.setattr(access_log, "MAX_BUFFERED_BYTES", 100)
    go_on = threading.Event()
    real = os.write

    def slow(fd: int, data: bytes) -> int:
        go_on.wait(30)
        return real(fd, data)

    async def main() -> None:
        monkeypatch.setattr(os, "write", slow)
        path = tmp_path / "access.log"
        writer = AccessLog(str(path), Format("$request_method"))
        writer(Context(request(), "/"))
        await until(lambda: writer._writing is not None)
        with capture_logs() as logs:
            for _ in range(1000):
                writer(Context(request(), "/"))
            go_on.set()
            await writer.close()
        written = path.read_text().count("GET\n")
        assert 20 <= written <= 30
        dropped = [log["count"] for log in logs if "dropped" in log["event"]]
        assert dropped == [1001 - written]

    asyncio.run(main())


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"access_log: .* cannot be opened"):
        AccessLog(str(tmp_path), Format("x"))


def test_request_that_nothing_decides_on_is_logged_too(tmp_path: Path) -> None:
    """Once it is remembered that no plugin has a say, the way is a shorter one."""

    async def main() -> None:
        path = tmp_path / "access.log"
        async with Server() as server, running() as gateway:
            put(gateway, "/routes/1", {"uri": "/a", "upstream": to(server)})
            await get(gateway, "/a")
            writer = AccessLog(str(path), Format("$request_uri $upstream_addr"))
            gateway.observers = (writer,)
            gateway.changed()
            await get(gateway, "/a")
            await get(gateway, "/a")
            await writer.close()
            assert path.read_text() == f"/a 127.0.0.1:{server.port}\n" * 2

    asyncio.run(main())


@pytest.mark.parametrize(
    ("more", "host"),
    [
        ({}, "a.test"),
        ({"pass_host": "rewrite", "upstream_host": "other.test"}, "other.test"),
        ({"pass_host": "node"}, "127.0.0.1:{port}"),
    ],
)
def test_what_the_upstream_got_and_said(tmp_path: Path, more: dict[str, str], host: str) -> None:
    async def main() -> None:
        path = tmp_path / "access.log"
        async with Server() as server, running() as gateway:
            plugins = {"proxy-rewrite": {"uri": "/new"}, "response-rewrite": {"status_code": 418}}
            route = {"uri": "/a", "plugins": plugins, "upstream": {**to(server), **more}}
            put(gateway, "/routes/1", route)
            template = "$status $upstream_status $upstream_scheme://$upstream_host$upstream_uri"
            writer = AccessLog(str(path), Format(template))
            gateway.observers = (writer,)
            await get(gateway, "/a", query="b=1")
            await get(gateway, "/none")
            await writer.close()
            sent = f"http://{host.format(port=server.port)}/new?b=1"
            assert path.read_text() == f"418 200 {sent}\n404 - -://-/none\n"

    asyncio.run(main())


@pytest.mark.parametrize("said", ["Basic \xe9", "Basic =", "Basic"])
def test_credentials_that_are_no_base64(tmp_path: Path, said: str) -> None:
    """Whatever a client says of itself, its answer is the same with the log as without."""

    async def main() -> None:
        path = tmp_path / "access.log"
        async with (
            Server() as server,
            running(routes={"1": {"uri": "/a", "upstream": to(server)}}) as gateway,
        ):
            writer = AccessLog(str(path), Format("$remote_user $status"))
            gateway.observers = (writer,)
            gateway.changed()
            assert (await get(gateway, "/a", headers=[("authorization", said)])).status == 200
            await writer.close()
        assert path.read_text() == "- 200\n"

    asyncio.run(main())


def test_line_after_the_end_goes_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By then the number of the file may be that of another one."""
    monkeypatch.setattr(access_log, "FLUSH_S", 0.001)

    async def main() -> None:
        writer = AccessLog(str(tmp_path / "access.log"), Format("$request_method"))
        descriptor = writer._fd
        await writer.close()
        other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
        if other != descriptor:  # a lower number has become free meanwhile
            os.dup2(other, descriptor)
            os.close(other)
        try:
            writer(Context(request(), "/"))
            await asyncio.sleep(0.01)
            assert writer._timer is None
        finally:
            os.close(descriptor)
        assert (tmp_path / "other").read_text() == ""

    asyncio.run(main())


def test_pipe_that_nobody_reads_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "CLOSE_S", 0.01, raising=False)
    go_on = threading.Event()
    real = os.write

    def stuck(fd: int, data: bytes) -> int:
        go_on.wait(30)
        return real(fd, data)

    async def main() -> None:
        path = tmp_path / "access.log"
        writer = AccessLog(str(path), Format("$request_method"))
        writer(Context(request(), "/"))
        monkeypatch.setattr(os, "write", stuck)
        try:
            with capture_logs() as logs:
                await asyncio.wait_for(writer.close(), 20)
            assert [log["event"] for log in logs] == ["access log closed before all was written"]
            os.fstat(writer._fd)  # who writes to it still has it
        finally:
            go_on.set()
        await until(lambda: writer._writing is None)
        assert path.read_text() == "GET\n"
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(writer._fd)

    asyncio.run(main())


def test_disk_that_is_full_is_told_and_costs_no_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        writer = AccessLog(str(tmp_path / "access.log"), Format("$request_method"))
        writer(Context(request(), "/"))
        monkeypatch.setattr(os, "write", full)
        with capture_logs() as logs:
            await writer.close()
        assert [log["event"] for log in logs] == ["access log not written"]

    asyncio.run(main())


def test_process_does_not_wait_for_a_pipe_that_nobody_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "CLOSE_S", 0.01, raising=False)
    go_on, ended = threading.Event(), threading.Event()

    def stuck(_fd: int, data: bytes) -> int:
        go_on.wait(30)
        ended.set()
        return len(data)

    async def main() -> AccessLog:
        writer = AccessLog(str(tmp_path / "access.log"), Format("$request_method"))
        writer(Context(request(), "/"))
        monkeypatch.setattr(access_log, "_write", stuck)
        await writer.close()
        return writer

    writer = asyncio.run(main())
    try:
        assert not ended.is_set()
        assert all(thread.daemon for thread in threading.enumerate() if thread.name == "access log")
    finally:
        go_on.set()
        ended.wait(30)
        os.close(writer._fd)


class Carried:
    """Calls as a request carries them."""

    def __init__(self, *reports: CallReport, id: str | None = "b") -> None:
        self.id = id
        self._reports = reports

    def __iter__(self) -> Iterator[CallReport]:
        return iter(self._reports)


def carrying(calls: Carried) -> Context:
    context = Context(request("/rpc", "POST"), "/rpc")
    context.status, context.body_bytes, context.calls = 200, 50, calls
    return context


def logged(
    tmp_path: Path, context: Context, of_requests: Format, of_calls: Format | None = None
) -> list[str]:
    async def main() -> None:
        writer = AccessLog(str(tmp_path / "access.log"), of_requests, of_calls)
        writer(context)
        await writer.close()

    asyncio.run(main())
    return (tmp_path / "access.log").read_text().splitlines()


OWN = Format(
    "$uri $status $body_bytes_sent $bytes_sent $request_time $batch_id $rpc_index $rpc_method $rpc_code"
)
PING, FAILED = CallReport(0, "ping", 0, 0.25), CallReport(1, "out", -32603, 0.5)
MALFORMED, CUT_OFF = CallReport(2, None, -32600, 0.0), CallReport(3, "slow", None, 1.0)


def test_line_of_each_call_and_last_of_their_batch(tmp_path: Path) -> None:
    lines = logged(tmp_path, carrying(Carried(PING, FAILED, MALFORMED, CUT_OFF)), OWN)
    assert lines[:4] == [
        "/rpc 200 0 0 0.250 b 0 ping 0",
        "/rpc 200 0 0 0.500 b 1 out -32603",
        "/rpc 200 0 0 0.000 b 2 - -32600",
        "/rpc 200 0 0 1.000 b 3 slow -",
    ]
    assert lines[4:] == [lines[4]]
    assert lines[4].startswith("/rpc 200 50 50 0.0")
    assert lines[4].endswith(" b - - -")


def test_one_call_that_is_no_batch_has_one_line(tmp_path: Path) -> None:
    (found,) = logged(tmp_path, carrying(Carried(CallReport(0, "out", 7, 99.0), id=None)), OWN)
    assert found.startswith("/rpc 200 50 50 0.0"), "the request's own time"
    assert found.endswith(" - - out 7")


def test_request_without_calls_has_one_line(tmp_path: Path) -> None:
    (found,) = logged(tmp_path, carrying(Carried(id=None)), Format(FORMAT), Format(CALL_FORMAT))
    assert found.endswith("- - -")


def test_own_format_says_more_of_calls_only(tmp_path: Path) -> None:
    call, batch = logged(tmp_path, carrying(Carried(PING)), Format(FORMAT), Format(CALL_FORMAT))
    assert call.endswith(' - - b 0 "ping" 0')
    assert batch.endswith(" - - b")


@given(st.text())
def test_method_is_never_more_than_a_value(name: str) -> None:
    context, calls = carrying(Carried()), [CallReport(0, name, 0, 0.0)]
    (plain,) = Format("[$rpc_method]").of_calls(context, iter(calls))
    assert plain.isascii()
    assert plain.isprintable()
    assert '"' not in plain
    (text,) = Format('{"method":"$rpc_method"}', json=True).of_calls(context, iter(calls))
    cut = name if len(name) <= MAX_METHOD else name[:MAX_METHOD] + "..."
    assert json.loads(text) == {"method": cut}


def test_method_s_name_is_cut() -> None:
    calls = [CallReport(0, "\U0001f3be" * 100_000, 0, 0.0), CallReport(1, "x" * MAX_METHOD, 0, 0.0)]
    long, whole = Format("$rpc_method").of_calls(carrying(Carried()), iter(calls))
    assert long == r"\xF0\x9F\x8E\xBE" * MAX_METHOD + "..."
    assert whole == "x" * MAX_METHOD


def test_lines_of_one_batch_are_dropped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MAX_BUFFERED_BYTES", 30)
    many = Carried(*[CallReport(index, "ping", 0, 0.0) for index in range(1000)])
    with capture_logs() as logs:
        lines = logged(tmp_path, carrying(many), Format("$rpc_index $rpc_method"))
    assert lines == [f"{index} ping" for index in range(5)]
    (found,) = logs
    assert (found["event"], found["count"]) == ("access log lines dropped: written too slowly", 996)


def test_calls_of_an_item_are_of_its_batch() -> None:
    context = Context(request("/rpc", "POST", batch=Budget(max_reply_size=1, max_response_size=1)), "/rpc")
    context.calls = Carried(PING)
    assert context.original.batch is not None
    assert context.var("batch_id") == context.original.batch.id
