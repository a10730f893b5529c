"""What sets the kinds apart: their references, their ids, what stands below what."""

import asyncio
from asyncio import Runner
from typing import Any

import msgspec
import pytest

from batchway.admin.app import AdminApp
from batchway.admin.kinds import KINDS, Place, locate
from batchway.errors import InvalidResource
from batchway.store.sqlite import SqliteStore

from .client import Answer, Client
from .conftest import Applied, Clock

NODES = {"127.0.0.1:1980": 1}
UPSTREAM = {"nodes": NODES}
STORED_UPSTREAM = {
    "nodes": NODES,
    "type": "roundrobin",
    "hash_on": "vars",
    "scheme": "http",
    "pass_host": "pass",
}
TIMES = {"create_time": 1_700_000_000, "update_time": 1_700_000_000}
NOT_FOUND = (404, {"message": "Key not found"})


def pair(answer: Answer) -> tuple[int, Any]:
    return answer.status, answer.json()


def error(answer: Answer, status: int = 400) -> str:
    assert answer.status == status, answer
    assert set(answer.json()) == {"error_msg"}
    message: str = answer.json()["error_msg"]
    return message


# --- every kind is made, read, listed and deleted alike

DOCUMENTS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/services/1", {}, {"id": "1"}),
    ("/services/1", {"upstream": UPSTREAM}, {"id": "1", "upstream": STORED_UPSTREAM}),
    ("/plugin_configs/1", {"plugins": {"known": {}}}, {"id": "1", "plugins": {"known": {}}}),
    ("/consumer_groups/a", {"plugins": {}, "desc": "x"}, {"id": "a", "plugins": {}, "desc": "x"}),
    ("/global_rules/1", {"plugins": {"known": {}}}, {"id": "1", "plugins": {"known": {}}}),
    ("/consumers/jack", {"username": "jack"}, {"username": "jack"}),
]


@pytest.mark.parametrize(("path", "document", "stored"), DOCUMENTS)
def test_every_kind_lives_alike(
    call: Client, clock: Clock, path: str, document: dict[str, Any], stored: dict[str, Any]
) -> None:
    kind = path.split("/")[1]
    made = {"key": f"/apisix{path}", "value": stored | TIMES}
    assert pair(call("PUT", path, document)) == (201, made)
    assert pair(call("GET", path)) == (200, made | {"createdIndex": 1, "modifiedIndex": 1})
    listed = {"total": 1, "list": [call("GET", path).json()]}
    assert pair(call("GET", f"/{kind}")) == (200, listed)

    clock.time += 1
    changed = call("PUT", path, document | {"desc": "new"})
    assert changed.status == 200
    assert changed.json()["value"] == stored | TIMES | {"desc": "new", "update_time": 1_700_000_001}
    assert pair(call("DELETE", path)) == (200, {"key": f"/apisix{path}", "deleted": "1"})
    assert pair(call("GET", path)) == NOT_FOUND


@pytest.mark.parametrize("kind", ["services", "plugin_configs", "consumer_groups", "global_rules"])
def test_patches_merge_and_replace(call: Client, kind: str) -> None:
    call("PUT", f"/{kind}/1", {"plugins": {"known": {"a": 1}}})

    merged = call("PATCH", f"/{kind}/1", {"plugins": {"known": {"b": 2}}})
    assert merged.json()["value"]["plugins"] == {"known": {"a": 1, "b": 2}}
    replaced = call("PATCH", f"/{kind}/1/plugins", {"known": {"c": 3}})
    assert replaced.json()["value"]["plugins"] == {"known": {"c": 3}}


