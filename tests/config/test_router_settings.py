"""What config.yaml says of the way to a route."""

from pathlib import Path

import pytest

from batchway.config import Settings, load
from batchway.errors import ConfigError


def loaded(tmp_path: Path, text: str) -> tuple[Settings, list[str]]:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    found = load(path, known_plugins=(), environ={})
    return found.settings, found.warnings


def test_defaults(tmp_path: Path) -> None:
    settings, warnings = loaded(tmp_path, "apisix: {router: {}}")
    assert (
        settings.router,
        settings.delete_uri_tail_slash,
        settings.match_uri_encoded_slash,
        warnings,
    ) == (
        "radixtree_host_uri",
        False,
        False,
        [],
    )


@pytest.mark.parametrize("kind", ["radixtree_host_uri", "radixtree_uri", "radixtree_uri_with_parameter"])
def test_kinds(tmp_path: Path, kind: str) -> None:
    settings, warnings = loaded(tmp_path, f"apisix: {{router: {{http: {kind}, ssl: radixtree_sni}}}}")
    assert settings.router == kind
    assert warnings == [f"{tmp_path}/config.yaml: batchway has no use for: apisix.router.ssl"]


def test_another_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "apisix: {router: {http: r3_uri}}")
    assert "apisix.router.http: expected radixtree_host_uri, radixtree_uri or" in caught.value.message


@pytest.mark.parametrize("key", ["delete_uri_tail_slash", "match_uri_encoded_slash"])
def test_flags(tmp_path: Path, key: str) -> None:
    settings, _ = loaded(tmp_path, f"apisix: {{{key}: true}}")
    assert getattr(settings, key) is True
    with pytest.raises(ConfigError):
        loaded(tmp_path, f"apisix: {{{key}: maybe}}")


def test_paths_as_servlets_have_them_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("apisix: {normalize_uri_like_servlet: false}")
    load(path, known_plugins=(), environ={})
    path.write_text("apisix: {normalize_uri_like_servlet: true}")
    with pytest.raises(ConfigError, match="apisix.normalize_uri_like_servlet: .*servlets"):
        load(path, known_plugins=(), environ={})
