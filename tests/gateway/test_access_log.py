"""The access log: a line for each request and for each item of a batch."""

import asyncio
import base64
import json
import os
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from batchway.errors import ConfigError
from batchway.gateway import access_log
from batchway.gateway.access_log import FORMAT, AccessLog, compile_format
from batchway.plugins import Context
from tests.loops import until
from tests.plugins.gateways import get, put, request, running, to
from tests.upstream.servers import Server


def line(template: str, *, json: bool = False, **more: object) -> str:
    context = Context(request(**more), "/")  # type: ignore[arg-type]  # each test knows its own
    return compile_format(template, json=json)(context)


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
        writer = AccessLog(str(path), compile_format("$request $status $route_id $batch_id"))
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
            writer = AccessLog(str(path), compile_format("$request_method"))
            writer(Context(request(), "/"))
            await writer.close()
        assert path.read_text() == "GET\nGET\n"

    asyncio.run(main())


def test_lines_are_written_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "FLUSH_S", 0.001)

    async def main() -> None:
        path = tmp_path / "access.log"
        writer = AccessLog(str(path), compile_format("$request_method"))
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
        writer = AccessLog(str(path), compile_format("$request_method"))
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
        AccessLog(str(tmp_path), compile_format("x"))


def test_request_that_nothing_decides_on_is_logged_too(tmp_path: Path) -> None:
    """Once it is remembered that no plugin has a say, the way is a shorter one."""

    async def main() -> None:
        path = tmp_path / "access.log"
        async with Server() as server, running() as gateway:
            put(gateway, "/routes/1", {"uri": "/a", "upstream": to(server)})
            await get(gateway, "/a")
            writer = AccessLog(str(path), compile_format("$request_uri $upstream_addr"))
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
            writer = AccessLog(str(path), compile_format(template))
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
            writer = AccessLog(str(path), compile_format("$remote_user $status"))
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
        writer = AccessLog(str(tmp_path / "access.log"), compile_format("$request_method"))
        descriptor = writer._fd
        await writer.close()
        other = os.open(tmp_path / "other", os.O_WRONLY | os.O_CREAT)
        try:
            assert other == descriptor
            writer(Context(request(), "/"))
            await asyncio.sleep(0.01)
            assert writer._timer is None
        finally:
            os.close(other)
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
        writer = AccessLog(str(path), compile_format("$request_method"))
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
        writer = AccessLog(str(tmp_path / "access.log"), compile_format("$request_method"))
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
        writer = AccessLog(str(tmp_path / "access.log"), compile_format("$request_method"))
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
