"""What the settings ask for, before anything is started."""

from typing import Any

import pytest

from batchway.config import Settings
from batchway.errors import ConfigError
from batchway.server.from_settings import make_registry


def refusal(**settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        make_registry(Settings(**settings))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_defaults_switch_all_plugins_on() -> None:
    assert {"batch-requests", "public-api"} <= set(make_registry(Settings()).plugins)


def test_plugins_that_are_named() -> None:
    assert set(make_registry(Settings(plugins=("public-api", "no-such"))).plugins) == {"public-api"}
    assert make_registry(Settings(plugins=())).plugins == {}


def test_attributes() -> None:
    registry = make_registry(Settings(plugin_attr={"batch-requests": {"uri": "/b"}}))
    assert registry.api_uris() == ["/b"]


@pytest.mark.parametrize("uri", ["no-slash", 1, None, ["/"]])
def test_wrong_attributes(uri: object) -> None:
    message = refusal(plugin_attr={"batch-requests": {"uri": uri}})
    assert "plugin_attr.batch-requests" in message
    assert "uri" in message


@pytest.mark.parametrize("plugins", [(), ("public-api",)])
def test_batch_that_is_exposed_and_off(plugins: tuple[str, ...]) -> None:
    message = refusal(plugins=plugins, expose_batch=True)
    assert "batchway.expose_batch" in message
    assert "batch-requests" in message


def test_batch_that_is_exposed_and_on() -> None:
    make_registry(Settings(expose_batch=True))
    make_registry(Settings(plugins=("batch-requests",), expose_batch=True))
