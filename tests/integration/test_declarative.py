"""Resources in a file, not in a store: what it says holds, as a whole or not at all."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import StartGateway, StartScripted
from .gateway import Document, Gateway, merged, nodes
from .scripted import each, echo
from .test_workers import workers
from .waiting import wait

DECLARATIVE: Document = {
    "deployment": {"role": "data_plane", "role_data_plane": {"config_provider": "yaml"}},
    "batchway": {"store": None},
}
TAKEN = "resources taken"
REFUSED = "resources not taken"

Start = Callable[..., Gateway]


def mock(path: str, body: str, **more: Any) -> Document:
    """A route that answers by itself."""
    return {"uri": path, "plugins": {"mocking": {"response_example": body}}} | more


def write(gateway: Gateway, tree: object) -> Path:
    """Put the file in place of the one before, as editors do it."""
    path = gateway.config_path.with_name("apisix.yaml")
    path.parent.mkdir(exist_ok=True)
    text = tree if isinstance(tree, str) else yaml.safe_dump(tree) + "#END\n"
    fresh = path.with_name(".apisix.yaml.swp")
    fresh.write_text(text)
    fresh.replace(path)
    return path


def change(gateway: Gateway, tree: object, *, lines: str = TAKEN, count: int = 1) -> None:
    """The same, and wait until it has been looked at."""
    before = len(gateway.log_lines(lines))
    write(gateway, tree)
    gateway.wait_log(lines, before + count)


def body(gateway: Gateway, path: str) -> str:
    answer = gateway.fetch(path)
    assert answer.status == 200, answer
    return answer.body.decode()


def faults(gateway: Gateway) -> list[str]:
    """What the log says of them, each beginning with its line."""
    told = [json.loads(line)["event"] for line in gateway.log_lines("apisix.yaml:")]
    return [line.partition("apisix.yaml:")[2] for line in told]


@pytest.fixture
def start(start_gateway: StartGateway) -> Start:
    """Starts a gateway whose resources are `tree`."""

    def make(tree: object, changes: Document | None = None, *, run: bool = True) -> Gateway:
        gateway = start_gateway(merged(DECLARATIVE, changes or {}), run=False)
        write(gateway, tree)
        return begin(gateway) if run else gateway

    return make


def begin(gateway: Gateway) -> Gateway:
    """Start it, and wait until all of it is there."""
    gateway.start()
    gateway.wait_log("batchway is ready")
    return gateway


def test_resources_come_from_the_file(start: Start, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    gateway = start(
        {
            "routes": [{"id": 1, "uri": "/up/*", "service_id": 7}],
            "services": [{"id": 7, "upstream_id": "u"}],
            "upstreams": [{"id": "u", "nodes": nodes(upstream)}],
        }
    )
    assert gateway.fetch("/up/x").status == 200
    assert gateway.fetch("/other").status == 404
    assert not (gateway.directory / "batchway.db").exists()
    assert not list(gateway.directory.rglob("*.key"))


def test_next_requests_see_an_edit(start: Start) -> None:
    gateway = start({"routes": [mock("/a", "1"), mock("/b", "1")]})
    change(gateway, {"routes": [mock("/a", "2"), mock("/c", "2")]})
    assert body(gateway, "/a") == body(gateway, "/c") == "2"
    assert gateway.fetch("/b").status == 404
    path = gateway.config_path.with_name("apisix.yaml")
    with path.open("r+") as file:  # in place, as others do it
        text = file.read().replace("'2'", "'3'")
        file.seek(0)
        file.write(text)
    gateway.wait_log(TAKEN, 3)
    assert body(gateway, "/a") == "3"


BROKEN = """\
routes:
  - uri: /a
    plugins:
      mocking:
        response_example: new
  - id: r
    uri: no-slash
    plugins: {}
  - id: s
    uri: /b
    upstream_id: nobody
    plugins:
      limit-count:
        count: [1]
        time_window: 60
        key: remote_addr
  - id: r
    uri: /b
    plugins: {}
consumers:
  - username: jack
    plugins: {key-auth: {key: same}}
  - username: jill
    plugins: {key-auth: {key: same}}