@pytest.mark.parametrize(
    ("path", "document", "message"),
    [
        ("/services/1", {"host": "a"}, 'unknown property "host"'),
        ("/plugin_configs/1", {}, 'property "plugins" is required'),
        ("/plugin_configs/1", {"plugins": {"known": {"bad": 1}}}, 'property "bad" is wrong'),
        ("/consumer_groups/1", {"plugins": {}, "labels": "a"}, 'property "labels": expected object'),
        ("/global_rules/1", {"plugins": {"none": {}}}, "unknown plugin [none]"),
        ("/global_rules/1", {"plugins": {}, "host": "foo.com"}, 'unknown property "host"'),
        ("/consumers/jack", {"username": "jack", "id": "jack"}, 'unknown property "id"'),
        ("/consumers/jack", {"username": "jack", "plugins": {"none": {}}}, "unknown plugin [none]"),
        ("/consumers/jack", {"username": "jack", "plugins": {"key": {}}}, '"key" is required'),
    ],
)
def test_every_kind_refuses_what_is_none(call: Client, path: str, document: object, message: str) -> None:
    assert message in error(call("PUT", path, document))
    assert pair(call("GET", path)) == NOT_FOUND


def test_defaults_of_health_checks_are_stored_where_there_are_checks(call: Client) -> None:
    checks = {"active": {"http_path": "/up", "healthy": {"interval": 5}}}
    stored = call("PUT", "/upstreams/1", UPSTREAM | {"checks": checks}).json()["value"]["checks"]

    assert stored == {
        "active": {
            "type": "http",
            "timeout": 1,
            "concurrency": 10,
            "http_path": "/up",
            "https_verify_certificate": True,
            "healthy": {"interval": 5, "http_statuses": [200, 302], "successes": 2},
        }
    }


# --- references


@pytest.mark.parametrize(
    ("path", "document", "singular"),
    [
        ("/routes/1", {"uri": "/a", "service_id": "9"}, "service"),
        ("/routes/1", {"uri": "/a", "plugins": {}, "plugin_config_id": 9}, "plugin config"),
        ("/services/1", {"upstream_id": "9"}, "upstream"),
        ("/consumers/jack", {"username": "jack", "group_id": "9"}, "consumer group"),
    ],
)
def test_what_is_named_has_to_be_there(call: Client, path: str, document: object, singular: str) -> None:
    expected = f"failed to fetch {singular} info by {singular} id [9], response code: 404"
    assert error(call("PUT", path, document)) == expected


def test_an_id_that_is_none_is_no_reference(call: Client) -> None:
    message = error(call("PUT", "/services/1", {"upstream_id": "invalid$"}))
    assert 'property "upstream_id"' in message


@pytest.mark.parametrize(
    ("used", "document", "user", "user_document", "message"),
    [
        (
            "/services/s",
            {},
            "/routes/1",
            {"uri": "/a", "service_id": "s"},
            "can not delete this service, route [1] is still using it now",
        ),
        (
            "/upstreams/u",
            UPSTREAM,
            "/services/1",
            {"upstream_id": "u"},
            "can not delete this upstream, service [1] is still using it now",
        ),
        (
            "/plugin_configs/c",
            {"plugins": {}},
            "/routes/1",
            {"uri": "/a", "plugins": {}, "plugin_config_id": "c"},
            "can not delete this plugin config, route [1] is still using it now",
        ),
        (
            "/consumer_groups/g",
            {"plugins": {}},
            "/consumers/jack",
            {"username": "jack", "group_id": "g"},
            "can not delete this consumer group, consumer [jack] is still using it now",
        ),
        (
            "/upstreams/u",
            UPSTREAM,
            "/global_rules/1",
            {"plugins": {"known": {"rules": [{"to": [{"upstream_id": "u"}]}]}}},
            "can not delete this upstream, plugin in global rule [1] is still using it now",
        ),
    ],
)
def test_what_is_in_use_is_not_deleted_unless_by_force(
    call: Client, used: str, document: object, user: str, user_document: object, message: str
) -> None:
    call("PUT", used, document)
    assert call("PUT", user, user_document).status == 201

    assert error(call("DELETE", used)) == message
    assert call("DELETE", f"{used}?force=true").status == 200
    assert pair(call("GET", used)) == NOT_FOUND


