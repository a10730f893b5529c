"""What can be done with resources, and what the answers look like."""

import asyncio
import time
from asyncio import Runner
from typing import Any

import msgspec
import pytest

from batchway.admin.app import AdminApp
from batchway.errors import StoreError
from batchway.store.base import Entry
from batchway.store.sqlite import SqliteStore

from .client import Answer, Client
from .conftest import Applied, Clock

NODES = {"127.0.0.1:1980": 1}
ROUTE = {"uri": "/a", "upstream": {"nodes": NODES}}
UPSTREAM = {"nodes": NODES}
STORED_UPSTREAM = {
    "nodes": NODES,
    "type": "roundrobin",
    "hash_on": "vars",
    "scheme": "http",
    "pass_host": "pass",
}
NOT_FOUND = (404, {"message": "Key not found"})


def pair(answer: Answer) -> tuple[int, Any]:
    return answer.status, answer.json()


def error(answer: Answer, status: int = 400) -> str:
    assert answer.status == status
    assert set(answer.json()) == {"error_msg"}
    message: str = answer.json()["error_msg"]
    return message


# --- PUT


def test_put_creates_with_id_times_and_defaults(call: Client) -> None:
    stored = {
        "uri": "/a",
        "upstream": STORED_UPSTREAM,
        "id": "1",
        "status": 1,
        "priority": 0,
        "create_time": 1_700_000_000,
        "update_time": 1_700_000_000,
    }
    expected = {"key": "/apisix/routes/1", "value": stored}
    assert pair(call("PUT", "/routes/1", ROUTE)) == (201, expected)


def test_put_replaces_all_but_the_time_of_creation(call: Client, clock: Clock) -> None:
    call("PUT", "/upstreams/1", UPSTREAM | {"desc": "first"})
    clock.time += 60
    answer = call("PUT", "/upstreams/1", UPSTREAM | {"name": "second"})

    assert answer.status == 200
    value = STORED_UPSTREAM | {
        "id": "1",
        "name": "second",
        "create_time": 1_700_000_000,
        "update_time": 1_700_000_060,
    }
    assert answer.json() == {"key": "/apisix/upstreams/1", "value": value}


def test_what_was_got_can_be_put_again(call: Client, clock: Clock) -> None:
    value = call("PUT", "/routes/1", ROUTE).json()["value"]
    clock.time += 60
    answer = call("PUT", "/routes/1", value)

    assert answer.json()["value"] == value | {"update_time": 1_700_000_060}


def test_a_brought_time_of_creation_is_kept(call: Client) -> None:
    value = call("PUT", "/routes/1", ROUTE | {"create_time": 1_600_000_000}).json()["value"]
    assert (value["create_time"], value["update_time"]) == (1_600_000_000, 1_700_000_000)


def test_what_the_user_says_comes_before_a_default(call: Client) -> None:
    document = ROUTE | {"status": 0, "priority": -7, "upstream": UPSTREAM | {"scheme": "https"}}
    value = call("PUT", "/routes/1", document).json()["value"]

    assert (value["status"], value["priority"]) == (0, -7)
    assert value["upstream"]["scheme"] == "https"


@pytest.mark.parametrize("id_", ["1", 1])
def test_put_takes_the_id_of_the_path_in_the_document_too(call: Client, id_: object) -> None:
    assert call("PUT", "/routes/1", ROUTE | {"id": id_}).json()["value"]["id"] == "1"


@pytest.mark.parametrize("id_", ["2", 2, "", None, True])
def test_put_refuses_another_id_in_the_document(call: Client, id_: object) -> None:
    assert error(call("PUT", "/routes/1", ROUTE | {"id": id_})) == "wrong route id"


@pytest.mark.parametrize("id_", ["7", 7])
def test_put_on_the_collection_takes_the_documents_id(call: Client, id_: object) -> None:
    answer = call("PUT", "/routes", ROUTE | {"id": id_})

    assert answer.status == 201
    assert answer.json()["key"] == "/apisix/routes/7"


