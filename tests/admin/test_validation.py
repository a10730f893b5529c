"""Checks that write nothing."""

from asyncio import Runner
from typing import Any

import pytest

from batchway.store.sqlite import SqliteStore

from .client import Client

ROUTE: dict[str, Any] = {"uri": "/a", "plugins": {}}


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("routes", ROUTE),
        ("routes", ROUTE | {"id": "1", "service_id": "not-there"}),
        ("consumers", {"username": "jack", "plugins": {"key": {"key": "a"}}}),
        ("credentials", {"plugins": {"key": {"key": "a"}}}),
        ("plugin_metadata", {"id": "known", "a": 1}),
    ],
)
def test_what_could_be_written_is_an_empty_200(
    call: Client, store: SqliteStore, runner: Runner, name: str, document: object
) -> None:
    answer = call("POST", f"/schema/validate/{name}", document)

    assert (answer.status, answer.body) == (200, b"")
    assert runner.run(store.list("")).revision == 0


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        ("routes", {"uri": 666, "plugins": {}}, 'invalid route: property "uri": expected str, got 666'),
        ("routes", ROUTE | {"plugins": {"known": {"bad": 1}}}, 'plugin "known": property "bad" is wrong'),
        ("routes", [], "invalid route: expected object"),
        ("plugin_metadata", {"a": 1}, "missing plugin name"),
        ("plugin_metadata", {"id": "none"}, "unknown plugin [none]"),
        (
            "consumers",
            {"username": "jack", "plugins": {"key": {"key": "encrypted:x"}}},
            'invalid consumer: property "plugins.key.key": it says that it is encrypted, but is not in that'
            " form",
        ),
    ],
)
def test_what_could_not_be_written_is_told(call: Client, name: str, document: object, message: str) -> None:
    answer = call("POST", f"/schema/validate/{name}", document)
    assert (answer.status, answer.json()) == (400, {"error_msg": message})


def test_only_kinds_are_validated(call: Client) -> None:
    answer = call("POST", "/schema/validate/nothing", {})
    assert (answer.status, answer.json()) == (404, {"error_msg": "Unsupported resource type: nothing"})
    assert "not supported by batchway" in call("POST", "/schema/validate/ssls", {}).json()["error_msg"]
    assert call("GET", "/schema/validate/routes").status == 405
    assert call.raw("POST", "/apisix/admin/schema/validate/routes", [b""]).status == 400
    assert call.raw("POST", "/apisix/admin/schema/validate/routes", [b"{"]).status == 400


# --- a whole configuration


def test_a_good_configuration_is_an_empty_200(call: Client) -> None:
    document = {
        "routes": [ROUTE | {"id": "1", "service_id": "1"}, ROUTE],
        "routes_conf_version": 3,
        "services": [{"id": "1"}],
        "consumers": [
            {"username": "jack"},
            {"id": "jack/credentials/1", "plugins": {"key": {"key": "a"}}},
        ],
        "plugin_metadata": [{"id": "known"}],
        "global_rules": [],
    }
    answer = call("POST", "/configs/validate", document)
    assert (answer.status, answer.body) == (200, b"")


def test_all_that_is_wrong_with_a_configuration_is_told(call: Client) -> None:
    document = {
        "routes": [ROUTE | {"id": "1"}, {"uri": "/a"}, ROUTE | {"id": "1"}, 5],
        "routes_conf_version": "3",
        "consumers": [
            {"username": "a b"},
            {"id": "jack/credentials/1", "plugins": {"known": {}}},
        ],
        "ssls": [],
        "nothing": [],
        "upstreams": {},
    }
    answer = call("POST", "/configs/validate", document)

    assert answer.status == 400
    assert answer.json()["error_msg"] == "Configuration validation failed"
    errors = answer.json()["errors"]
    assert [(error["resource_type"], error.get("index")) for error in errors] == [
        ("routes", 1),
        ("routes", 2),
        ("routes", 3),
        ("routes", None),
        ("consumers", 0),
        ("consumers", 1),
        ("ssls", None),
        ("nothing", None),
        ("upstreams", None),
    ]
    texts = [error["error"] for error in errors]
    assert texts[0].startswith('invalid routes at index 1, err: invalid route: one of "upstream"')
    assert texts[1] == "invalid routes at index 2, err: found duplicate id 1"
    assert texts[3] == "routes_conf_version must be a number"
    assert texts[5].endswith("only supports auth type plugins in consumer credential")
    assert texts[6:] == ["not supported by batchway", "unsupported resource type", "expected array"]


def test_a_configuration_is_an_object(call: Client) -> None:
    answer = call("POST", "/configs/validate", [])
    assert (answer.status, answer.json()) == (400, {"error_msg": "invalid configuration: expected object"})
    assert call("GET", "/configs/validate").status == 405


def test_a_plugin_in_two_global_rules(call: Client) -> None:
    plugins: dict[str, object] = {"known": {}}
    rules = [{"id": "a", "plugins": plugins}, {"id": "b", "plugins": plugins}]
    answer = call("POST", "/configs/validate", {"global_rules": rules})

    assert answer.status == 400
    assert [error["error"] for error in answer.json()["errors"]] == [
        "invalid global_rules at index 1, err: plugin 'known' already exists in global rule with id 'a'"
    ]