def test_a_like_id_of_another_kind_is_no_use(call: Client) -> None:
    call("PUT", "/upstreams/1", UPSTREAM)
    call("PUT", "/services/1", {})
    call("PUT", "/routes/1", {"uri": "/1", "service_id": "1"})

    assert call("DELETE", "/upstreams/1").status == 200


def test_what_nothing_can_name_is_deleted(call: Client) -> None:
    call("PUT", "/global_rules/1", {"plugins": {}})
    call("PUT", "/routes/1", {"uri": "/1", "plugins": {"known": {"id": "1"}}})

    assert call("DELETE", "/global_rules/1").status == 200


def test_two_processes_leave_no_route_with_a_deleted_upstream(
    call: Client, app: AdminApp, store: SqliteStore, runner: Runner
) -> None:
    """Another app on the same store knows nothing of the first one's lock."""
    other = Client(AdminApp(store, access=app.access, applied=Applied()), runner)

    async def scenario(number: int) -> tuple[Answer | None, Answer | None]:
        upstream, route = f"/apisix/admin/upstreams/{number}", f"/apisix/admin/routes/{number}"
        await call.send("PUT", upstream, [msgspec.json.encode(UPSTREAM)])
        put, delete = await asyncio.gather(
            call.send("PUT", route, [b'{"uri":"/a","upstream_id":"%d"}' % number]),
            other.send("DELETE", upstream),
        )
        return put, delete

    for number in range(20):
        put, delete = runner.run(scenario(number))
        assert put
        assert delete
        assert (put.status, delete.status) in ((201, 400), (400, 200))