@pytest.mark.parametrize("id_", ["a b", "", None, [1], True])
def test_put_on_the_collection_refuses_a_bad_id(call: Client, id_: object) -> None:
    assert "route id" in error(call("PUT", "/routes", ROUTE | {"id": id_}))
    assert call("GET", "/routes").json()["total"] == 0


# --- GET and list


def test_get_tells_the_indexes(call: Client) -> None:
    call("PUT", "/upstreams/1", UPSTREAM)
    written = call("PUT", "/routes/1", ROUTE).json()
    call("PUT", "/routes/1", ROUTE)

    indexes = {"createdIndex": 2, "modifiedIndex": 3}
    assert pair(call("GET", "/routes/1")) == (200, written | indexes)


def test_get_of_nothing_is_404(call: Client) -> None:
    assert pair(call("GET", "/routes/1")) == NOT_FOUND


def test_kinds_do_not_mix(call: Client) -> None:
    call("PUT", "/routes/1", ROUTE)
    assert pair(call("GET", "/upstreams/1")) == NOT_FOUND
    assert call("GET", "/upstreams").json() == {"list": [], "total": 0}


def test_list_has_all_the_oldest_first(call: Client) -> None:
    for id_ in ("b", "a", "10", "9"):
        call("PUT", f"/routes/{id_}", ROUTE)
    call("PUT", "/routes/b", ROUTE)

    listed = call("GET", "/routes").json()
    assert listed["total"] == 4
    assert [item["value"]["id"] for item in listed["list"]] == ["b", "a", "10", "9"]
    assert listed["list"][0] == call("GET", "/routes/b").json()


@pytest.mark.parametrize(
    ("args", "ids"),
    [
        ("page=1&page_size=10", range(10)),
        ("page=2&page_size=10", range(10, 12)),
        ("page=3&page_size=10", []),
        ("page=99999999999999999999&page_size=10", []),
        ("page_size=500", range(12)),
        ("page=-1&page_size=10", range(10)),
        ("page=0&page_size=10", range(10)),
    ],
)
def test_list_has_one_page(call: Client, args: str, ids: range) -> None:
    for number in range(12):
        call("PUT", f"/routes/{number}", ROUTE)

    listed = call("GET", f"/routes?{args}").json()
    assert [item["value"]["id"] for item in listed["list"]] == [str(id_) for id_ in ids]
    assert listed["total"] == 12


@pytest.mark.parametrize("args", ["page_size=9", "page_size=501", "page_size=x", "page_size="])
def test_a_page_size_out_of_bounds_is_refused(call: Client, args: str) -> None:
    message = error(call("GET", f"/routes?{args}"))
    assert message == "page_size must be between 10 and 500"


# --- POST


def test_post_makes_an_id(call: Client) -> None:
    answer = call("POST", "/routes", ROUTE)
    value = answer.json()["value"]

    assert answer.status == 201
    assert answer.json()["key"] == f"/apisix/routes/{value['id']}"
    assert call("GET", f"/routes/{value['id']}").json()["value"] == value


def test_ids_made_by_post_are_unique_and_sort_by_age(call: Client) -> None:
    ids = [call("POST", "/upstreams", UPSTREAM).json()["value"]["id"] for _ in range(20)]

    assert sorted(set(ids)) == ids


def test_post_refuses_an_id(call: Client) -> None:
    message = error(call("POST", "/routes", ROUTE | {"id": "1"}))
    assert message == "wrong route id, do not need it"


