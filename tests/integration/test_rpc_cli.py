"""`batchway rpc` as a user runs it: real processes, real sockets."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from batchway.rpc import HttpError, RpcClient

from .ports import free_port
from .processes import children, hail, is_alive, stopped
from .wire import ask, fetch

PATIENCE_S = 20.0

SERVICE = '''
import asyncio
import os
import time
from pathlib import Path

from batchway.rpc import Procedure, RpcApp, method


class Desk(Procedure):
    """Answers questions."""

    name = "desk"

    @method
    async def version(self) -> int:
        return 1

    @method
    async def pid(self) -> int:
        return os.getpid()

    @method
    async def wait_for(self, path: str) -> str:
        """Returns once that file is gone."""
        Path(path + ".begun").touch()
        while Path(path).exists():
            await asyncio.sleep(0.005)
        return "done"

    @method
    def block(self, path: str) -> None:
        """Takes a thread, and never gives it back."""
        Path(path + ".begun").touch()
        time.sleep(3600)


app = RpcApp([Desk])
'''

Json = Any


class Served:
    """`batchway rpc serve deskservice:app` in a directory, on a free port."""

    def __init__(self, directory: Path, *options: str, path: str = "/") -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{path}"
        self._errors = directory / "stderr.log"
        command = [sys.executable, "-m", "batchway", "rpc", "serve", "deskservice:app"]
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), "--path", path, *options],
                cwd=directory,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def banner(self) -> list[str]:
        """What it says once it serves."""
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline().rstrip() for _ in range(3)]
        assert lines[0].startswith("Serving "), (lines, self.log())
        return lines

    def client(self, **options: Any) -> RpcClient:
        return RpcClient(self.url, **options)

    def call(self, method: str, *params: Json) -> Json:
        """The result of a call on a connection of its own."""
        with self.client() as client:
            return client.call(method, *params)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def log(self) -> str:
        return self._errors.read_text()


Serve = Callable[..., Served]


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """The file with the service."""
    path = tmp_path / "deskservice.py"
    path.write_text(SERVICE)
    return path


@pytest.fixture
def serve(tmp_path: Path, service: Path) -> Iterator[Serve]:
    """Starts the service and waits until it serves; what still runs must end well."""
    started: list[Served] = []

    def start(*options: str, path: str = "/") -> Served:
        started.append(Served(tmp_path, *options, path=path))
        started[-1].banner()
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            assert served.stop() == 0, served.log()
        if served.process.stdout is not None:
            served.process.stdout.close()
        assert "Traceback" not in served.log()


def run(*args: str | Path, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """`batchway` with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "batchway", *map(str, args)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def until(condition: Callable[[], Any]) -> Any:
    """What `condition` returns, once that is true."""
    give_up = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < give_up, "still not"
        time.sleep(0.02)
    return found


