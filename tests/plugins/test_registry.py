"""Which plugins there are, which are on, and what is said of a wrong config."""

from collections.abc import Callable
from typing import Any, ClassVar, cast

import pytest
from msgspec import Struct

from batchway.errors import InvalidResource
from batchway.model import Limits, Request, Response
from batchway.plugins import PLUGINS, Gateway, Plugin, PublicApi, Registry

NO_GATEWAY = cast(Gateway, None)


class Secret(Struct, frozen=True, forbid_unknown_fields=True):
    """A config that holds a credential."""

    key: str
    port: int = 0


class Keeper(Plugin):
    """A plugin with something to hide."""

    name = "test-keeper"
    priority = 10
    Config: ClassVar[type[Struct]] = Secret
    Metadata: ClassVar[type[Struct]] = Secret
    Attributes: ClassVar[type[Struct]] = Secret

    @classmethod
    def public_apis(cls, gateway: Gateway, attributes: Secret) -> list[PublicApi]:
        async def tell(request: Request) -> Response:
            return Response(200, "", [], b"")

        return [PublicApi(frozenset({"GET"}), f"/{attributes.port}", tell)]


@pytest.fixture
def keeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the plugin above known."""
    monkeypatch.setitem(PLUGINS, Keeper.name, Keeper)


with_keeper = pytest.mark.usefixtures("keeper")


def refusal(call: Callable[..., object], *args: object) -> str:
    """What `call` says when it refuses these."""
    with pytest.raises(InvalidResource) as caught:
        call(*args)
    assert caught.value.status == 400
    assert "\n" not in caught.value.message
    return caught.value.message


def keeping(**attributes: Any) -> Registry:
    return Registry(["test-keeper"], {"test-keeper": {"key": "k", **attributes}})


def test_names_are_those_of_the_table() -> None:
    assert all(plugin.name == name for name, plugin in PLUGINS.items())


def test_no_two_plugins_have_the_same_priority() -> None:
    priorities = [plugin.priority for plugin in PLUGINS.values()]
    assert len(set(priorities)) == len(priorities)


# --- which are on


def test_all_are_on_unless_it_is_said() -> None:
    assert set(Registry().plugins) == {*PLUGINS, "json-rpc"}, "one of ours comes as an entry point"


def test_only_those_named_are_on() -> None:
    assert set(Registry(["public-api"]).plugins) == {"public-api"}
    assert Registry([]).plugins == {}


def test_names_that_nobody_knows_are_passed_over() -> None:
    """People bring APISIX's long list; who reads the config file warns."""
    assert set(Registry(["limit-req", "public-api", "no-such"]).plugins) == {"public-api"}


def test_unknown_plugin() -> None:
    for call in (Registry().check_plugin, Registry().check_metadata):
        message = refusal(call, "limit-req", {})
        assert message == "unknown plugin [limit-req]: it is not supported by batchway"


def test_plugin_that_is_not_enabled() -> None:
    registry = Registry(["batch-requests"])
    for call in (registry.check_plugin, registry.check_metadata):
        message = refusal(call, "public-api", {})
        assert message == "unknown plugin [public-api]: it is not enabled: see `plugins` in the config file"
    assert refusal(registry.build, "public-api", {}, NO_GATEWAY).startswith("unknown plugin")


# --- configs


@with_keeper
def test_config() -> None:
    registry = keeping()
    assert registry.check_plugin("test-keeper", {"key": "k", "port": 1}) == Secret("k", 1)
    plugin = registry.build("test-keeper", {"key": "k"}, NO_GATEWAY)
    assert isinstance(plugin, Keeper)
    assert plugin.config == Secret("k", 0)


@with_keeper
@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, ["key", "required"]),
        ({"key": "sesame", "other": "sesame"}, ["other", "unknown"]),
        ({"key": ["sesame"]}, ["key", "expected str", "array"]),
        ({"key": {"sesame": 1}}, ["key", "expected str", "object"]),
        ({"key": 271828}, ["key", "expected str", "int"]),
        ({"key": "k", "port": "sesame"}, ["port", "expected int", "str"]),
        ({"key": "k", "port": 27.1828}, ["port", "expected int", "float"]),
        ({"key": None}, ["key"]),
        ("sesame", ["expected object", "str"]),
        ([{"sesame": 1}], ["expected object", "array"]),
        (271828, ["expected object", "int"]),
    ],
)
def test_wrong_config_is_named_and_its_values_are_not(config: object, words: list[str]) -> None:
    message = refusal(keeping().check_plugin, "test-keeper", config)
    assert "test-keeper" in message
    for word in words:
        assert word in message
    for value in ("sesame", "271828", "27.1828"):
        assert value not in message