def test_post_overwrites_nothing_when_the_clock_goes_back(
    call: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    call("POST", "/routes", ROUTE | {"desc": "first"})

    assert error(call("POST", "/routes", ROUTE | {"desc": "second"}), 409)
    listed = call("GET", "/routes").json()["list"]
    assert [item["value"]["desc"] for item in listed] == ["first"]


# --- PATCH


def test_patch_merges(call: Client, clock: Clock) -> None:
    old = call("PUT", "/routes/1", ROUTE | {"desc": "x", "labels": {"a": "1"}}).json()["value"]
    clock.time += 60
    patch = {"name": "n", "desc": None, "labels": {"b": "2"}, "upstream": {"nodes": {"h:1": 2}}}
    answer = call("PATCH", "/routes/1", patch)

    expected = old | {
        "name": "n",
        "labels": {"a": "1", "b": "2"},
        "upstream": STORED_UPSTREAM | {"nodes": NODES | {"h:1": 2}},
        "update_time": 1_700_000_060,
    }
    del expected["desc"]
    assert pair(answer) == (200, {"key": "/apisix/routes/1", "value": expected})
    assert call("GET", "/routes/1").json()["value"] == expected


def test_patch_removes_a_node_with_null(call: Client) -> None:
    call("PUT", "/upstreams/1", {"nodes": NODES | {"h:1": 2}})
    value = call("PATCH", "/upstreams/1", {"nodes": {"h:1": None}}).json()["value"]

    assert value["nodes"] == NODES


def test_patch_brings_a_default_back(call: Client) -> None:
    call("PUT", "/routes/1", ROUTE | {"priority": 5})
    assert call("PATCH", "/routes/1", {"priority": None}).json()["value"]["priority"] == 0


@pytest.mark.parametrize(
    ("path", "value", "name", "expected"),
    [
        ("uri", "/b", "uri", "/b"),
        ("labels", {"a": "1"}, "labels", {"a": "1"}),
        ("labels/a/", "1", "labels", {"a": "1"}),
        ("priority", 3, "priority", 3),
        ("methods/1", "PUT", "methods", ["GET", "PUT"]),
        ("upstream/nodes", {"h:1": 1}, "upstream", STORED_UPSTREAM | {"nodes": {"h:1": 1}}),
        ("upstream/nodes/h:1", 5, "upstream", STORED_UPSTREAM | {"nodes": NODES | {"h:1": 5}}),
        ("plugins/known/a%2Fb", 1, "plugins", {"known": {"a/b": 1}}),
        ("plugins/known/x/y", None, "plugins", {"known": {"x": {"y": None}}}),
    ],
)
def test_patch_replaces_what_is_at_a_path(
    call: Client, path: str, value: object, name: str, expected: object
) -> None:
    call("PUT", "/routes/1", ROUTE | {"methods": ["GET", "POST"]})
    answer = call("PATCH", f"/routes/1/{path}", value)

    assert answer.status == 200
    assert answer.json()["value"][name] == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("uri/x", "invalid sub-path"),
        ("methods/9", "invalid sub-path"),
        ("methods/x", "invalid sub-path"),
        ("id", "wrong route id"),
        ("script", 'property "script" is not supported'),
        ("hosts/0", 'property "hosts": expected array'),
    ],
)
def test_patch_at_a_path_that_leads_to_nonsense_changes_nothing(
    call: Client, path: str, message: str
) -> None:
    call("PUT", "/routes/1", ROUTE | {"methods": ["GET"]})

    assert message in error(call("PATCH", f"/routes/1/{path}", "x"))
    assert call("GET", "/routes/1").json()["modifiedIndex"] == 1


@pytest.mark.parametrize("path", ["/routes/1//x", "/routes/1/x//y", "/routes/1" + "/x" * 65])
def test_a_sub_path_without_end_or_names_is_not_found(call: Client, path: str) -> None:
    call("PUT", "/routes/1", ROUTE)
    assert error(call("PATCH", path, "x"), 404) == "not found: no sub-path"


def test_patches_cannot_build_what_no_put_could(call: Client) -> None:
    call("PUT", "/routes/1", ROUTE)
    path = "/routes/1/plugins/known" + "/x" * 50
    assert call("PATCH", path, 1).status == 200

    assert "nested deeper" in error(call("PATCH", path, {"y": {"z": [[[[[[[[[[[[[1]]]]]]]]]]]]]}}))


