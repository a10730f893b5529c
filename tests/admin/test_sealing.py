"""Secrets at rest: encrypted in the store, plain for whoever has an admin key."""

from asyncio import Runner
from typing import Any

import msgspec
import pytest
import trustme
from msgspec.structs import replace

from batchway.admin import sealing
from batchway.admin.app import AdminApp
from batchway.admin.kinds import KINDS
from batchway.config.data_encryption import Keyring
from batchway.errors import InvalidResource
from batchway.store.sqlite import SqliteStore

from .client import Client
from .conftest import FakePlugins

OLD, NEW = "edd1c9f0985e76a2", "qeddd145sfvddff3"
ISSUED = trustme.CA().issue_cert("gateway.test")
TLS = {
    "client_cert": ISSUED.cert_chain_pems[0].bytes().decode(),
    "client_key": ISSUED.private_key_pem.bytes().decode(),
}
NODES = {"127.0.0.1:1980": 1}
JACK = {"username": "jack", "plugins": {"key": {"key": "open sesame"}}}


@pytest.fixture
def app(app: AdminApp) -> AdminApp:
    app.access = replace(app.access, keyring=Keyring([OLD]))
    return app


def stored(store: SqliteStore, runner: Runner, key: str) -> Any:
    entry = runner.run(store.get(key))
    assert entry is not None
    return msgspec.json.decode(entry.value)


SECRETS: list[tuple[str, dict[str, Any], str]] = [
    ("/consumers/jack", JACK, "open sesame"),
    ("/routes/1", {"uri": "/a", "plugins": {"known": {"token": "open sesame"}}}, "open sesame"),
    ("/services/1", {"plugins": {"known": {"token": "open sesame", "x": 1}}}, "open sesame"),
    ("/global_rules/1", {"plugins": {"known": {"token": "open sesame"}}}, "open sesame"),
    ("/plugin_configs/1", {"plugins": {"known": {"token": "ünd € 😀"}}}, "ünd"),
    ("/consumer_groups/1", {"plugins": {"known": {"headers": {"a": "open sesame"}}}}, "open sesame"),
    (
        "/routes/1",
        {"uri": "/a", "plugins": {"known": {"deep": {"keys": [{"secret": "open sesame"}, {"id": 1}]}}}},
        "open sesame",
    ),
    ("/upstreams/1", {"nodes": NODES, "tls": TLS}, "PRIVATE KEY"),
    ("/routes/1", {"uri": "/a", "upstream": {"nodes": NODES, "tls": TLS}}, "PRIVATE KEY"),
    ("/services/1", {"upstream": {"nodes": NODES, "tls": TLS}}, "PRIVATE KEY"),
]


@pytest.mark.parametrize(("path", "document", "secret"), SECRETS)
def test_a_secret_is_encrypted_in_the_store_only(
    call: Client, store: SqliteStore, runner: Runner, path: str, document: dict[str, Any], secret: str
) -> None:
    written = call("PUT", path, document).json()["value"]
    entry = runner.run(store.get(path))
    assert entry is not None
    assert secret not in entry.value.decode()
    assert b'"encrypted:' in entry.value

    assert {name: written[name] for name in document if name != "upstream"} == {
        name: value for name, value in document.items() if name != "upstream"
    }
    assert call("GET", path).json()["value"] == written
    (listed,) = call("GET", f"/{path.split('/')[1]}").json()["list"]
    assert listed["value"] == written


def test_a_credentials_secret_is_encrypted(call: Client, store: SqliteStore, runner: Runner) -> None:
    call("PUT", "/consumers", {"username": "jack"})
    path = "/consumers/jack/credentials/1"
    call("PUT", path, {"plugins": {"key": {"key": "open sesame"}}})

    assert stored(store, runner, path)["plugins"]["key"]["key"].startswith("encrypted:")
    assert call("GET", path).json()["value"]["plugins"]["key"]["key"] == "open sesame"


def test_patches_work_on_plain_values(call: Client, store: SqliteStore, runner: Runner) -> None:
    call("PUT", "/services/1", {"plugins": {"known": {"token": "one", "deep": {"keys": {"secret": "s"}}}}})

    merged = call("PATCH", "/services/1", {"plugins": {"known": {"deep": {"x": 1}}}}).json()["value"]
    assert merged["plugins"]["known"] == {"token": "one", "deep": {"keys": {"secret": "s"}, "x": 1}}
    replaced = call("PATCH", "/services/1/plugins/known/token", "two").json()["value"]
    assert replaced["plugins"]["known"]["token"] == "two"
    config = stored(store, runner, "/services/1")["plugins"]["known"]
    assert config["token"].startswith("encrypted:")
    assert config["deep"]["keys"]["secret"].startswith("encrypted:")


def test_what_was_stored_in_the_clear_goes_on_working(
    call: Client, store: SqliteStore, runner: Runner
) -> None:
    runner.run(store.put("/consumers/jack", msgspec.json.encode(JACK)))
    assert call("GET", "/consumers/jack").json()["value"] == JACK

    call("PUT", "/consumers/jack", JACK)
    assert stored(store, runner, "/consumers/jack")["plugins"]["key"]["key"].startswith("encrypted:")