def test_call_and_batch_against_it(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    said = run("rpc", "call", served.url, "desk@version", cwd=tmp_path)
    assert (said.returncode, said.stdout, said.stderr) == (0, "1\n", "")
    said = run("rpc", "call", served.url, "desk@nope", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "batchway: Method not found (-32601)\n"
    calls = '[{"method": "desk@version", "id": "a"}, {"method": "nope", "id": 2}]'
    said = run("rpc", "batch", served.url, "-", cwd=tmp_path, stdin=calls)
    assert said.returncode == 1
    assert [line.split(maxsplit=2) for line in said.stdout.splitlines()[1:3]] == [
        ['"a"', "desk@version", "1"],
        ["2", "nope", "Method not found (-32601)"],
    ]


def test_the_command_of_the_banner_works(service: Path, tmp_path: Path) -> None:
    served = Served(tmp_path)
    try:
        command = served.banner()[-1].strip()
        said = subprocess.run(["/bin/sh", "-c", f"{command} -sS"], capture_output=True, check=True)
        assert [answer["result"] for answer in json.loads(said.stdout)] == [1, 1]
    finally:
        assert served.stop(signal.SIGINT) == 0
        assert served.process.stdout is not None
        served.process.stdout.close()


def test_a_path_and_a_profile_of_its_own(serve: Serve, tmp_path: Path) -> None:
    served = serve("--profile", "sajya", path="/api/v1/endpoint")
    with served.client() as client:
        said = client.raw(b'[{"jsonrpc":"2.0","method":"desk@version","id":1}]')
        assert said == b'[{"id":"1","result":1,"jsonrpc":"2.0"}]'
    with RpcClient(f"http://127.0.0.1:{served.port}/") as client, pytest.raises(HttpError) as refused:
        client.call("desk@version")
    assert refused.value.status == 404


def test_websocket(serve: Serve) -> None:
    served = serve(path="/rpc")
    with connect(f"ws://127.0.0.1:{served.port}/rpc") as websocket:
        for number in range(3):
            websocket.send(json.dumps({"jsonrpc": "2.0", "method": "desk@version", "id": number}))
            assert json.loads(websocket.recv(PATIENCE_S)) == {"jsonrpc": "2.0", "result": 1, "id": number}


def test_sigterm_ends_idle_connections(serve: Serve) -> None:
    served = serve()
    with connect(f"ws://127.0.0.1:{served.port}/") as websocket, served.client() as client:
        assert client.call("desk@version") == 1
        assert served.stop() == 0
        with pytest.raises(ConnectionClosed) as closed:
            websocket.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012  # "service restart"


def test_headers_are_bounded(serve: Serve) -> None:
    served = serve()
    address = ("127.0.0.1", served.port)
    many = {f"x-{number}": "a" for number in range(200)}
    assert fetch(address, "POST", "/", b"{}", many).status == 431
    assert fetch(address, "POST", "/", b"{}", {"x": "a" * 100_000}).status == 431
    assert ask(address, b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").status == 400  # no Host


def waiting_call(served: Served, path: Path) -> tuple[threading.Thread, list[Json]]:
    """A call that runs until `path` is gone, in a thread, and what becomes of it."""
    path.touch()
    results: list[Json] = []

    def call() -> None:
        try:
            results.append(served.call("desk@wait_for", str(path)))
        except Exception as error:  # noqa: BLE001 - shown by the test
            results.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    until(Path(f"{path}.begun").exists)
    return thread, results


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_lets_a_running_call_finish(serve: Serve, tmp_path: Path, workers: str) -> None:
    served = serve("--workers", workers)
    thread, results = waiting_call(served, tmp_path / "busy")
    served.process.send_signal(signal.SIGTERM)

    def refuses() -> bool:
        try:
            fetch(("127.0.0.1", served.port), "POST", "/", b"{}", timeout_s=0.2)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        return False

    if workers == "1":  # else the supervisor holds the socket until all workers have ended
        until(refuses)
    assert served.process.poll() is None
    (tmp_path / "busy").unlink()
    thread.join(PATIENCE_S)
    assert results == ["done"]
    assert served.process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_more_signals_cut_it_short(
    serve: Serve, tmp_path: Path, workers: str, number: signal.Signals
) -> None:
    """However many, and however late: it ends well."""
    served = serve("--workers", workers)
    thread, results = waiting_call(served, tmp_path / "busy")
    served.process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        served.process.wait(0.3)
    assert hail(served.process, number, PATIENCE_S) == 0
    thread.join(PATIENCE_S)
    assert isinstance(results[0], Exception)


def test_signals_end_it_though_a_thread_does_not(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    call = json.dumps(
        {"jsonrpc": "2.0", "method": "desk@block", "params": [str(tmp_path / "busy")], "id": 1}
    )
    with socket.create_connection(("127.0.0.1", served.port)) as caller:
        head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(call)}\r\n\r\n"
        caller.sendall(f"{head}{call}".encode())
        until((tmp_path / "busy.begun").exists)
    assert hail(served.process, signal.SIGTERM, PATIENCE_S) == 0


def test_the_grace_is_a_bound(serve: Serve, tmp_path: Path) -> None:
    served = serve("--grace", "0.2")
    thread, results = waiting_call(served, tmp_path / "busy")
    assert served.stop() == 0
    thread.join(PATIENCE_S)
    assert isinstance(results[0], Exception)


def test_workers_share_the_port_and_are_replaced(serve: Serve) -> None:
    served = serve("--workers", "2")
    one, other = children(served.process.pid)
    for pid, idle in ((one, other), (other, one)):
        with stopped([idle]):
            assert served.call("desk@pid") == pid
    os.kill(one, signal.SIGKILL)
    (new,) = until(lambda: set(children(served.process.pid)) - {one, other})
    with stopped([other]):
        assert served.call("desk@pid") == new
    assert "a worker has ended" in served.log()
    assert served.stop() == 0
    assert not any(map(is_alive, (other, new)))


def test_workers_end_with_their_supervisor(serve: Serve) -> None:
    served = serve("--workers", "2")
    pids = children(served.process.pid)
    assert len(pids) == 2
    served.process.kill()
    served.process.wait(PATIENCE_S)
    until(lambda: not any(map(is_alive, pids)))


@pytest.mark.parametrize("hears", [False, True])
def test_a_worker_ends_with_a_supervisor_that_did_not_listen(
    tmp_path: Path, service: Path, hears: bool
) -> None:
    ours, theirs = socket.socketpair()
    options = '{"target":"deskservice:app","path":"/","profile":null,"grace_s":30}'
    with theirs, socket.create_server(("127.0.0.1", 0)) as bound:
        fds = [bound.fileno(), theirs.fileno()]
        command = [sys.executable, "-m", "batchway.cli.rpc.worker", options, *map(str, fds)]
        worker = subprocess.Popen(command, cwd=tmp_path, pass_fds=fds, stderr=subprocess.PIPE)
    with ours:
        if hears:  # that it is ready; closed with this unread, the socket is reset
            assert select.select([ours], [], [], PATIENCE_S)[0]
    try:
        _, said = worker.communicate(timeout=PATIENCE_S)
    finally:
        worker.kill()
    assert (worker.returncode, said) == (0, b"")


def version(served: Served) -> Json:
    try:
        return served.call("desk@version")
    except Exception:  # noqa: BLE001 - a worker that is being replaced
        return None


def test_reload_after_a_change(serve: Serve, service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    served = serve("--reload")
    assert version(served) == 1
    changed = service.stat()
    service.write_text(SERVICE.replace("return 1", "return 2"))
    os.utime(service, ns=(changed.st_atime_ns, changed.st_mtime_ns))  # of the same second, as it may be
    until(lambda: version(served) == 2)
    service.write_text("syntax error")
    until(lambda: "waiting for the code to change" in served.log())
    service.write_text(SERVICE.replace("return 1", "return 3"))
    until(lambda: version(served) == 3)
    assert "SyntaxError" in served.log()


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_an_app_that_cannot_be_imported_ends_it(
    tmp_path: Path, service: Path, options: tuple[str, ...]
) -> None:
    service.write_text("import nosuch_library\n")
    said = run("rpc", "serve", "deskservice:app", "--port", str(free_port()), *options, cwd=tmp_path)
    assert said.returncode == 2
    assert said.stdout == ""
    assert "No module named 'nosuch_library'" in said.stderr


def test_stdio(service: Path, tmp_path: Path) -> None:
    service.write_text(SERVICE + "\nprint('loaded')\nos.system('echo by a child')\n")
    calls = '{"jsonrpc":"2.0","method":"desk@version","id":1}\n[{"jsonrpc":"2.0","method":"nope","id":2}]\n'
    said = run("rpc", "serve", "deskservice:app", "--stdio", cwd=tmp_path, stdin=calls)
    assert said.returncode == 0, said.stderr
    answers = [json.loads(line) for line in said.stdout.splitlines()]
    assert sorted(str(answer) for answer in answers) == sorted(
        [
            "{'jsonrpc': '2.0', 'result': 1, 'id': 1}",
            "[{'jsonrpc': '2.0', 'error': {'code': -32601, 'message': 'Method not found'}, 'id': 2}]",
        ]
    )
    assert "loaded" in said.stderr
    assert "by a child" in said.stderr


def test_stdio_ends_well_by_signals(service: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "batchway", "rpc", "serve", "deskservice:app", "--stdio"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print('{"jsonrpc":"2.0","method":"desk@version","id":1}', file=process.stdin, flush=True)
        assert json.loads(process.stdout.readline())["result"] == 1
        assert hail(process, signal.SIGTERM, PATIENCE_S) == 0


def test_a_new_service_passes_its_test_and_serves(tmp_path: Path) -> None:
    assert run("rpc", "new", "tennis", cwd=tmp_path).returncode == 0
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout
    assert "4 passed" in tested.stdout
    document = json.loads(run("rpc", "openrpc", "tennis:app", cwd=tmp_path).stdout)
    assert [one["name"] for one in document["methods"]] == ["tennis@add", "tennis@ping"]