@pytest.mark.parametrize("path", ["", "/uri"])
def test_patch_of_nothing_is_404(call: Client, path: str) -> None:
    assert pair(call("PATCH", f"/routes/1{path}", {"uri": "/b"})) == NOT_FOUND
    assert call("GET", "/routes").json()["total"] == 0


def test_patch_that_makes_the_resource_invalid_changes_nothing(call: Client) -> None:
    call("PUT", "/routes/1", ROUTE)

    assert '"uri"' in error(call("PATCH", "/routes/1", {"uri": None}))
    assert call("GET", "/routes/1").json()["value"]["uri"] == "/a"


def test_patches_at_once_are_all_there(call: Client, runner: Runner) -> None:
    call("PUT", "/routes/1", ROUTE)

    async def scenario() -> None:
        paths = (f"/apisix/admin/routes/1/labels/l{number}" for number in range(10))
        await asyncio.gather(*(call.send("PATCH", path, [b'"x"']) for path in paths))

    runner.run(scenario())
    assert len(call("GET", "/routes/1").json()["value"]["labels"]) == 10


def test_patches_from_two_processes_are_all_there(
    call: Client, app: AdminApp, store: SqliteStore, applied: Applied, runner: Runner
) -> None:
    """Another app on the same store knows nothing of the first one's lock."""
    other = Client(AdminApp(store, access=app.access, applied=applied), runner)
    call("PUT", "/routes/1", ROUTE)

    async def scenario() -> list[Answer | None]:
        return await asyncio.gather(
            *(
                client.send("PATCH", f"/apisix/admin/routes/1/labels/{name}{number}", [b'"x"'])
                for number in range(5)
                for name, client in (("a", call), ("b", other))
            )
        )

    assert [answer and answer.status for answer in runner.run(scenario())] == [200] * 10
    assert len(call("GET", "/routes/1").json()["value"]["labels"]) == 10


def test_a_patch_that_always_comes_too_late_is_refused(
    call: Client, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("PUT", "/routes/1", ROUTE)
    put = store.put

    async def outrun(key: str, value: bytes, **conditions: Any) -> Entry:
        await put(key, value)
        return await put(key, value, **conditions)

    monkeypatch.setattr(store, "put", outrun)
    assert "changed by others" in error(call("PATCH", "/routes/1", {"desc": "x"}), 409)


# --- DELETE


def test_delete_deletes(call: Client) -> None:
    call("PUT", "/routes/1", ROUTE)

    expected = {"key": "/apisix/routes/1", "deleted": "1"}
    assert pair(call("DELETE", "/routes/1")) == (200, expected)
    assert pair(call("GET", "/routes/1")) == NOT_FOUND


def test_delete_of_nothing_is_404(call: Client) -> None:
    assert pair(call("DELETE", "/routes/1")) == NOT_FOUND


# --- what resources say of one another


def test_a_route_names_an_upstream_that_is_there(call: Client) -> None:
    call("PUT", "/upstreams/1", UPSTREAM)

    assert call("PUT", "/routes/1", {"uri": "/a", "upstream_id": "1"}).status == 201
    assert call("PUT", "/routes/2", {"uri": "/a", "upstream_id": 1}).status == 201


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PUT", "/routes/1", {"uri": "/a", "upstream_id": "1"}),
        ("POST", "/routes", {"uri": "/a", "upstream_id": 1}),
        ("PATCH", "/routes/0/upstream_id", "1"),
    ],
)
def test_a_route_to_an_upstream_that_is_not_there_is_refused(
    call: Client, method: str, path: str, document: object
) -> None:
    call("PUT", "/routes/0", {"uri": "/a", "plugins": {}})
    message = error(call(method, path, document))

    assert message == "failed to fetch upstream info by upstream id [1], response code: 404"