def test_what_the_store_has_can_be_put_as_it_is(call: Client, store: SqliteStore, runner: Runner) -> None:
    """A copy of the store's documents is a backup."""
    call("PUT", "/consumers/jack", JACK)
    copied = stored(store, runner, "/consumers/jack")
    call("DELETE", "/consumers/jack")

    assert call("PUT", "/consumers/jack", copied).json()["value"]["plugins"] == JACK["plugins"]


def test_a_value_that_only_looks_encrypted_is_refused(call: Client) -> None:
    for value in ("encrypted:", "encrypted:abc", "encrypted:" + "QUJD" * 20):
        document = {"username": "jack", "plugins": {"key": {"key": value}}}
        answer = call("PUT", "/consumers", document)
        assert answer.status == 400
        message = answer.json()["error_msg"]
        assert message.startswith('invalid consumer: property "plugins.key.key": it ')
        assert "QUJD" not in message


def test_a_new_key_encrypts_and_an_old_one_decrypts(
    app: AdminApp, call: Client, store: SqliteStore, runner: Runner
) -> None:
    call("PUT", "/consumers/jack", JACK)
    app.access = replace(app.access, keyring=Keyring([NEW, OLD]))
    assert call("GET", "/consumers/jack").json()["value"]["plugins"] == JACK["plugins"]

    call("PUT", "/consumers/jack", JACK)
    app.access = replace(app.access, keyring=Keyring([NEW]))
    assert call("GET", "/consumers/jack").json()["value"]["plugins"] == JACK["plugins"]


def test_without_the_key_a_secret_is_shown_as_it_is_stored(
    app: AdminApp, call: Client, store: SqliteStore, runner: Runner
) -> None:
    call("PUT", "/services/1", {"plugins": {"known": {"token": "one"}}})
    app.access = replace(app.access, keyring=Keyring([NEW]))
    token = call("GET", "/services/1").json()["value"]["plugins"]["known"]["token"]
    assert token == stored(store, runner, "/services/1")["plugins"]["known"]["token"]

    answer = call("PATCH", "/services/1", {"desc": "x"})
    expected = (
        'invalid service: property "plugins.known.token": it is encrypted, but not with a key of'
        " apisix.data_encryption.keyring"
    )
    assert (answer.status, answer.json()) == (400, {"error_msg": expected})
    assert call("PATCH", "/services/1/plugins/known/token", "two").status == 200


def test_encryption_can_be_switched_off(
    app: AdminApp, call: Client, store: SqliteStore, runner: Runner
) -> None:
    call("PUT", "/consumers/jack", JACK)
    app.access = replace(app.access, keyring=Keyring([OLD], encrypts=False))
    assert call("GET", "/consumers/jack").json()["value"]["plugins"] == JACK["plugins"]

    call("PUT", "/consumers/jack", JACK)
    assert stored(store, runner, "/consumers/jack")["plugins"] == JACK["plugins"]


# --- what the data plane reads


def sealed(document: dict[str, Any], kind: str, keyring: Keyring) -> bytes:
    return msgspec.json.encode(sealing.seal(document, KINDS[kind], FakePlugins.plugins, keyring))


def test_the_data_plane_reads_plain_documents() -> None:
    keyring = Keyring([OLD])
    value = sealed(JACK, "consumers", keyring)

    assert sealing.read("/consumers/jack", value, FakePlugins.plugins, keyring) == JACK
    assert sealing.read("/nothing/x", value, FakePlugins.plugins, keyring) == msgspec.json.decode(value)
    assert sealing.read("/routes/1", b"[]", FakePlugins.plugins, keyring) == []


def test_what_cannot_be_read_is_named() -> None:
    value = sealed(JACK, "consumers", Keyring([OLD]))

    with pytest.raises(InvalidResource, match=r'invalid consumer: property "plugins\.key\.key"'):
        sealing.read("/consumers/jack", value, FakePlugins.plugins, Keyring([NEW]))


def test_a_secret_of_another_property_is_not_taken() -> None:
    """Who can write to the store, but has no key, cannot move secrets to where they would be shown."""
    keyring = Keyring([OLD])
    config = msgspec.json.decode(sealed(JACK, "consumers", keyring))["plugins"]["key"]
    moved = {"plugins": {"known": {"token": config["key"]}}}

    with pytest.raises(InvalidResource, match="not with a key of"):
        sealing.read("/services/1", msgspec.json.encode(moved), FakePlugins.plugins, keyring)


@pytest.mark.parametrize(
    "plugins",
    [
        None,
        [],
        "x",
        {"known": None},
        {"known": []},
        {"known": {"token": 1, "deep": [1]}},
        {"none": {"key": "x"}},
    ],
)
def test_what_is_no_secret_is_left_alone(plugins: object) -> None:
    document = {"plugins": plugins, "upstream": {"tls": []}}
    assert sealing.seal(document, KINDS["routes"], FakePlugins.plugins, Keyring([OLD])) == document