extra: []
"""


def test_broken_file_is_refused_with_all_its_faults(start: Start) -> None:
    gateway = start("routes:\n  - uri: /a\n    plugins: {mocking: {response_example: old}}\n")
    change(gateway, BROKEN, lines=REFUSED)
    found = faults(gateway)
    assert [line.split(": ")[:2] for line in found] == [
        ["7", "routes[1]"],
        ["11", "routes[2]"],
        ["14", "routes[2]"],
        ["17", "routes[3]"],
        ["23", "consumers[1]"],
        ["25", "extra"],
    ]
    assert 'uri "no-slash" must begin' in found[0]
    assert 'there is no upstream "nobody"' in found[1]
    assert 'duplicate route "r": the first is routes[1]' in found[3]
    assert "duplicate key found with consumer: jack" in found[4]
    assert "same" not in gateway.log()
    assert body(gateway, "/a") == "old"
    change(gateway, {"routes": [mock("/a", "mended")]})
    assert body(gateway, "/a") == "mended"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("routes: [\n", "apisix.yaml:2:1: YAML: "),
        ("routes:\n  - {uri: /a, nodes: 1}\n", "apisix.yaml:2: routes[0]: invalid route: unknown property"),
        ("", "apisix.yaml: nothing in it"),
        ("routes:\n  - uri: ${{NO_SUCH}}\n", "apisix.yaml:2: environment variable NO_SUCH is not set"),
        (None, "apisix.yaml: cannot be read: No such file"),
    ],
)
def test_broken_file_at_the_start_ends_the_process(start: Start, text: str | None, says: str) -> None:
    gateway = start(text or "", run=False)
    if text is None:
        gateway.config_path.with_name("apisix.yaml").unlink()
    gateway.write_config()
    assert gateway.spawn().wait(20) == 2
    assert says in gateway.log()
    assert gateway.log().splitlines()[-1].endswith("nothing is served: 1 fault")


def test_half_written_file_is_not_taken(start: Start) -> None:
    gateway = start({"routes": [mock("/a", "1"), mock("/b", "1")]})
    whole = gateway.config_path.with_name("apisix.yaml").read_text()
    change(gateway, whole[: whole.index("- plugins", 10)], lines=REFUSED)
    assert "no #END at its end" in gateway.log()
    assert body(gateway, "/b") == "1"


def many(version: int, count: int = 250) -> Document:
    return {"routes": [mock(f"/{number}", str(version), id=f"r{number:03}") for number in range(count)]}


@pytest.mark.parametrize("count", [1, 2])
def test_nobody_sees_half_of_a_change(start: Start, count: int) -> None:
    """More routes change than are put in one slice; the first and the last of them are asked for."""
    gateway = start(many(0), {"batchway": {"workers": count}})
    stop = threading.Event()
    apart: list[list[int]] = []
    seen: set[int] = set()

    def ask(one: str, other: str) -> None:
        while not stop.is_set():
            replies = [int(reply["body"]) for reply in gateway.replies([one, other])]
            seen.add(replies[0])
            if replies[0] != replies[1]:
                apart.append(replies)

    clients = [threading.Thread(target=ask, args=pair) for pair in (("/0", "/249"), ("/249", "/0"))]
    for client in clients:
        client.start()
    try:
        for version in range(1, 5):
            change(gateway, many(version), count=count)
            wait(partial(seen.__contains__, version), f"version {version}")
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert apart == []


def test_sighup_reads_both_files(start: Start) -> None:
    gateway = start({"routes": [mock("/a", "1")]})
    write(gateway, {"routes": [mock("/a", "2")]})
    gateway.reload({"batchway": {"limits": {"max_header_count": 50}}})
    assert body(gateway, "/a") == "2"


def test_sighup_with_a_broken_file_keeps_what_was(start: Start) -> None:
    gateway = start({"routes": [mock("/a", "1")]})
    write(gateway, {"routes": [mock("/a", "2", nodes=1)]})
    gateway.reload()
    assert body(gateway, "/a") == "1"
    found = faults(gateway)  # told once, and again if it was seen before the signal
    assert found
    assert all('unknown property "nodes"' in fault for fault in found)


def test_links_are_swapped_as_kubernetes_does_it(start: Start) -> None:
    gateway = start({}, run=False)
    directory = gateway.config_path.parent

    def mount(name: str, value: str) -> None:
        (directory / name).mkdir()
        (directory / name / "apisix.yaml").write_text(yaml.safe_dump({"routes": [mock("/a", value)]}))
        (directory / "..data_tmp").symlink_to(name)
        (directory / "..data_tmp").replace(directory / "..data")

    mount("..2026_1", "1")
    (directory / "apisix.yaml").unlink()
    (directory / "apisix.yaml").symlink_to("..data/apisix.yaml")
    begin(gateway)
    assert body(gateway, "/a") == "1"
    for turn in ("2", "3"):
        mount(f"..2026_{turn}", turn)
        gateway.wait_log(TAKEN, int(turn))
        assert body(gateway, "/a") == turn


def test_link_out_of_the_directory_is_followed(start: Start, tmp_path: Path) -> None:
    gateway = start({}, run=False)
    elsewhere = tmp_path / "elsewhere" / "routes.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(yaml.safe_dump({"routes": [mock("/a", "1")]}))
    link = gateway.config_path.with_name("apisix.yaml")
    link.unlink()
    link.symlink_to(elsewhere)
    begin(gateway)
    elsewhere.write_text(yaml.safe_dump({"routes": [mock("/a", "2")]}))
    gateway.wait_log(TAKEN, 2)
    assert body(gateway, "/a") == "2"


CONSUMERS = """\
routes:
  - uri: /guarded
    plugins: {key-auth: {}, mocking: {response_example: in}}
consumers:
  - username: jack
    plugins: {key-auth: {key: "${{JACKS_KEY}}"}}
  - id: jack/credentials/two
    plugins: {key-auth: {key: second}}
  - username: jill
    credentials:
      - plugins: {key-auth: {key: third}}