@pytest.mark.parametrize("upstream_id", ["1", 1])
def test_an_upstream_in_use_is_not_deleted(call: Client, upstream_id: object) -> None:
    call("PUT", "/upstreams/1", UPSTREAM)
    call("PUT", "/upstreams/11", UPSTREAM)
    call("PUT", "/routes/r11", {"uri": "/a", "upstream_id": "11"})
    call("PUT", "/routes/r1", {"uri": "/a", "upstream_id": upstream_id})

    message = error(call("DELETE", "/upstreams/1"))
    assert message == "can not delete this upstream, route [r1] is still using it now"
    assert call("GET", "/upstreams/1").status == 200
    assert error(call("DELETE", "/upstreams/1?force=false")) == message
    assert call("DELETE", "/upstreams/1?force=true").status == 200


def test_an_upstream_that_no_route_names_any_more_is_deleted(call: Client) -> None:
    call("PUT", "/upstreams/1", UPSTREAM)
    call("PUT", "/routes/1", {"uri": "/1", "upstream_id": "1"})
    call("PUT", "/routes/1", ROUTE | {"desc": "1"})
    call("PUT", "/routes/b", {"uri": "/b", "plugins": {}})

    assert call("DELETE", "/upstreams/1").status == 200


def test_force_is_true_or_false(call: Client) -> None:
    call("PUT", "/upstreams/1", UPSTREAM)
    assert "true or false" in error(call("DELETE", "/upstreams/1?force=1"))


def test_no_route_is_left_with_an_upstream_deleted_at_once(call: Client, runner: Runner) -> None:
    async def scenario() -> tuple[Answer | None, Answer | None]:
        await call.send("PUT", "/apisix/admin/upstreams/1", [msgspec.json.encode(UPSTREAM)])
        route = b'{"uri":"/a","upstream_id":"1"}'
        put, delete = await asyncio.gather(
            call.send("PUT", "/apisix/admin/routes/1", [route]),
            call.send("DELETE", "/apisix/admin/upstreams/1"),
        )
        return put, delete

    put, delete = runner.run(scenario())
    assert put
    assert delete
    assert (put.status, delete.status) in ((201, 400), (400, 200))


# --- what the data plane is told


def test_every_write_is_applied_before_the_answer(call: Client, applied: Applied) -> None:
    call("PUT", "/upstreams/1", UPSTREAM)
    call("POST", "/routes", ROUTE)
    call("PATCH", "/upstreams/1", {"desc": "x"})
    call("PATCH", "/upstreams/1/desc", "y")
    call("DELETE", "/upstreams/1")

    assert applied.revisions == [1, 2, 3, 4, 5]


def test_what_is_no_write_is_not_applied(call: Client, applied: Applied) -> None:
    call("GET", "/routes")
    call("PUT", "/routes/1", {})
    call("DELETE", "/routes/1")
    call("PATCH", "/routes/1", {})

    assert applied.revisions == []


def test_the_answer_waits_for_the_data_plane(app: AdminApp, call: Client, runner: Runner) -> None:
    async def scenario() -> tuple[bool, Answer | None]:
        reached = asyncio.Event()

        async def applied(_revision: int) -> None:
            await reached.wait()

        app._resources._applied = applied
        write = asyncio.create_task(
            call.send("PUT", "/apisix/admin/routes/1", [msgspec.json.encode(ROUTE)])
        )
        await asyncio.sleep(0.05)
        waits = not write.done()
        reached.set()
        return waits, await write

    waits, answer = runner.run(scenario())
    assert waits
    assert answer is not None
    assert answer.status == 201


def test_a_data_plane_that_is_not_reached_is_an_error(app: AdminApp, call: Client) -> None:
    async def applied(_revision: int) -> None:
        message = "the data plane is gone"
        raise StoreError(message)

    app._resources._applied = applied
    assert error(call("PUT", "/routes/1", ROUTE), 503) == "the data plane is gone"


# --- validation