def test_a_delete_that_always_comes_too_late_is_refused(
    call: Client, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("PUT", "/upstreams/1", UPSTREAM)
    delete = store.delete

    async def outrun(key: str, **conditions: Any) -> int | None:
        await store.put("/routes/other", b"{}")
        return await delete(key, **conditions)

    monkeypatch.setattr(store, "delete", outrun)
    assert "changed by others" in error(call("DELETE", "/upstreams/1"), 409)
    assert call("DELETE", "/upstreams/1?force=true").status == 200


# --- consumers


def test_a_consumers_id_is_its_username(call: Client) -> None:
    answer = call("PUT", "/consumers", {"username": "jack_2-x", "plugins": {"key": {"key": "k"}}})

    assert answer.status == 201
    assert answer.json()["key"] == "/apisix/consumers/jack_2-x"
    assert "id" not in answer.json()["value"]


@pytest.mark.parametrize(
    ("path", "document", "message"),
    [
        ("/consumers", {}, "missing consumer name"),
        ("/consumers", {"username": ""}, "invalid consumer id"),
        ("/consumers", {"username": None}, "expected str, got null"),
        ("/consumers", {"username": 1.5}, "expected str, got 1.5"),
        ("/consumers", {"username": "a b"}, "invalid consumer id"),
        ("/consumers", {"username": "a.b"}, "invalid consumer id"),
        ("/consumers/jack", {"username": "jill"}, "wrong username"),
        ("/consumers/1", {"username": 1}, 'invalid consumer: property "username": expected str, got 1'),
        ("/consumers", {"username": 1}, 'invalid consumer: property "username": expected str, got 1'),
    ],
)
def test_a_consumer_without_its_name_is_refused(
    call: Client, path: str, document: object, message: str
) -> None:
    assert message in error(call("PUT", path, document))
    assert call("GET", "/consumers").json()["total"] == 0


def test_a_username_may_have_a_hundred_characters(call: Client) -> None:
    assert call("PUT", "/consumers", {"username": "x" * 100}).status == 201
    assert call("PUT", "/consumers", {"username": "x" * 101}).status == 400


def test_plugins_that_are_no_auth_plugins_may_be_a_consumers(call: Client) -> None:
    document = {"username": "jack", "plugins": {"known": {"a": 1}}}
    assert call("PUT", "/consumers", document).json()["value"]["plugins"] == {"known": {"a": 1}}


def test_a_refused_consumers_secret_is_not_told(call: Client) -> None:
    for plugins in ({"key": {"key": 4711}}, {"key": "4711"}, {"key": {"key": ["4711"]}}):
        message = error(call("PUT", "/consumers", {"username": "jack", "plugins": plugins}))
        assert "4711" not in message
        message = error(call("PUT", "/consumers/jack", {"username": "jack", "plugins": plugins}))
        assert "4711" not in message


# --- credentials

CREDENTIAL = {"plugins": {"key": {"key": "k1"}}}
A = "/consumers/jack/credentials/a"


@pytest.fixture
def jack(call: Client) -> None:
    call("PUT", "/consumers", {"username": "jack"})


@pytest.mark.usefixtures("jack")
def test_a_credential_stands_below_its_consumer(call: Client) -> None:
    answer = call("PUT", A, CREDENTIAL | {"desc": "x"})
    value = CREDENTIAL | {"id": "a", "desc": "x"} | TIMES
    assert pair(answer) == (201, {"key": f"/apisix{A}", "value": value})
    assert call("PUT", A, CREDENTIAL).status == 200

    got = call("GET", A).json()
    assert (got["createdIndex"], got["modifiedIndex"]) == (2, 3)
    assert call("GET", "/consumers/jack/credentials").json() == {"list": [got], "total": 1}
    assert [one["key"] for one in call("GET", "/consumers").json()["list"]] == ["/apisix/consumers/jack"]
    assert pair(call("DELETE", A)) == (200, {"key": f"/apisix{A}", "deleted": "1"})
    assert call("GET", "/consumers/jack/credentials").json() == {"list": [], "total": 0}


@pytest.mark.usefixtures("jack")
def test_a_credentials_id_may_stand_in_the_document(call: Client) -> None:
    answer = call("PUT", "/consumers/jack/credentials", CREDENTIAL | {"id": "b"})
    assert answer.json()["key"] == "/apisix/consumers/jack/credentials/b"

    assert error(call("PUT", "/consumers/jack/credentials", CREDENTIAL)) == "missing credential id"
    assert error(call("PUT", A, CREDENTIAL | {"id": "b"})) == "wrong credential id"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "expected exactly one auth plugin"),
        ({"plugins": {}}, "expected exactly one auth plugin"),
        (
            {"plugins": {"key": {"key": "a"}, "known": {}}},
            'property "plugins": expected object of length <= 1',
        ),
        ({"plugins": {"known": {}}}, "only supports auth type plugins in consumer credential"),
        ({"plugins": {"none": {}}}, "unknown plugin [none]"),
        ({"plugins": {"key": {"key": ""}}}, 'property "key": expected str of length >= 1'),
    ],
)
@pytest.mark.usefixtures("jack")
def test_a_credential_is_of_one_auth_plugin(call: Client, document: object, message: str) -> None:
    assert message in error(call("PUT", A, document))


def test_without_a_consumer_there_is_no_credential(call: Client) -> None:
    assert error(call("PUT", A, CREDENTIAL), 404) == "consumer not found"
    assert pair(call("GET", A)) == NOT_FOUND
    assert pair(call("GET", "/consumers/jack/credentials")) == NOT_FOUND
    assert pair(call("DELETE", A)) == NOT_FOUND


@pytest.mark.usefixtures("jack")
def test_credentials_go_with_their_consumer(call: Client, store: SqliteStore, runner: Runner) -> None:
    call("PUT", "/consumers", {"username": "jackson"})
    for path in (A, "/consumers/jack/credentials/b", "/consumers/jackson/credentials/a"):
        key = {"key": path}
        assert call("PUT", path, {"plugins": {"key": key}}).status == 201

    assert call("DELETE", "/consumers/jack").status == 200
    keys = [entry.key for entry in runner.run(store.list("")).entries]
    assert keys == ["/consumers/jackson", "/consumers/jackson/credentials/a"]


@pytest.mark.parametrize(
    "path", ["/consumers/a%20b/credentials/1", "/consumers//credentials/1", "/consumers/a%2Fb/credentials"]
)
def test_a_bad_username_in_the_path_is_refused(call: Client, path: str) -> None:
    assert call("GET", path).status in (400, 404)
    assert call("PUT", path, CREDENTIAL).status in (400, 404)


