"""A plugin is in one global rule only, whoever writes them at once."""

import asyncio
from asyncio import Runner
from typing import Any

import pytest

from batchway.admin.app import AdminApp
from batchway.store.base import Entry
from batchway.store.sqlite import SqliteStore

from .client import Client
from .conftest import Applied

RULE: dict[str, Any] = {"plugins": {"known": {}}}


def test_another_rule_with_a_plugin_is_refused(call: Client) -> None:
    assert call("PUT", "/global_rules/1", RULE).status == 201
    refused = call("PUT", "/global_rules/2", RULE)
    assert refused.status == 400
    assert refused.json() == {"error_msg": "plugin 'known' already exists in global rule with id '1'"}
    assert call("PUT", "/global_rules/1", RULE).status == 200


def test_force_lets_a_plugin_be_in_two_rules_on_its_way(call: Client) -> None:
    call("PUT", "/global_rules/1", RULE)
    assert call("PUT", "/global_rules/2?force=false", RULE).status == 400
    assert call("PUT", "/global_rules/2?force=true", RULE).status == 201
    assert call("PATCH", "/global_rules/2", {"desc": "x"}).status == 400
    assert call("PUT", "/global_rules/1", {"plugins": {}}).status == 200


@pytest.mark.parametrize(("method", "path"), [("PUT", "/routes/1"), ("PATCH", "/global_rules/1")])
def test_force_means_nothing_elsewhere(call: Client, method: str, path: str) -> None:
    refused = call(method, f"{path}?force=true", RULE)
    assert refused.json() == {"error_msg": 'query argument "force" is not supported by batchway here'}


def test_of_two_processes_one_gets_the_plugin(
    call: Client, app: AdminApp, store: SqliteStore, applied: Applied, runner: Runner
) -> None:
    """Another app on the same store knows nothing of the first one's lock."""
    other = Client(AdminApp(store, access=app.access, applied=applied), runner)

    async def scenario() -> list[int]:
        clients = enumerate((call, other) * 5)
        sent = (
            client.send("PUT", f"/apisix/admin/global_rules/{number}", [b'{"plugins": {"known": {}}}'])
            for number, client in clients
        )
        return [answer.status for answer in await asyncio.gather(*sent) if answer]

    assert sorted(runner.run(scenario())) == [201] + [400] * 9
    assert call("GET", "/global_rules").json()["total"] == 1


def test_what_came_between_check_and_write_is_seen(
    call: Client, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.put

    async def outrun(key: str, value: bytes, **conditions: Any) -> Entry:
        await put("/global_rules/other", b'{"plugins": {"known": {}}}')
        return await put(key, value, **conditions)

    monkeypatch.setattr(store, "put", outrun)
    refused = call("PUT", "/global_rules/1", RULE)
    assert refused.json() == {"error_msg": "plugin 'known' already exists in global rule with id 'other'"}


def test_writes_of_other_kinds_disturb_no_rule(
    call: Client, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.put

    async def busy(key: str, value: bytes, **conditions: Any) -> Entry:
        await put("/routes/1", b"{}")
        return await put(key, value, **conditions)

    monkeypatch.setattr(store, "put", busy)
    assert call("PUT", "/global_rules/1", RULE).status == 201
