"""Dumps of other shapes."""

import pytest

from batchway.admin import whole
from batchway.cli.foreign import as_sections
from batchway.config.data_encryption import Keyring
from batchway.plugins import Registry


def keys(tree: object) -> list[str]:
    found = whole.read(as_sections(tree))
    assert found.faults == []
    return list(found.resources)


@pytest.mark.parametrize("tree", [{"routes": []}, {"services": [{"id": 1}]}, [], None, "x", {"list": []}])
def test_what_needs_no_change_is_not_changed(tree: object) -> None:
    assert as_sections(tree) is tree


def test_lists_of_the_admin_api() -> None:
    route = {"key": "/apisix/routes/5", "value": {"uri": "/a"}, "modifiedIndex": 7}
    credential = {"key": "/apisix/consumers/jack/credentials/1", "value": {"plugins": {}}}
    consumer = {"key": "/apisix/consumers/jack", "value": {"username": "jack"}}
    metadata = {"key": "/apisix/plugin_metadata/batch-requests", "value": {"max_body_size": 1}}
    assert keys({"list": [route, credential, consumer, metadata], "total": 4}) == [
        "/routes/5",
        "/consumers/jack/credentials/1",
        "/consumers/jack",
        "/plugin_metadata/batch-requests",
    ]
    assert keys(route) == ["/routes/5"]
    assert keys({"list": [], "total": 0}) == []


@pytest.mark.parametrize("node", [1, {"key": "/apisix/ssls/1", "value": {}}, {"key": "/apisix/routes/1"}])
def test_what_a_list_may_not_hold_is_not_passed_over(node: object) -> None:
    assert whole.read(as_sections({"list": [node], "total": 1})).faults


def test_dumps_of_adc() -> None:
    tree = {
        "services": [
            {
                "name": "orders",
                "upstream": {"nodes": [{"host": "a", "port": 80, "weight": 1}]},
                "routes": [{"name": "list", "uris": ["/orders"]}, {"id": "own", "uris": ["/o"]}],
            }
        ],
        "consumers": [
            {
                "username": "jack",
                "credentials": [{"name": "k", "type": "key-auth", "config": {"key": "x"}}],
            }
        ],
        "global_rules": {"cors": {}},
        "plugin_metadata": {"batch-requests": {"max_body_size": 1}},
    }
    found = whole.read(as_sections(tree))
    assert found.faults == []
    assert {key: one.document for key, one in found.resources.items()} == {
        "/services/orders": {
            "id": "orders",
            "name": "orders",
            "upstream": {"nodes": [{"host": "a", "port": 80, "weight": 1}]},
        },
        "/routes/list": {"id": "list", "name": "list", "uris": ["/orders"], "service_id": "orders"},
        "/routes/own": {"id": "own", "uris": ["/o"], "service_id": "orders"},
        "/consumers/jack": {"username": "jack"},
        "/consumers/jack/credentials/k": {"id": "k", "name": "k", "plugins": {"key-auth": {"key": "x"}}},
        "/global_rules/cors": {"id": "cors", "plugins": {"cors": {}}},
        "/plugin_metadata/batch-requests": {"max_body_size": 1},
    }


@pytest.mark.parametrize(
    "tree",
    [
        {"services": [{"routes": "x"}]},
        {"services": [{"routes": [1]}]},
        {"services": 5, "global_rules": {}},
        {"consumers": [1], "global_rules": {"x": 1}},
        {"consumers": 5, "global_rules": {"x": 1}},
        {"plugin_metadata": {"x": 1}},
    ],
)
def test_dumps_that_are_broken_are_refused_and_not_a_fault_of_ours(tree: object) -> None:
    found = whole.read(as_sections(tree))
    assert [*found.faults, *whole.check(found.resources, Registry(), Keyring())]