def test_a_name_like_credentials_is_a_username(call: Client) -> None:
    assert call("PUT", "/consumers/credentials", {"username": "credentials"}).status == 201
    assert call("PUT", "/consumers/credentials/credentials/1", CREDENTIAL).status == 201
    assert call("GET", "/consumers/credentials/credentials").json()["total"] == 1


# --- whose identity is taken


@pytest.fixture
def identities(app: AdminApp, runner: Runner, store: SqliteStore) -> Client:
    """A client of an app whose data plane knows all keys that are stored."""
    known: dict[tuple[str, str], str] = {}
    holder = AdminApp(store, access=app.access, applied=Applied(), find_holder=lambda *key: known.get(key))
    known["key", "taken"] = "jill"
    return Client(holder, runner)


def test_a_key_of_another_consumer_is_refused(identities: Client) -> None:
    call = identities
    taken = {"plugins": {"key": {"key": "taken"}}}
    expected = "duplicate key found with consumer: jill"
    assert error(call("PUT", "/consumers", taken | {"username": "jack"})) == expected
    assert call("PUT", "/consumers", {"username": "jack"}).status == 201
    assert error(call("PUT", A, taken)) == expected
    assert call("PUT", A, CREDENTIAL).status == 201


def test_a_key_may_be_written_again_by_who_has_it(identities: Client) -> None:
    call = identities
    taken = {"plugins": {"key": {"key": "taken"}}}
    assert call("PUT", "/consumers", taken | {"username": "jill"}).status == 201
    assert call("PUT", "/consumers/jill/credentials/1", taken).status == 201


def test_of_two_that_take_a_key_at_once_one_gets_it(
    app: AdminApp, store: SqliteStore, runner: Runner
) -> None:
    """The second write is checked when the data plane knows of the first."""
    known: dict[tuple[str, str], str] = {}

    async def applied(revision: int) -> None:
        await asyncio.sleep(0.01)
        for entry in (await store.list("/consumers/")).entries:
            known["key", "k"] = entry.key.rpartition("/")[2]

    holder = AdminApp(store, access=app.access, applied=applied, find_holder=lambda *key: known.get(key))
    client = Client(holder, runner)

    async def scenario() -> list[Answer | None]:
        body = b'{"username":"%b","plugins":{"key":{"key":"k"}}}'
        puts = (client.send("PUT", "/apisix/admin/consumers", [body % name]) for name in (b"a", b"b"))
        return await asyncio.gather(*puts)

    assert sorted(answer.status for answer in runner.run(scenario()) if answer) == [201, 400]


# --- keys of the store


@pytest.mark.parametrize(
    ("key", "kind", "id_", "parent"),
    [
        ("/routes/1", "routes", "1", ""),
        ("/plugin_metadata/key-auth", "plugin_metadata", "key-auth", ""),
        ("/consumers/jack", "consumers", "jack", ""),
        ("/consumers/jack/credentials/1", "credentials", "1", "jack"),
    ],
)
def test_a_key_tells_what_stands_there(key: str, kind: str, id_: str, parent: str) -> None:
    place = locate(key)
    assert place == Place(KINDS[kind], id_, parent)
    assert place.key == key


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "routes/1",
        "/routes",
        "/nothing/1",
        "/credentials/1",
        "/routes/1/credentials/1",
        "/a/b/c/d/e",
    ],
)
def test_a_key_that_is_none_of_ours_is_not_located(key: str) -> None:
    assert locate(key) is None


def test_a_place_without_an_id_has_no_key() -> None:
    with pytest.raises(InvalidResource, match="missing route id"):
        _ = Place(KINDS["routes"]).key


def test_what_is_named_stands_before_what_names_it() -> None:
    order = list(KINDS)
    for kind in KINDS.values():
        for name in (*kind.references.values(), *([kind.parent] if kind.parent else [])):
            assert order.index(name) < order.index(kind.name)
