"""JSON Schemas: valid ones, that say of a document what the Admin API says of it."""

from typing import Annotated, Any

import jsonschema_rs
import msgspec
import pytest
from msgspec import Struct

from batchway.admin.kinds import KINDS
from batchway.admin.schemas import find_kind, kind_schema, plugin_schema, struct_schema

from .client import Client

NODES = {"127.0.0.1:1980": 1}
KINDS_WITH_STRUCT = [name for name, kind in KINDS.items() if kind.struct is not None]


@pytest.mark.parametrize("name", KINDS_WITH_STRUCT)
@pytest.mark.parametrize("in_singular", [False, True])
def test_every_kind_has_a_schema(call: Client, name: str, in_singular: bool) -> None:
    asked = KINDS[name].singular.replace(" ", "_") if in_singular else name
    answer = call("GET", f"/schema/{asked}")

    assert answer.status == 200
    jsonschema_rs.meta.validate(answer.json())
    assert answer.json()["type"] == "object"
    assert answer.json()["additionalProperties"] is False
    assert "$ref" not in answer.body.decode()


def test_what_has_no_schema_is_told(call: Client) -> None:
    assert call("GET", "/schema/nothing").status == 404
    assert "not supported by batchway" in call("GET", "/schema/ssls").json()["error_msg"]
    assert call("GET", "/schema").status == 404
    assert call("GET", "/schema/routes/1").status == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH"])
def test_a_schema_is_only_read(call: Client, method: str) -> None:
    assert call(method, "/schema/routes", {}).status == 405


SAID: list[tuple[str, dict[str, Any], bool]] = [
    ("routes", {"uri": "/a", "plugins": {}}, True),
    ("routes", {"uris": ["/a", "/b"], "upstream": {"nodes": NODES}, "id": 5}, True),
    ("routes", {"uri": "/a", "upstream_id": 5, "vars": [["arg_a", "==", "b"]], "status": 0}, True),
    ("routes", {"uri": "/a", "upstream": {"nodes": [{"host": "a", "weight": 1}], "id": 3}}, True),
    (
        "routes",
        {"uri": "/a", "methods": ["GET"], "hosts": ["*.a.com"], "plugins": {"x": {"y": None}}},
        True,
    ),
    ("routes", {"uri": "/a", "plugins": {}, "enable_websocket": False}, True),
    ("routes", {"uri": "/a", "plugins": {}, "enable_websocket": True}, False),
    ("routes", {"uri": "/a"}, False),
    ("routes", {"plugins": {}}, False),
    ("routes", {"uri": "/a", "uris": ["/a"], "plugins": {}}, False),
    ("routes", {"uris": ["/a", "/a"], "plugins": {}}, False),
    ("routes", {"uris": [], "plugins": {}}, False),
    ("routes", {"uri": "/a", "upstream_id": "1", "upstream": {"nodes": NODES}}, True),
    ("routes", {"uri": "/a", "host": "a", "hosts": ["b"], "plugins": {}}, False),
    ("routes", {"uri": "/a", "plugins": {}, "name": None}, False),
    ("routes", {"uri": "/a", "plugins": {}, "status": 2}, False),
    ("routes", {"uri": "/a", "plugins": {}, "id": 0}, False),
    ("routes", {"uri": "/a", "plugins": {}, "id": "a b"}, False),
    ("routes", {"uri": "/a", "plugins": {}, "methods": ["get"]}, False),
    ("routes", {"uri": "/a", "plugins": {}, "script": "x"}, False),
    ("routes", {"uri": "/a", "upstream": {}}, False),
    ("routes", {"uri": "/a", "upstream": {"nodes": {"a:1": -1}}}, False),
    ("upstreams", {"nodes": NODES, "checks": {"active": {}}}, True),
    ("upstreams", {"nodes": NODES, "timeout": {"connect": 1, "send": 1, "read": 0.5}}, True),
    ("upstreams", {"nodes": NODES, "timeout": {"connect": 1, "send": 1}}, False),
    ("upstreams", {"nodes": NODES, "checks": {}}, False),
    ("upstreams", {"nodes": NODES, "scheme": "grpc"}, False),
    ("upstreams", {}, False),
    ("services", {}, True),
    ("services", {"hosts": []}, False),
    ("consumers", {"username": "jack", "labels": {"a": "b"}}, True),
    ("consumers", {}, False),
    ("consumers", {"username": "a b"}, False),
    ("credentials", {"plugins": {"key": {"key": "a"}}}, True),
    ("credentials", {"plugins": {}}, False),
    ("credentials", {}, False),
    ("consumer_groups", {"plugins": {}}, True),
    ("global_rules", {"plugins": {}, "host": "a"}, False),
]


@pytest.mark.parametrize(("name", "document", "is_good"), SAID)
def test_a_schema_says_what_the_admin_api_says(
    call: Client, name: str, document: dict[str, Any], is_good: bool
) -> None:
    assert jsonschema_rs.validator_for(kind_schema(name)).is_valid(document) is is_good
    known = "x" not in document.get("plugins", {})  # which plugins there are, a kind's schema cannot say
    if known:
        validated = call("POST", f"/schema/validate/{name}", document)
        assert (validated.status == 200) is is_good, validated


def test_a_schema_tells_defaults_choices_and_bounds() -> None:
    properties = kind_schema("upstreams")["properties"]

    assert properties["type"]["default"] == "roundrobin"
    assert set(properties["scheme"]["enum"]) == {"http", "https"}
    assert properties["retries"] == {"type": "integer", "minimum": 0}
    assert properties["tls"]["default"] == {"verify": False}
    port = properties["nodes"]["anyOf"][1]["items"]["properties"]["port"]
    assert port == {"type": "integer", "minimum": 1, "maximum": 65535}
    assert properties["id"]["anyOf"][1] == {"type": "integer", "minimum": 1}


@pytest.mark.parametrize("name", KINDS_WITH_STRUCT)
def test_defaults_are_valid_themselves(name: str) -> None:
    def check(schema: Any) -> None:
        if isinstance(schema, dict):
            if "default" in schema and "type" in schema:
                default = msgspec.json.decode(msgspec.json.encode(schema["default"]))
                assert jsonschema_rs.validator_for(schema).is_valid(default), schema
            for inner in schema.values():
                check(inner)
        elif isinstance(schema, list):
            for inner in schema:
                check(inner)

    check(kind_schema(name))


class Odd(Struct):
    """A stranger's config."""

    value: complex


class Tagged(Struct, tag=True):
    inner: Annotated[str, msgspec.Meta(pattern=r"^a\Z")] | None = None


def test_a_struct_without_words_in_json_schema_is_any_object() -> None:
    assert struct_schema(Odd)["type"] == "object"
    jsonschema_rs.meta.validate(plugin_schema(Odd))


def test_a_pattern_is_written_as_json_schema_has_it() -> None:
    assert struct_schema(Tagged)["properties"]["inner"] == {"type": "string", "pattern": "^a$"}


def test_kinds_are_found_by_both_names() -> None:
    assert find_kind("plugin_configs") is find_kind("plugin_config") is KINDS["plugin_configs"]
    assert find_kind("nothing") is None