@with_keeper
def test_wrong_config_is_refused_when_the_plugin_is_built() -> None:
    assert "port" in refusal(keeping().build, "test-keeper", {"key": "k", "port": "x"}, NO_GATEWAY)


@pytest.mark.parametrize("name", ["batch-requests", "public-api"])
def test_plugin_without_settings_takes_none(name: str) -> None:
    registry = Registry()
    registry.check_plugin(name, {})
    message = refusal(registry.check_plugin, name, {"nonsense": 1})
    assert name in message
    assert "nonsense" in message


# --- metadata


def test_plugin_that_is_switched_off_need_not_be_whole() -> None:
    off = {"limit-count": {"count": "many", "_meta": {"disable": True}}}
    registry = Registry()

    registry.check_plugin("limit-count", off["limit-count"])
    assert registry.build_all(off, cast(Gateway, None), "/routes/1") == {"limit-count": None}
    with pytest.raises(InvalidResource):
        registry.check_plugin("key-auth", {"key": 1, "_meta": {"disable": True}}, consumer=True)


def test_metadata() -> None:
    registry = Registry()
    document = {"max_pipeline_items": 5, "max_reply_size": 10}
    assert registry.check_metadata("batch-requests", document) == Limits(
        max_pipeline_items=5, max_reply_size=10
    )
    assert registry.default_metadata("batch-requests") == Limits()


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"max_body_size": 0}, ["max_body_size", "0"]),
        ({"max_body_size": -1}, ["max_body_size", "-1"]),
        ({"max_pipeline_items": "x"}, ["max_pipeline_items", "expected int"]),
        ({"max_pipeline_item": 1}, ["max_pipeline_item", "unknown"]),
        ({"timeout": 1.5}, ["timeout", "expected int"]),
        ([], ["expected object"]),
        (None, ["expected object"]),
    ],
)
def test_wrong_metadata(document: object, words: list[str]) -> None:
    message = refusal(Registry().check_metadata, "batch-requests", document)
    for word in words:
        assert word in message


# --- attributes


@with_keeper
def test_attributes_make_the_public_apis() -> None:
    (api,) = keeping(port=7).public_apis(NO_GATEWAY)
    assert (api.uri, api.methods) == ("/7", frozenset({"GET"}))


@with_keeper
def test_attributes_of_what_is_off_are_not_looked_at() -> None:
    Registry(["public-api"], {"test-keeper": {"nonsense": 1}, "no-such": {"a": 1}})


@pytest.mark.parametrize(
    ("attributes", "words"),
    [({"batch-requests": {"uri": "no-slash"}}, ["uri"]), ({"batch-requests": {"uri": 1}}, ["uri"])],
)
def test_wrong_attributes(attributes: dict[str, Any], words: list[str]) -> None:
    message = refusal(Registry, ["batch-requests"], attributes)
    for word in ("plugin_attr.batch-requests", *words):
        assert word in message


def test_attributes_that_are_empty_or_of_others() -> None:
    given: tuple[dict[str, Any] | None, ...] = (
        None,
        {},
        {"batch-requests": {}},
        {"batch-requests": {"of_apisix": 1}},
    )
    for attributes in given:
        registry = Registry(["batch-requests"], attributes)
        assert registry.api_uris() == ["/apisix/batch-requests"]


def test_uri_of_the_batch_endpoint() -> None:
    registry = Registry(None, {"batch-requests": {"uri": "/batch"}})
    assert registry.api_uris() == ["/batch"]
    assert [api.uri for api in registry.public_apis(NO_GATEWAY)] == ["/batch"]
    assert Registry(["public-api"]).api_uris() == []


@with_keeper
def test_secret_attribute_is_not_shown() -> None:
    message = refusal(Registry, ["test-keeper"], {"test-keeper": {"key": 271828}})
    assert "plugin_attr.test-keeper" in message
    assert "271828" not in message


@pytest.mark.parametrize(
    "config",
    [
        {"key": "$secret://vault/1/jack/key"},
        {"key": "$ENV://JACK_KEY"},
        {"key": "k", "more": [{"in": "$env://JACK_KEY"}]},
    ],
)
@with_keeper
def test_reference_to_a_secret_is_refused_and_not_taken_for_it(config: dict[str, object]) -> None:
    for consumer in (False, True):
        with pytest.raises(InvalidResource, match=r"\$(secret|env):// are not supported") as caught:
            keeping().check_plugin("test-keeper", config, consumer=consumer)
        assert "JACK_KEY" not in caught.value.message


@with_keeper
def test_dollar_alone_is_no_reference() -> None:
    assert keeping().check_plugin("test-keeper", {"key": "$env: or $secret"}) == Secret("$env: or $secret")