"""


def test_consumers_and_batches(start: Start) -> None:
    gateway = start(CONSUMERS, run=False)
    gateway.environment["JACKS_KEY"] = "00123"
    begin(gateway)
    keys = ["00123", "second", "third", "none"]
    items = [{"path": "/guarded", "headers": {"apikey": key}} for key in keys]
    assert [reply["status"] for reply in gateway.replies(items)] == [200, 200, 200, 401]
    change(gateway, CONSUMERS.replace("- username: jack", "- username: joe").replace("jack/", "joe/"))
    assert [reply["status"] for reply in gateway.replies(items)] == [200, 200, 200, 401]
    change(gateway, CONSUMERS.partition("consumers:")[0])
    assert [reply["status"] for reply in gateway.replies(items)] == [401] * 4


def test_admin_api_reads_and_does_not_write(start: Start) -> None:
    gateway = start({"routes": [mock("/a", "1", id=5)]})
    assert gateway.admin("GET", "/routes/5").json()["value"]["uri"] == "/a"
    for method, path, document in (
        ("PUT", "/routes/6", mock("/b", "1")),
        ("POST", "/routes", mock("/b", "1")),
        ("PATCH", "/routes/5", {"uri": "/b"}),
        ("DELETE", "/routes/5", None),
        ("PUT", "/routes/6", {"uri": 5}),  # would be refused elsewhere, too
        ("PATCH", "/routes/6", {"uri": "/b"}),
    ):
        answer = gateway.admin(method, path, document)
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD"), method
        assert "apisix.yaml" in answer.json()["error_msg"]
    assert gateway.fetch("/b").status == 404


def test_nothing_is_written_beside_the_file(start: Start) -> None:
    """Of a ConfigMap, nothing can be."""
    gateway = start(
        {"routes": [mock("/a", "1")]}, {"deployment": {"admin": {"admin_key": None}}}, run=False
    )
    gateway.write_config()
    before = {path: path.read_bytes() for path in gateway.config_path.parent.iterdir()}
    gateway.config_path.parent.chmod(0o500)
    gateway.spawn()  # `start` would write the file once more
    gateway.wait_healthy()
    assert body(gateway, "/a") == "1"
    gateway.config_path.parent.chmod(0o700)
    assert {path: path.read_bytes() for path in gateway.config_path.parent.iterdir()} == before


def test_json_does_as_well(start: Start) -> None:
    gateway = start({}, {"deployment": {"role_data_plane": {"config_provider": "json"}}}, run=False)
    path = gateway.config_path.with_name("apisix.json")
    path.write_text(json.dumps({"routes": [mock("/a", "1")]}))
    begin(gateway)
    assert body(gateway, "/a") == "1"
    path.write_text(json.dumps({"routes": [mock("/a", "2")]}))
    gateway.wait_log(TAKEN, 2)
    assert body(gateway, "/a") == "2"


# --- several workers


def test_all_workers_take_it_and_tell_faults_once(start: Start) -> None:
    gateway = start({"routes": [mock("/a", "1")]}, {"batchway": {"workers": 2}})
    change(gateway, {"routes": [mock("/a", "2")]}, count=2)
    assert {body(gateway, "/a") for _ in range(10)} == {"2"}
    change(gateway, {"routes": [mock("/a", "3", nodes=1)]}, lines=REFUSED)
    change(gateway, {"routes": [mock("/a", "4")]}, count=2)
    assert {body(gateway, "/a") for _ in range(10)} == {"4"}
    assert len(gateway.log_lines("unknown property")) == 1


def test_worker_that_begins_later_takes_what_the_others_have(start: Start) -> None:
    gateway = start({"routes": [mock("/a", "1")]}, {"batchway": {"workers": 2}})
    change(gateway, {"routes": [mock("/a", "2")]}, count=2)
    change(gateway, {"routes": [mock("/a", "3", nodes=1)]}, lines=REFUSED)
    for pid in workers(gateway):
        os.kill(pid, signal.SIGKILL)
    gateway.wait_log("worker started", 2)
    assert {body(gateway, "/a") for _ in range(10)} == {"2"}
    change(gateway, {"routes": [mock("/a", "5")]}, count=2)
    assert {body(gateway, "/a") for _ in range(10)} == {"5"}


def test_broken_file_at_the_start_of_several(start: Start) -> None:
    gateway = start("routes:\n  - uri: a\n", {"batchway": {"workers": 2}}, run=False)
    gateway.write_config()
    assert gateway.spawn().wait(20) == 2
    assert len(gateway.log_lines("apisix.yaml:2: routes[0]: ")) == 1


# --- with the other commands


def test_export_of_a_gateway_is_what_another_is_started_with(
    start: Start, start_gateway: StartGateway
) -> None:
    source = start_gateway()
    source.put("routes", "1", mock("/a", "exported"))
    path = source.directory / "exported.yaml"
    command = ["export", "--admin", source.admin_url, "--key", source.key, "-o", str(path)]
    subprocess.run([sys.executable, "-m", "batchway", *command], check=True, capture_output=True)
    gateway = start(path.read_text())
    assert body(gateway, "/a") == "exported"
