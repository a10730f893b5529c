"""All resources as one document: taken apart, and checked together."""

from typing import Any

import pytest

from batchway.admin import whole
from batchway.admin.kinds import locate
from batchway.admin.whole import Fault
from batchway.config.data_encryption import Keyring
from batchway.plugins import Registry

NODES = {"127.0.0.1:1": 1}
KEY_AUTH = {"key-auth": {"key": "secret"}}


def documents(tree: object) -> dict[str, Any]:
    found = whole.read(tree)
    assert found.faults == []
    return {key: one.document for key, one in found.resources.items()}


def faults(tree: object, **others: Any) -> list[tuple[str, str]]:
    """What is wrong with it: where, and what."""
    found = whole.read(tree)
    there = [(place, document) for key, document in others.items() if (place := locate(key))]
    checked = whole.check(found.resources, Registry(), Keyring(), there)
    return [(whole.dotted(fault.keys), fault.text) for fault in (*found.faults, *checked)]


def test_plugin_without_a_word_has_no_settings() -> None:
    """YAML has null where APISIX's users write `key-auth:` and nothing else."""
    tree = {"routes": [{"id": 1, "uri": "/a", "plugins": {"key-auth": None}}]}
    assert faults(tree) == []
    assert documents(tree)["/routes/1"]["plugins"] == {"key-auth": {}}


def test_id_of_a_consumer_is_its_name_or_a_fault() -> None:
    assert documents({"consumers": [{"id": "jack", "username": "jack"}]}) == {
        "/consumers/jack": {"username": "jack"}
    }
    assert faults({"consumers": [{"id": "joe", "username": "jack"}]}) != []


def test_resources_of_all_kinds() -> None:
    tree = {
        "routes": [{"id": 1, "uri": "/a", "service_id": "s"}],
        "services": [{"id": "s", "upstream_id": 5}],
        "upstreams": [{"id": 5, "nodes": NODES}],
        "consumers": [
            {"username": "jack", "group_id": "g", "credentials": [{"id": "in", "plugins": KEY_AUTH}]},
            {"id": "jack/credentials/beside", "plugins": {"key-auth": {"key": "other"}}},
        ],
        "consumer_groups": [{"id": "g", "plugins": {}}],
        "plugin_configs": [{"id": "p", "plugins": {}}],
        "global_rules": [{"id": "1", "plugins": {}}],
        "plugin_metadata": [{"id": "batch-requests", "max_body_size": 5}],
    }
    assert faults(tree) == []
    assert documents(tree) == {
        "/routes/1": {"id": "1", "uri": "/a", "service_id": "s"},
        "/services/s": {"id": "s", "upstream_id": 5},
        "/upstreams/5": {"id": "5", "nodes": NODES},
        "/consumers/jack": {"username": "jack", "group_id": "g"},
        "/consumers/jack/credentials/in": {"id": "in", "plugins": KEY_AUTH},
        "/consumers/jack/credentials/beside": {
            "id": "beside",
            "plugins": {"key-auth": {"key": "other"}},
        },
        "/consumer_groups/g": {"id": "g", "plugins": {}},
        "/plugin_configs/p": {"id": "p", "plugins": {}},
        "/global_rules/1": {"id": "1", "plugins": {}},
        "/plugin_metadata/batch-requests": {"max_body_size": 5},
    }


@pytest.mark.parametrize(
    "tree",
    [{}, {"routes": []}, {"routes": None}, {"ssls": []}, {"protos": None}, {"routes_conf_version": 7}],
)
def test_nothing_is_not_wrong(tree: object) -> None:
    assert documents(tree) == {}


# --- ids


def test_an_id_is_made_of_what_a_resource_says() -> None:
    one, other = {"uri": "/a", "plugins": {}}, {"uri": "/b", "plugins": {}}
    first = documents({"routes": [one, other]})
    again = documents({"routes": [{"id": 3, "uri": "/c"}, other, dict(reversed(one.items()))]})
    assert len(first) == 2
    assert first.keys() < again.keys()
    for key, document in first.items():
        assert key == f"/routes/{document['id']}"
        assert document["id"].startswith("auto-")


@pytest.mark.parametrize("kind", ["upstreams", "services", "global_rules"])
def test_other_kinds_need_no_id_either(kind: str) -> None:
    (key,) = documents({kind: [{"plugins": {}}]})
    assert key.startswith(f"/{kind}/auto-")


def test_the_same_twice_is_a_duplicate() -> None:
    route = {"uri": "/a", "plugins": {}}
    (fault,) = faults({"routes": [route, route]})
    assert fault[0] == "routes[1]"
    assert fault[1].startswith('duplicate route "auto-')
    assert fault[1].endswith("the first is routes[0]")


@pytest.mark.parametrize(
    ("kind", "item", "text"),
    [
        ("plugin_configs", {"plugins": {}}, "missing plugin config id"),
        ("consumer_groups", {"plugins": {}}, "missing consumer group id"),
        ("consumers", {"plugins": {}}, "missing consumer name"),
        ("consumers", {"username": "a b"}, "invalid consumer id: expected 1 to 100"),
        ("consumers", {"id": "a b/credentials/c", "plugins": KEY_AUTH}, "invalid consumer id"),
        ("consumers", {"id": "a/credentials/c d", "plugins": KEY_AUTH}, "invalid credential id"),
        ("plugin_metadata", {"max_body_size": 1}, "missing plugin name"),
        ("routes", {"id": "a/b", "uri": "/"}, "invalid route id: expected 1 to 64"),
        ("routes", {"id": True, "uri": "/"}, "invalid route id"),
        ("routes", {"id": 1.5, "uri": "/"}, "invalid route id"),
        ("routes", {"id": "", "uri": "/"}, "invalid route id"),
        ("routes", "x", "invalid route: expected a mapping"),
        ("routes", None, "invalid route: expected a mapping"),
        ("consumers", {"username": "a", "credentials": [1]}, "invalid credential: expected a mapping"),
        ("consumers", {"username": "a", "credentials": {}}, "expected a list"),
    ],
)
def test_items_that_are_none(kind: str, item: object, text: str) -> None:
    (fault,) = faults({kind: [item]})
    assert fault[0].startswith(f"{kind}[0]")
    assert text in fault[1]


