"""docs/migrating-from-apisix.md: its commands bring examples/apisix over, its tables are true."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchway.admin.kinds import NOT_SUPPORTED
from batchway.plugins import all_plugins

from .conftest import StartScripted
from .gateway import TRACEBACK
from .pages import TOP, blocks, check, run
from .ports import free_port
from .scripted import Received, each, ok
from .test_reload import wait_listening

PAGE = TOP / "docs" / "migrating-from-apisix.md"
EXAMPLE = TOP / "examples" / "apisix"
KEY = "a-key-of-the-example"
PORTS = {"GATEWAY_PORT": 9082, "ADMIN_PORT": 9182, "CONTROL_PORT": 9092, "METRICS_PORT": 9093}
"""The page's variables, and the ports that it shows."""

ADA = '{"id": 1, "name": "Ada"}'
GRACE = '{"id": 2, "name": "Grace"}'
NO_USER = '{"error": "no such user"}'
HER_ORDERS = '[{"id": 1, "by": "ada", "what": "tea"}]'
NO_ROUTE = '{"error_msg":"404 Route Not Found"}'
NO_GROUP = '{"message":"The request is rejected, please check the consumer_group_id for this request"}'
"""Bodies that APISIX itself makes end with a line feed."""


@pytest.fixture
def services() -> Iterator[dict[str, int]]:
    """The services that the example's upstreams name, and where they are."""
    ports = {"users": free_port(), "orders": free_port()}
    started = [
        subprocess.Popen([sys.executable, str(TOP / "examples" / f"{name}.py"), str(port)])
        for name, port in ports.items()
    ]
    for port in ports.values():
        wait_listening(("127.0.0.1", port))
    yield ports
    for process in started:
        process.kill()
        process.wait()


def apisix_admin(services: dict[str, int], request: Received) -> bytes:
    """What APISIX's Admin API answers, with the services where they are."""
    text = (EXAMPLE / "admin.json").read_text()
    text = text.replace("1981", str(services["users"])).replace("1982", str(services["orders"]))
    kind = request.target.removeprefix("/apisix/admin/")
    assert request.header("x-api-key") == KEY
    resources = json.loads(text).get(kind)
    if resources is None:
        return ok(b'{"message":"Key not found"}', status="404 Not Found")
    entries = [
        {
            "key": f"/apisix/{kind}/{one.get('username') or one['id']}",
            "value": {k: v for k, v in one.items() if kind != "plugin_metadata" or k != "id"},
            "createdIndex": index,
            "modifiedIndex": index + 7,
        }
        for index, one in enumerate(resources, 12)
    ]
    return ok(
        json.dumps({"list": entries, "total": len(entries)}).encode(), "Content-Type: application/json"
    )


def apisix_gateway(request: Received) -> bytes:
    """What APISIX answers to clients, as far as the page asks."""
    if request.method == "POST":
        replies = [(200, "OK", GRACE), (200, "OK", HER_ORDERS), (404, "Not Found", NO_ROUTE + "\n")]
        return ok(
            json.dumps(
                [
                    {"status": status, "reason": reason, "headers": {"Server": "APISIX"}, "body": body}
                    for status, reason, body in replies
                ]
            ).encode()
        )
    status, body = {
        ("/v1/users/1", None): ("200 OK", ADA),
        ("/v1/users/2?full=1", None): ("404 Not Found", NO_USER),
        ("/orders", None): ("401 Unauthorized", '{"message":"Missing API key in request"}\n'),
        ("/orders", "ada-key"): ("200 OK", HER_ORDERS),
        ("/orders", "grace-key"): ("401 Unauthorized", NO_GROUP + "\n"),
        ("/nowhere", None): ("404 Not Found", NO_ROUTE + "\n"),
    }[request.target, request.header("apikey")]
    return ok(body.encode(), status=status)


def test_the_page_brings_the_example_over(
    tmp_path: Path, scripted: StartScripted, services: dict[str, int]
) -> None:
    admin = scripted(each(lambda request: apisix_admin(services, request)))
    apisix = scripted(each(apisix_gateway))
    found = blocks(PAGE)
    ports = {name: str(free_port()) for name in PORTS}

    printed = run(
        found,
        tmp_path,
        {
            "ADMIN_KEY": KEY,
            "APISIX": "http://{}:{}".format(*apisix.address),
            "APISIX_ADMIN": "http://{}:{}".format(*admin.address),
        }
        | ports,
    )

    assert len(printed) == len(found) > 8
    for block, text in zip(found, printed, strict=True):
        for name, port in ports.items():
            text = text.replace(f":{port}", f":{PORTS[name]}")
        check(block, text)
    (log,) = tmp_path.glob("*/batchway.log")
    assert TRACEBACK not in log.read_text()


def named(heading: str, until: str) -> set[str]:
    """What stands between backticks in the tables of that part of the page."""
    part = PAGE.read_text().partition(f"{heading}\n")[2].partition(until)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return {name for line in lines for name in re.findall(r"`([a-z0-9-]+)`", line)}


def test_the_plugins_that_the_page_names_as_here_are() -> None:
    here = named("Here, with the config that they have in APISIX:", "batchway's own")

    assert here == set(all_plugins()) - {"json-rpc"}


def test_the_plugins_that_the_page_names_as_missing_are() -> None:
    missing = named("Not here; a resource that names one is refused:", "\n#")

    assert len(missing) > 90
    assert not missing & set(all_plugins())


def test_the_kinds_that_are_not_supported_are_named() -> None:
    refused = PAGE.read_text().partition("## What is refused")[2]

    assert all(f"`{kind}`" in refused for kind in NOT_SUPPORTED)
