"""A write to the Admin API holds for the very next request, and outlives a kill."""

import threading
import time
from http.client import HTTPException

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import VIEWER_KEY, Document, Gateway, nodes
from .nginx import Nginx
from .scripted import Scripted, each, ok
from .wire import fetch


def route(unique: str, nginx: Nginx, number: int = 0) -> Document:
    return {"uri": f"/{unique}/{number}", "upstream": {"nodes": nodes(nginx)}}


def test_every_put_is_seen_by_the_next_request(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    for number in range(200):
        path = f"/{unique}/{number}"
        assert number or gateway.fetch(path).status == 404
        gateway.put("routes", unique, route(unique, nginx, number))
        answer = gateway.fetch(path) if number % 2 else gateway.batch([path])
        seen = answer.status if number % 2 else answer.json()[0]["status"]
        assert seen == 200, f"turn {number}"
        if number:
            assert gateway.fetch(f"/{unique}/{number - 1}").status == 404


def test_every_delete_is_seen_by_the_next_request(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    for number in range(100):
        path = f"/{unique}/0"
        gateway.put("routes", unique, route(unique, nginx))
        assert gateway.fetch(path).status == 200
        gateway.delete("routes", unique)
        assert gateway.fetch(path).status == 404, f"turn {number}"


def test_writes_of_many_at_once_are_all_seen(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    wrong: list[object] = []

    def write(worker: int) -> None:
        for turn in range(20):
            number = worker * 100 + turn
            gateway.put("routes", f"{unique}-{number}", route(unique, nginx, number))
            answer = gateway.fetch(f"/{unique}/{number}")
            if answer.status != 200:
                wrong.append((number, answer))

    threads = [threading.Thread(target=write, args=[worker]) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_changed_upstream_is_seen(gateway: Gateway, scripted: StartScripted, unique: str) -> None:
    one: Scripted = scripted(each(lambda _: ok(b"one")))
    two: Scripted = scripted(each(lambda _: ok(b"two")))
    gateway.put("upstreams", unique, {"nodes": nodes(one)})
    gateway.put("routes", unique, {"uri": f"/{unique}", "upstream_id": unique})

    for upstream, body in [(one, b"one"), (two, b"two")] * 20:
        gateway.put("upstreams", unique, {"nodes": nodes(upstream)})
        assert gateway.fetch(f"/{unique}").body == body


def test_a_patch_is_seen(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    gateway.put("routes", unique, route(unique, nginx))

    assert gateway.admin("PATCH", f"/routes/{unique}", {"uri": f"/{unique}/1"}).status == 200
    assert [gateway.fetch(f"/{unique}/{n}").status for n in (0, 1)] == [404, 200]
    assert gateway.admin("PATCH", f"/routes/{unique}/uri", f"/{unique}/2").status == 200
    assert [gateway.fetch(f"/{unique}/{n}").status for n in (1, 2)] == [404, 200]
    assert gateway.admin("PATCH", f"/routes/{unique}", {"methods": ["POST"]}).status == 200
    assert gateway.fetch(f"/{unique}/2").status == 404
    assert gateway.admin("PATCH", f"/routes/{unique}", {"methods": None, "status": 0}).status == 200
    assert gateway.fetch(f"/{unique}/2").status == 404
    assert gateway.admin("PATCH", f"/routes/{unique}/status", 1).status == 200
    assert gateway.fetch(f"/{unique}/2").status == 200


def test_a_post_is_seen(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    made = gateway.admin("POST", "/routes", route(unique, nginx))

    assert made.status == 201
    assert gateway.fetch(f"/{unique}/0").status == 200
    gateway.delete("routes", made.json()["value"]["id"])
    assert gateway.fetch(f"/{unique}/0").status == 404


def test_a_refused_write_changes_nothing(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    gateway.put("routes", unique, route(unique, nginx))
    wrong = [
        {"uri": f"/{unique}/1", "plugins": {"no-such-plugin": {}}},
        {"uri": f"/{unique}/1", "vars": [["arg_a", "=", "1"]], "upstream": {"nodes": {}}},
        {"uri": f"/{unique}/1", "upstream": {"nodes": {}, "checks": {}}},
        {"uri": f"/{unique}/1", "upstream_id": "missing"},
        {"uri": f"/{unique}/1", "service_id": "missing"},
        {"uri": f"/{unique}/1", "upstream": {"nodes": {}, "type": "chash"}},
    ]

    for document in wrong:
        refused = gateway.admin("PUT", f"/routes/{unique}", document)
        assert refused.status == 400
        assert refused.json()["error_msg"]
    assert [gateway.fetch(f"/{unique}/{n}").status for n in (0, 1)] == [200, 404]


def test_a_viewer_only_reads(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    gateway.put("routes", unique, route(unique, nginx))

    assert gateway.admin("GET", f"/routes/{unique}", key=VIEWER_KEY).status == 200
    assert gateway.admin("GET", "/routes", key=VIEWER_KEY).status == 200
    for method, path, document in [
        ("PUT", f"/routes/{unique}", route(unique, nginx, 1)),
        ("PATCH", f"/routes/{unique}", {"uri": "/x"}),
        ("POST", "/routes", route(unique, nginx, 1)),
        ("DELETE", f"/routes/{unique}", None),
        ("PUT", "/plugin_metadata/batch-requests", {}),
    ]:
        assert gateway.admin(method, path, document, key=VIEWER_KEY).status == 401
    assert gateway.fetch(f"/{unique}/0").status == 200


@pytest.mark.parametrize("key", ["", "wrong", "integration-admin-kex", "integration-admin-key "])
def test_a_wrong_key_does_nothing(gateway: Gateway, key: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = gateway.admin(method, "/routes/1", {} if method == "PUT" else None, key=key)
        if key.strip() != key:
            assert answer.status in (401, 404, 400)  # blanks at its end are no part of a value
        else:
            assert answer.status == 401
            assert answer.json()["error_msg"]


def test_the_admin_api_is_not_on_the_data_plane(gateway: Gateway) -> None:
    for target in ("/apisix/admin/routes", "/healthz"):
        assert fetch(gateway.data, "GET", target, headers={"X-API-KEY": gateway.key}).status == 404


def test_kill_between_a_write_and_a_read(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway()
    written = []
    for round_number in range(4):
        for number in range(10):
            name = f"k{round_number}-{number}"
            gateway.put("routes", name, route("kill", nginx, round_number * 10 + number))
            written.append(round_number * 10 + number)
        gateway.put("plugin_metadata", "batch-requests", {"max_pipeline_items": 1000 + round_number})
        gateway.delete("routes", f"k{round_number}-0")
        written.remove(round_number * 10)
        gateway.kill()
        gateway.start()

        assert gateway.admin("GET", "/routes").json()["total"] == len(written)
        metadata = gateway.admin("GET", "/plugin_metadata/batch-requests").json()
        assert metadata["value"]["max_pipeline_items"] == 1000 + round_number
        assert {r["status"] for r in gateway.replies([f"/kill/{n}" for n in written])} == {200}
        assert gateway.reply(f"/kill/{round_number * 10}")["status"] == 404


def test_kill_in_the_middle_of_writing(start_gateway: StartGateway, nginx: Nginx) -> None:
    """All that was acknowledged is there; of what was not, nothing is there by half."""
    gateway = start_gateway()
    acknowledged: list[int] = []

    def write(worker: int) -> None:
        for number in range(worker * 1000, worker * 1000 + 1000):
            try:
                gateway.put("routes", f"w{number}", route("mid", nginx, number))
            except (OSError, HTTPException):  # cut off at its head, or later
                return
            acknowledged.append(number)

    threads = [threading.Thread(target=write, args=[worker]) for worker in range(4)]
    for thread in threads:
        thread.start()
    while len(acknowledged) < 100:
        assert any(thread.is_alive() for thread in threads)
        time.sleep(0.001)
    gateway.kill()
    for thread in threads:
        thread.join()
    gateway.start()

    for at in range(0, len(acknowledged), 500):  # a batch has its limit
        replies = gateway.replies([f"/mid/{number}" for number in acknowledged[at : at + 500]])
        assert {reply["status"] for reply in replies} == {200}
    stored = {entry["value"]["id"] for entry in gateway.admin("GET", "/routes").json()["list"]}
    assert {f"w{number}" for number in acknowledged} <= stored
    assert len(stored) <= len(acknowledged) + 4