# --- the whole


@pytest.mark.parametrize("tree", [None, 1, "x", []])
def test_what_is_no_mapping(tree: object) -> None:
    (fault,) = whole.read(tree).faults
    assert fault.keys == ()
    assert fault.text.startswith("expected a mapping of upstreams, ")


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({"route": []}, "unknown key; did you mean routes?"),
        ({"credentials": []}, "unknown key"),
        ({"x": 1}, "unknown key"),
        ({"routes": {}}, "expected a list"),
        ({"ssls": [{"cert": "x"}]}, "batchway has no TLS towards clients"),
        ({"stream_routes": [{}]}, "batchway has no TCP and UDP proxying"),
        ({"plugins": [{"name": "key-auth"}]}, "which plugins are on is said in config.yaml"),
        ({"apisix": {"node_listen": 9080}}, "this belongs into config.yaml"),
        ({"routes_conf_version": "x"}, "unknown key"),
    ],
)
def test_sections_that_are_none(tree: dict[str, object], text: str) -> None:
    assert faults(tree) == [(next(iter(tree)), text)]


def test_every_fault_is_told() -> None:
    found = faults(
        {
            "routes": [
                {"uri": "a", "plugins": {}},
                {"id": 2, "uri": "/b", "upstream_id": 1, "service_id": 2, "plugin_config_id": "x"},
                {"id": 2, "uri": "/b"},
                {"id": 3, "uri": "/ok", "plugins": {}},
            ],
            "consumers": [
                {"username": "jack", "group_id": "g", "plugins": {"key-auth": {"key": 5}}},
                {"id": "joe/credentials/1", "plugins": KEY_AUTH},
                {"username": "jill", "plugins": KEY_AUTH | {"limit-count": {}}},
            ],
            "plugin_metadata": [{"id": "no-such"}, {"id": "batch-requests", "max_body_size": -1}],
            "nothing": 1,
        }
    )
    where = [place for place, _ in found]
    assert where == [
        "routes[2]",
        "nothing",
        "routes[0]",
        "routes[1]",
        "routes[1]",
        "routes[1]",
        "consumers[0]",
        "consumers[0]",
        "consumers[1]",
        "consumers[2]",
        "plugin_metadata[0]",
        "plugin_metadata[1]",
    ]
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    "consumers",
    [
        [{"username": "jack", "plugins": KEY_AUTH}, {"username": "jill", "plugins": KEY_AUTH}],
        [
            {"username": "jack", "plugins": KEY_AUTH},
            {"username": "jill", "credentials": [{"plugins": KEY_AUTH}]},
        ],
    ],
)
def test_two_consumers_with_one_key(consumers: list[object]) -> None:
    (fault,) = faults({"consumers": consumers})
    assert fault[1] == "duplicate key found with consumer: jack"


def test_one_consumer_may_have_its_key_twice() -> None:
    consumer = {"username": "jack", "plugins": KEY_AUTH, "credentials": [{"plugins": KEY_AUTH}]}
    assert faults({"consumers": [consumer]}) == []


def test_what_is_there_already_counts() -> None:
    route = {"uri": "/a", "upstream_id": "u"}
    assert faults({"routes": [route]}) == [
        ("routes[0]", 'property "upstream_id": there is no upstream "u"')
    ]
    assert faults({"routes": [route]}, **{"/upstreams/u": {"nodes": NODES}}) == []
    consumer = {"username": "jill", "plugins": KEY_AUTH}
    there = {"/consumers/jack": {"username": "jack", "plugins": KEY_AUTH}}
    assert faults({"consumers": [consumer]}, **there) == [
        ("consumers[0]", "duplicate key found with consumer: jack")
    ]


def test_two_global_rules_with_one_plugin() -> None:
    rules = [
        {"id": "a", "plugins": {"cors": {}}},
        {"id": "b", "plugins": {"request-id": {}, "cors": {}}},
        {"id": "c", "plugins": {"prometheus": {}}},
    ]
    says = "plugin 'cors' already exists in global rule with id 'a'"
    assert faults({"global_rules": rules}) == [("global_rules[1]", says)]
    there = {"/global_rules/a": rules[0]}
    assert faults({"global_rules": rules[1:]}, **there) == [("global_rules[0]", says)]
    assert faults({"global_rules": rules[2:]}, **there) == []


def test_too_deep() -> None:
    deep: object = 1
    for _ in range(70):
        deep = [deep]
    (fault,) = faults({"routes": [{"uri": "/a", "vars": deep, "plugins": {}}]})
    assert "nested deeper" in fault[1]


def test_dotted() -> None:
    assert whole.dotted(Fault(("consumers", 0, "credentials", 2), "").keys) == "consumers[0].credentials[2]"
    assert whole.dotted(()) == ""