@pytest.mark.parametrize(
    ("path", "document", "message"),
    [
        ("/routes/1", {}, 'exactly one of "uri" and "uris" is expected'),
        (
            "/routes/1",
            {"uri": "/a"},
            'one of "upstream", "upstream_id", "service_id" and "plugins" is required',
        ),
        ("/routes/1", ROUTE | {"script": ""}, 'property "script" is not supported by batchway'),
        ("/routes/1", ROUTE | {"vrs": []}, 'unknown property "vrs"'),
        ("/routes/1", ROUTE | {"create_time": "x"}, 'property "create_time": expected int'),
        ("/routes/1", {"uri": "/a", "upstream": {}}, 'property "upstream.nodes" is required'),
        ("/upstreams/1", {}, 'property "nodes" is required'),
        ("/upstreams/1", UPSTREAM | {"scheme": "grpc"}, '"grpc" is not supported by batchway'),
        ("/upstreams/1", UPSTREAM | {"uri": "/a"}, 'unknown property "uri"'),
    ],
)
def test_an_invalid_document_is_refused_by_property(
    call: Client, path: str, document: object, message: str
) -> None:
    assert message in error(call("PUT", path, document))
    assert pair(call("GET", path)) == NOT_FOUND


@pytest.mark.parametrize(
    ("plugins", "message"),
    [
        ({"none": {}}, "unknown plugin [none]"),
        ({"known": {"bad": 1}}, 'plugin "known": property "bad" is wrong'),
        ({"known": {}, "none": {}}, "unknown plugin [none]"),
    ],
)
def test_every_plugin_of_a_route_is_checked(call: Client, plugins: dict[str, object], message: str) -> None:
    assert error(call("PUT", "/routes/1", ROUTE | {"plugins": plugins})) == message


def test_a_plugins_config_is_stored_as_it_is(call: Client) -> None:
    plugins: object = {"known": {"null": None, "float": 1.5, "list": [{"ü": []}], "big": 2**64}}
    call("PUT", "/routes/1", ROUTE | {"plugins": plugins})

    assert call("GET", "/routes/1").json()["value"]["plugins"] == plugins


# --- plugin metadata


def test_metadata_is_stored_as_it_is(call: Client) -> None:
    expected = {"key": "/apisix/plugin_metadata/known", "value": {"max_body_size": 4194304}}
    document = {"max_body_size": 4194304}

    assert pair(call("PUT", "/plugin_metadata/known", document)) == (201, expected)
    assert pair(call("PUT", "/plugin_metadata/known", document)) == (200, expected)
    indexes = {"createdIndex": 1, "modifiedIndex": 2}
    got = call("GET", "/plugin_metadata/known").json()
    assert got == expected | indexes
    assert call("GET", "/plugin_metadata").json() == {"list": [got], "total": 1}


def test_metadata_may_bring_its_name_as_id(call: Client) -> None:
    """APISIX writes it so in what it exports."""
    answer = call("PUT", "/plugin_metadata/known", {"a": 1, "id": "known"})
    assert answer.json()["value"] == {"a": 1}

    message = error(call("PUT", "/plugin_metadata/known", {"a": 1, "id": "other"}))
    assert message == "wrong plugin metadata id"


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [("none", {}, "unknown plugin [none]"), ("known", {"bad": 1}, '"bad" is wrong')],
)
def test_invalid_metadata_is_refused(call: Client, name: str, document: object, message: str) -> None:
    assert message in error(call("PUT", f"/plugin_metadata/{name}", document))


def test_metadata_is_patched_and_deleted(call: Client) -> None:
    call("PUT", "/plugin_metadata/known", {"a": 1, "b": 2})

    answer = call("PATCH", "/plugin_metadata/known", {"a": None, "c": 3})
    assert answer.json()["value"] == {"b": 2, "c": 3}
    assert call("PATCH", "/plugin_metadata/known/b", 4).json()["value"] == {"b": 4, "c": 3}
    deleted = {"key": "/apisix/plugin_metadata/known", "deleted": "1"}
    assert pair(call("DELETE", "/plugin_metadata/known")) == (200, deleted)
