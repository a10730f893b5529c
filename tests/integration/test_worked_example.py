"""The commands of APISIX's page about `batch-requests`, as they stand there but for host and port."""

import json
import os
import shutil
import subprocess

import pytest
import yaml

from .conftest import StartGateway, StartScripted
from .gateway import Document, Gateway, nodes
from .scripted import Received, each, ok

YQ = """admin_key=$(yq '.deployment.admin.admin_key[0].key' conf/config.yaml | sed 's/"//g')"""

METADATA = """
curl http://127.0.0.1:9180/apisix/admin/plugin_metadata/batch-requests -H "X-API-KEY: $admin_key" -X PUT -d '
{
 "max_body_size": 4194304
}'
"""  # noqa: E501 - as it stands there

CUSTOM_URI = """
curl http://127.0.0.1:9180/apisix/admin/routes/br -H "X-API-KEY: $admin_key" -X PUT -d '
{
 "uri": "/batch-requests",
 "plugins": {
 "public-api": {
 "uri": "/apisix/batch-requests"
 }
 }
}'
"""

EXPOSE = """
curl http://127.0.0.1:9180/apisix/admin/routes/br -H "X-API-KEY: $admin_key" -X PUT -d '
{
 "uri": "/apisix/batch-requests",
 "plugins": {
 "public-api": {}
 }
}'
"""

BATCH = """
curl --location --request POST 'http://127.0.0.1:9080/apisix/batch-requests' \\
--header 'Content-Type: application/json' \\
--data '{
 "headers": {
 "Content-Type": "application/json",
 "admin-jwt":"xxxx"
 },
 "timeout": 500,
 "pipeline": [
 {
 "method": "POST",
 "path": "/community.GiftSrv/GetGifts",
 "body": "test"
 },
 {
 "method": "POST",
 "path": "/community.GiftSrv/GetGifts",
 "body": "test2"
 }
 ]
}'
"""


def run(gateway: Gateway, *commands: str) -> str:
    """What the commands print, run by bash where the config file is."""
    script = "\n".join(commands)
    script = script.replace("http://127.0.0.1:9180", gateway.admin_url)
    script = script.replace("http://127.0.0.1:9080", gateway.data_url)
    environment = os.environ | {"admin_key": configured_key(gateway)}
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=gateway.directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def configured_key(gateway: Gateway) -> str:
    """The key that the `yq` line is to find, for machines without it."""
    config = yaml.safe_load(gateway.config_path.read_text())
    key = config["deployment"]["admin"]["admin_key"][0]["key"]
    assert isinstance(key, str)
    return key


@pytest.fixture
def gateway(start_gateway: StartGateway) -> Gateway:
    """As its configuration page says: the plugin is in `plugins`, and there is no key yet."""
    return start_gateway(
        {
            "deployment": {"admin": {"admin_key": None}},
            "plugins": ["public-api", "batch-requests"],
            "batchway": {"expose_batch": None},
        }
    )


def in_time(gateway: Gateway) -> list[Document]:
    """The replies to the batch, whose half a second may be too short for a busy machine."""
    for _ in range(10):
        replies: list[Document] = json.loads(run(gateway, BATCH))
        if all(reply["status"] != 504 for reply in replies):
            break
    return replies


def gifts(request: Received) -> bytes:
    seen = {"jwt": request.header("admin-jwt"), "type": request.header("content-type")}
    return ok(json.dumps(seen | {"body": request.body.decode()}).encode(), "Content-Type: application/json")


def test_yq_finds_the_generated_key(gateway: Gateway) -> None:
    found = run(gateway, YQ, 'echo "$admin_key"').strip()

    assert len(found) >= 32
    assert found == configured_key(gateway)


def test_the_worked_example(gateway: Gateway, scripted: StartScripted) -> None:
    lookup = YQ if shutil.which("yq") else ""
    gateway.key = configured_key(gateway)
    upstream = scripted(each(gifts))
    gateway.put("routes", "gifts", {"uri": "/community.GiftSrv/*", "upstream": {"nodes": nodes(upstream)}})

    before = run(gateway, BATCH)
    written = json.loads(run(gateway, lookup, EXPOSE))
    replies = in_time(gateway)

    assert "error_msg" in json.loads(before)
    assert written["value"]["uri"] == "/apisix/batch-requests"
    assert written["key"] == "/apisix/routes/br"
    assert [reply["status"] for reply in replies] == [200, 200]
    assert [reply["reason"] for reply in replies] == ["OK", "OK"]
    assert [json.loads(reply["body"]) for reply in replies] == [
        {"jwt": "xxxx", "type": "application/json", "body": "test"},
        {"jwt": "xxxx", "type": "application/json", "body": "test2"},
    ]
    assert replies[0]["headers"]["Content-Type"] == "application/json"


def test_the_custom_uri(gateway: Gateway) -> None:
    lookup = YQ if shutil.which("yq") else ""

    run(gateway, lookup, CUSTOM_URI)

    assert gateway.batch(["/nowhere"], uri="/batch-requests").json()[0]["status"] == 404
    assert gateway.batch(["/nowhere"]).status == 404


def test_the_metadata_call(gateway: Gateway) -> None:
    lookup = YQ if shutil.which("yq") else ""

    written = json.loads(run(gateway, lookup, METADATA, EXPOSE.replace("curl", "curl -o /dev/null")))
    large = {"pipeline": [{"path": "/nowhere", "body": "x" * 2_000_000}]}

    assert written["value"]["max_body_size"] == 4194304
    assert gateway.batch(large).status == 200
