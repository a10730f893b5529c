"""The control API of a running gateway: what each worker serves, and what it can be told to do."""

import json
from typing import Any

import pytest

from .conftest import StartGateway
from .gateway import Gateway
from .wire import Answer, fetch

SECRET = "do-not-tell"


def control(gateway: Gateway, path: str, method: str = "GET", **headers: str) -> Answer:
    """The answer to a request under /v1, on a connection of its own: any worker's."""
    return fetch(gateway.control, method, f"/v1{path}", headers=headers)


def told(gateway: Gateway, path: str) -> Any:
    """The JSON of an answer that is one."""
    answer = control(gateway, path)
    assert answer.status == 200, answer
    return json.loads(answer.body)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_worker_tells_what_it_serves(start_gateway: StartGateway, workers: int) -> None:
    gateway = start_gateway({"batchway": {"workers": workers}})
    headers = {"set": {"X-Api-Key": SECRET}}
    gateway.put("upstreams", "u", {"nodes": {"localhost:1": 1}})
    gateway.put("services", "s", {"upstream_id": "u", "plugins": {"proxy-rewrite": {"headers": headers}}})
    gateway.put("routes", "r", {"uri": "/r", "service_id": "s"})
    gateway.put("plugin_metadata", "batch-requests", {"max_body_size": 4096})
    gateway.put("consumers", "jack", {"username": "jack", "plugins": {"key-auth": {"key": SECRET}}})
    for _ in range(4):
        assert [one["key"] for one in told(gateway, "/routes")] == ["/apisix/routes/r"]
        assert told(gateway, "/route/r")["value"]["service_id"] == "s"
        assert told(gateway, "/upstream/u")["has_domain"] is True
        service = told(gateway, "/service/s")["value"]
        assert service["plugins"] == {"proxy-rewrite": {"headers": {"set": {"X-Api-Key": "***"}}}}
        assert told(gateway, "/plugin_metadatas") == [{"id": "batch-requests", "max_body_size": 4096}]
        assert "key-auth" in told(gateway, "/schema")["plugins"]

    gateway.put("routes", "r", {"uri": "/changed", "service_id": "s"})
    for _ in range(4):
        assert told(gateway, "/route/r")["value"]["uri"] == "/changed"
    gateway.delete("routes", "r")
    for _ in range(4):
        assert told(gateway, "/routes") == []
        assert json.loads(control(gateway, "/route/r").body) == {"error_msg": "route[r] not found"}


@pytest.mark.parametrize("workers", [1, 2])
def test_reload(start_gateway: StartGateway, workers: int) -> None:
    gateway = start_gateway({"batchway": {"workers": workers}})
    gateway.put("routes", "r", {"uri": "/r", "plugins": {"cors": {}}})
    gateway.write_config({"plugins": ["batch-requests", "public-api"]})
    answer = control(gateway, "/plugins/reload", "PUT")
    assert (answer.status, answer.body) == (200, b"done")
    for _ in range(4):
        assert told(gateway, "/schema")["plugins"].keys() == {"batch-requests", "public-api"}
        assert told(gateway, "/routes") == [], "what is in the store and not served is not told"

    gateway.config_path.write_text("plugins: [")
    assert control(gateway, "/plugins/reload", "PUT").status == 503
    assert told(gateway, "/schema")["plugins"].keys() == {"batch-requests", "public-api"}
    gateway.write_config({"plugins": ["batch-requests", "cors"]})
    assert control(gateway, "/plugins/reload", "PUT").status == 200
    for _ in range(4):
        assert [one["key"] for one in told(gateway, "/routes")] == ["/apisix/routes/r"]


def test_a_page_in_a_browser_is_refused(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    assert control(gateway, "/gc", "POST").status == 200
    assert control(gateway, "/gc", "POST", Origin="http://evil.test").status == 403
    assert control(gateway, "/routes", Host="evil.test:9090").status == 403
    assert control(gateway, "/routes", Host=f"localhost:{gateway.control[1]}").status == 200
