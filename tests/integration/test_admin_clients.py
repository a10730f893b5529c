"""Clients of APISIX's Admin API from the package index, as they are: mcp-apisix and apisix-client."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from mcp_apisix.clients.admin import ApisixAdminClient  # type: ignore[import-untyped] # it has no types

from .conftest import StartGateway
from .gateway import KEY, Gateway
from .nginx import Nginx

T = TypeVar("T")
Ask = Callable[[Callable[[ApisixAdminClient], Awaitable[T]]], T]


@pytest.fixture
def ask(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs what asks the client, whose settings are environment variables."""
    monkeypatch.setenv("APISIX_BASE_URL", gateway.admin_url)
    monkeypatch.setenv("APISIX_ADMIN_KEY", KEY)

    def ask(work: Callable[[ApisixAdminClient], Awaitable[T]]) -> T:
        async def run() -> T:
            client = ApisixAdminClient()
            try:
                return await work(client)
            finally:
                await client.aclose()

        return asyncio.run(run())

    return ask


def test_it_makes_changes_and_finds_a_route(
    gateway: Gateway, nginx: Nginx, unique: str, ask: Ask[dict[str, Any]]
) -> None:
    nodes = {"{}:{}".format(*nginx.address): 1}
    route = {"uri": f"/{unique}/b", "name": unique, "upstream": {"nodes": nodes, "type": "roundrobin"}}
    made = ask(lambda client: client.create_resource("routes", route))
    assert gateway.fetch(f"/{unique}/b").status == 200

    changed = ask(lambda client: client.update_resource("routes", made["id"], {"desc": "changed"}))
    assert changed["value"]["desc"] == "changed"
    assert ask(lambda client: client.get_resource("routes", made["id"]))["value"]["uri"] == f"/{unique}/b"

    ask(lambda client: client.toggle_route(made["id"], enabled=False))
    assert gateway.fetch(f"/{unique}/b").status == 404
    ask(lambda client: client.toggle_route(made["id"], enabled=True))
    assert gateway.fetch(f"/{unique}/b").status == 200

    found = ask(
        lambda client: client.list_resources("routes", filters={"name": f"^{unique}$"}, detail=True)
    )
    assert [one["value"]["id"] for one in found["list"]] == [made["id"]]
    gateway.delete("routes", made["id"])


def test_it_takes_batchway_for_apisix_3(ask: Ask[dict[str, Any]]) -> None:
    info = ask(lambda client: client.get_server_info())
    assert (info["response_format"], info["detected"]) == ("v3", True)


def test_it_lists_plugins_and_their_schemas(ask: Ask[Any]) -> None:
    names = ask(lambda client: client.list_plugins())
    assert names.index("batch-requests") < names.index("public-api")
    schema = ask(lambda client: client.get_plugin_schema("key-auth"))
    assert schema["type"] == "object"


@pytest.mark.parametrize(
    ("config", "is_valid"), [({"uri": "/a", "plugins": {}}, True), ({"uri": "/a"}, False)]
)
def test_it_validates(ask: Ask[dict[str, Any]], config: dict[str, Any], is_valid: bool) -> None:
    answer = ask(lambda client: client.validate_resource_config("routes", config))
    assert answer["valid"] is is_valid
    assert is_valid or answer["error_msg"].startswith("invalid route: ")


@pytest.mark.parametrize("kind", ["services", "upstreams", "consumers", "global_rules", "plugin_configs"])
def test_it_lists_every_kind(ask: Ask[dict[str, Any]], kind: str) -> None:
    answer = ask(lambda client: client.list_resources(kind, page=1, page_size=500))
    assert isinstance(answer["list"], list)


TOUR = Path(__file__).with_name("apisix_client_tour.py")
PYTHON = Path(__file__).parents[2] / ".venv-apisix-client" / "bin" / "python"
"""It wants older versions of what we have, and so has an environment of its own: scripts/clients.sh."""


def test_apisix_client_makes_and_reads_resources(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway()
    address = "{}:{}".format(*nginx.address)
    command = [str(PYTHON), str(TOUR), gateway.admin_url, KEY, address]
    tour = subprocess.run(command, check=True, capture_output=True, timeout=50)
    assert json.loads(tour.stdout) == {
        "made": True,
        "found": ["/plain", True],
        "listed": ["plain"],
        "deleted": [True, True],
        "count": 1,
        "plugins": True,
        "reloaded": True,
    }
    assert gateway.fetch("/tour/x").status == 401
    assert gateway.fetch("/tour/x", headers={"apikey": "tour-key"}).status == 200
