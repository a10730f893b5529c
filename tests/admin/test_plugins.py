"""What the Admin API tells of plugins, and the reload."""

import jsonschema_rs
import pytest
import structlog

from batchway.admin.app import AdminApp
from batchway.errors import ConfigError

from .client import Client


def test_the_list_has_the_highest_priority_first(call: Client) -> None:
    answer = call("GET", "/plugins/list")
    assert (answer.status, answer.json()) == (200, ["key", "known"])
    assert call("GET", "/plugins/list?subsystem=http").json() == ["key", "known"]


def test_another_subsystem_is_refused(call: Client) -> None:
    for path in ("/plugins/list", "/plugins", "/plugins/known"):
        answer = call("GET", f"{path}?subsystem=stream")
        assert (answer.status, answer.json()) == (400, {"error_msg": "unsupported subsystem: stream"})


def test_all_plugins_are_told_by_name(call: Client) -> None:
    found = call("GET", "/plugins?all=true").json()

    assert list(found) == ["key", "known"]
    assert (found["key"]["priority"], found["key"]["version"], found["key"]["type"]) == (
        2500,
        "0.1",
        "auth",
    )
    assert found["key"]["consumer_schema"]["required"] == ["key"]
    assert "type" not in found["known"]
    assert "consumer_schema" not in found["known"]
    for plugin in found.values():
        for name in ("schema", "metadata_schema"):
            jsonschema_rs.meta.validate(plugin[name])


@pytest.mark.parametrize("path", ["/plugins/key", "/schema/plugins/key"])
def test_a_plugins_schemas_are_told(call: Client, path: str) -> None:
    schema = call("GET", path).json()
    assert set(schema["properties"]) == {"_meta"}
    consumer = call("GET", f"{path}?schema_type=consumer").json()
    assert consumer["properties"]["key"] == {"type": "string", "minLength": 1}
    assert call("GET", f"{path}?schema_type=metadata").json()["type"] == "object"
    validator = jsonschema_rs.validator_for(consumer)
    assert validator.is_valid({"key": "a", "_meta": {"disable": True}})
    assert not validator.is_valid({"key": "a", "_meta": {"disable": 1}})


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/plugins/none", 404, "plugin not found"),
        ("/schema/plugins/none", 404, "plugin not found"),
        ("/plugins", 400, "not found plugin name"),
        ("/plugins?all=false", 400, "not found plugin name"),
        ("/plugins/known?schema_type=consumer", 400, "not found schema"),
        ("/plugins/known?schema_type=x", 400, 'query argument "schema_type" must be consumer or metadata'),
        ("/plugins/known/x", 404, "not found"),
    ],
)
def test_what_is_not_there_is_told(call: Client, path: str, status: int, message: str) -> None:
    answer = call("GET", path)
    assert (answer.status, answer.json()) == (status, {"error_msg": message})


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "DELETE"])
def test_plugins_are_only_read(call: Client, method: str) -> None:
    assert call(method, "/plugins/list", {}).status == 405
    assert call(method, "/plugins/known", {}).status == 405


# --- reload


def test_a_reload_is_done_when_it_says_so(app: AdminApp, call: Client) -> None:
    reloads: list[str] = []

    async def reload() -> None:
        reloads.append("again")

    app.reload = reload
    answer = call("PUT", "/plugins/reload")
    assert (answer.status, answer.body, reloads) == (200, b"done", ["again"])


def test_a_configuration_that_cannot_be_used_is_told_to_the_log(app: AdminApp, call: Client) -> None:
    async def reload() -> None:
        raise ConfigError("/home/me/config.yaml: plugins: expected a list")

    app.reload = reload
    with structlog.testing.capture_logs() as lines:
        answer = call("PUT", "/plugins/reload")
    expected = {"error_msg": "the configuration cannot be used: the log says why"}
    assert (answer.status, answer.json()) == (503, expected)
    assert lines[0]["error"] == "/home/me/config.yaml: plugins: expected a list"
    assert lines[1]["code"] == "cannot_reload"


def test_without_a_configuration_there_is_no_reload(call: Client) -> None:
    assert call("PUT", "/plugins/reload").status == 503


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
def test_a_reload_is_a_put(call: Client, method: str) -> None:
    answer = call(method, "/plugins/reload")
    expected = f"please use PUT method to reload the plugins, {method} method is not allowed."
    assert (answer.status, answer.json()) == (405, {"error_msg": expected})


def test_a_viewer_reads_but_does_not_reload(call: Client) -> None:
    call.key = "viewer-key"
    assert call("GET", "/plugins/list").status == 200
    assert call("PUT", "/plugins/reload").status == 401
    call.key = None
    assert call("GET", "/plugins/list").status == 401
