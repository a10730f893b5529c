"""Nodes that go down and come back, seen through the gateway and its control API."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import StartGateway, StartScripted
from .gateway import TRACEBACK, Document, Gateway, nodes
from .ports import free_port
from .scripted import Scripted, each, ok
from .waiting import wait
from .wire import fetch

QUICK = {
    "healthy": {"interval": 1, "successes": 1},
    "unhealthy": {"interval": 1, "tcp_failures": 1},
    "timeout": 20,
}
NEVER = {"healthy": {"interval": 10**12}, "unhealthy": {"interval": 10**12}}
"""The first probe comes at random within an interval: what a test counts must not have one in it."""


def saying(name: str) -> Scripted:
    return Scripted(each(lambda _: ok(name.encode())))


def health(gateway: Gateway, where: str = "") -> Any:
    answer = fetch(gateway.control, "GET", f"/v1/healthcheck{where}")
    assert answer.status == 200, answer
    return answer.json()


def statuses(gateway: Gateway, upstream: str) -> dict[int, str]:
    """By port."""
    return {node["port"]: node["status"] for node in health(gateway, f"/upstreams/{upstream}")["nodes"]}


def wait_for(condition: Callable[[], bool]) -> None:
    wait(condition, "so", seconds=30)


def is_left_alone(upstream: Scripted) -> bool:
    """Whether no probe comes for longer than from one to the next. One may be on its way at the start."""
    asked = len(upstream.requests)
    time.sleep(1.3)
    return len(upstream.requests) == asked


def put(gateway: Gateway, name: str, upstream: Document) -> str:
    """A path whose upstream is the resource of that name."""
    gateway.put("upstreams", name, upstream)
    gateway.put("routes", name, {"uri": f"/{name}/*", "upstream_id": name})
    return f"/{name}/x"


def test_node_goes_down_under_load_and_comes_back(gateway: Gateway, unique: str) -> None:
    """No request is lost but those that it had, and of those none that may be sent again."""
    with saying("a") as a, saying("b") as b:
        path = put(gateway, unique, {"nodes": nodes(a, b), "checks": {"active": QUICK}})
        items = [{"path": path}, {"path": path, "method": "POST"}] * 10
        lost: Counter[str] = Counter()
        served: Counter[str] = Counter()
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                for item, reply in zip(items, gateway.replies(items), strict=True):
                    if reply["status"] == 200:
                        served[reply["body"]] += 1
                    else:
                        lost[item.get("method", "GET")] += 1

        clients = [threading.Thread(target=load) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            wait_for(lambda: served["a"] > 100 and served["b"] > 100)
            a.close_listener()
            a.drop()
            wait_for(lambda: statuses(gateway, unique)[a.address[1]] == "unhealthy")
            before = served["b"]
            wait_for(lambda: served["b"] > before + 100)
            assert lost["GET"] == 0
            assert lost["POST"] <= a.most
            a.restart()
            wait_for(lambda: statuses(gateway, unique)[a.address[1]] == "healthy")
            before = served["a"]
            wait_for(lambda: served["a"] > before + 100)
        finally:
            stop.set()
            for client in clients:
                client.join()
        gateway.delete("routes", unique)
        gateway.delete("upstreams", unique)


def test_control_api(gateway: Gateway, unique: str) -> None:
    with saying("a") as a:
        dead = ("127.0.0.1", free_port())
        put(gateway, unique, {"nodes": nodes(a, dead), "checks": {"active": QUICK}})
        wait_for(lambda: statuses(gateway, unique)[dead[1]] == "unhealthy")

        found = health(gateway, f"/upstreams/{unique}")
        assert found["name"] == f"/apisix/upstreams/{unique}"
        assert found["type"] == "http"
        by_port = {node["port"]: node for node in found["nodes"]}
        assert by_port[dead[1]] == {
            "hostname": "127.0.0.1",
            "ip": "127.0.0.1",
            "port": dead[1],
            "status": "unhealthy",
            "counter": {"success": 0, "http_failure": 0, "tcp_failure": 1, "timeout_failure": 0},
        }
        assert by_port[a.address[1]]["status"] == "healthy"
        assert found["name"] in {one["name"] for one in health(gateway)}
        page = fetch(gateway.control, "GET", "/v1/healthcheck", headers={"Accept": "text/html"})
        assert "text/html" in str(page.headers)
        assert f"<td>127.0.0.1:{dead[1]}</td><td>unhealthy</td>" in page.body.decode()

        gateway.delete("routes", unique)
        gateway.delete("upstreams", unique)
        assert fetch(gateway.control, "GET", f"/v1/healthcheck/upstreams/{unique}").status == 404
        wait_for(lambda: is_left_alone(a))


def test_upstream_of_a_route(gateway: Gateway, scripted: StartScripted) -> None:
    one, other = (scripted(each(lambda _: ok())) for _ in range(2))
    prefix = gateway.route({"nodes": nodes(one, other), "checks": {"active": NEVER}})

    found = health(gateway, f"/routes{prefix}")

    assert {node["status"] for node in found["nodes"]} == {"healthy"}
    gateway.delete("routes", prefix[1:])


def test_passive_check(gateway: Gateway, scripted: StartScripted, unique: str) -> None:
    bad = scripted(each(lambda _: ok(status="500 Oops")))
    good = scripted(each(lambda _: ok()))
    passive = {"unhealthy": {"http_statuses": [500], "http_failures": 2}}
    checks = {"active": NEVER, "passive": passive}
    path = put(gateway, unique, {"nodes": nodes(bad, good), "checks": checks})

    answers = [gateway.fetch(path).status for _ in range(12)]

    assert answers.count(500) == 2
    assert answers[-8:] == [200] * 8
    assert statuses(gateway, unique)[bad.address[1]] == "unhealthy"
    gateway.put("upstreams", unique, {"nodes": nodes(bad, good), "checks": checks, "retries": 1})
    assert [gateway.fetch(path).status for _ in range(4)] == [200] * 4, "a change keeps what is known"
    gateway.delete("routes", unique)
    gateway.delete("upstreams", unique)


def test_all_nodes_down_are_all_asked(gateway: Gateway, scripted: StartScripted, unique: str) -> None:
    one, other = (scripted(each(lambda _: ok(status="503 No"))) for _ in range(2))
    passive = {"unhealthy": {"http_failures": 1}}
    upstream = {"nodes": nodes(one, other), "checks": {"active": NEVER, "passive": passive}}
    path = put(gateway, unique, upstream)

    assert [gateway.fetch(path).status for _ in range(6)] == [503] * 6

    assert set(statuses(gateway, unique).values()) == {"unhealthy"}
    assert len(one.requests) == len(other.requests) == 3
    gateway.delete("routes", unique)
    gateway.delete("upstreams", unique)


def test_spare_node_of_a_lower_priority(gateway: Gateway, unique: str) -> None:
    with saying("main") as main, saying("spare") as spare:
        listed = [
            {"host": "127.0.0.1", "port": server.address[1], "weight": 1, "priority": high}
            for server, high in ((spare, -1), (main, 0))
        ]
        path = put(gateway, unique, {"nodes": listed, "checks": {"active": QUICK}})
        assert {gateway.fetch(path).body for _ in range(6)} == {b"main"}
        main.close_listener()
        main.drop()
        assert {gateway.fetch(path).body for _ in range(6)} == {b"spare"}
        main.restart()
        wait_for(lambda: gateway.fetch(path).body == b"main")
        gateway.delete("routes", unique)
        gateway.delete("upstreams", unique)


@pytest.mark.parametrize(
    ("how", "headers"),
    [
        ({"hash_on": "header", "key": "X-User"}, "X-User"),
        ({"hash_on": "cookie", "key": "user"}, "Cookie"),
        ({"hash_on": "vars", "key": "arg_user"}, ""),
        ({"hash_on": "vars_combinations", "key": "$http_x_user-$uri"}, "X-User"),
    ],
)
def test_chash(gateway: Gateway, how: Document, headers: str) -> None:
    with saying("a") as a, saying("b") as b, saying("c") as c:
        prefix = gateway.route({"nodes": nodes(a, b, c), "type": "chash", **how})
        users = [f"user-{number}" for number in range(150)]
        items = []
        for user in users:
            value = f"user={user}" if headers == "Cookie" else user
            item: Document = {"path": f"{prefix}/x", "headers": {headers: value} if headers else {}}
            if not headers:
                item["query"] = {"user": user}
            items += [item] * 6
        bodies = [reply["body"] for reply in gateway.replies(items)]
        seen = {user: set(bodies[at * 6 : at * 6 + 6]) for at, user in enumerate(users)}

        assert all(len(bodies) == 1 for bodies in seen.values())
        # The nodes' ports, and with them their places on the ring, are others at each run: of so many
        # users no node is left without one.
        assert set().union(*seen.values()) == {"a", "b", "c"}


# --- the listener


def test_control_port_that_is_taken(start_gateway: StartGateway, scripted: StartScripted) -> None:
    port = scripted(each(lambda _: ok())).address[1]
    gateway = start_gateway({"apisix": {"control": {"port": port}}}, run=False)
    gateway.write_config()

    assert gateway.spawn().wait(20) != 0

    assert f"apisix.control: cannot listen on 127.0.0.1:{port}: the port is already in use" in gateway.log()
    assert TRACEBACK not in gateway.log()


def test_control_api_switched_off_and_on(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"apisix": {"enable_control": False}})
    with pytest.raises(ConnectionRefusedError):
        fetch(gateway.control, "GET", "/v1/healthcheck")

    gateway.reload({"apisix": {"enable_control": True}})
    assert json.loads(fetch(gateway.control, "GET", "/v1/healthcheck").body) == []
    gateway.control = ("127.0.0.1", free_port())
    gateway.reload({"apisix": {"control": {"port": gateway.control[1]}}})
    assert health(gateway) == []


def test_gateway_ends_while_probes_run(start_gateway: StartGateway, scripted: StartScripted) -> None:
    """Nothing is left behind to complain about."""
    stuck = [scripted(lambda peer: peer.stall()) for _ in range(2)]
    gateway = start_gateway()
    gateway.route({"nodes": nodes(*stuck), "checks": {"active": QUICK | {"timeout": 60}}})
    for server in stuck:
        server.wait(lambda server: server.accepted > 0)

    assert gateway.stop() == 0

    for word in ("never", "Task", "unclosed", TRACEBACK):
        assert word not in gateway.log()
