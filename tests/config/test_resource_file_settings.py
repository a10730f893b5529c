"""Which settings make resources come from a file."""

from pathlib import Path

import pytest

from batchway.config import Loaded, StoreSettings, ensure_admin_key, load


def loaded(tmp_path: Path, text: str) -> Loaded:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return load(path, known_plugins=(), environ={"PROVIDER": "yaml"})


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("deployment: {role: data_plane, role_data_plane: {config_provider: yaml}}", "apisix.yaml"),
        ("deployment: {role: data_plane, role_data_plane: {config_provider: json}}", "apisix.json"),
        ("deployment: {config_provider: yaml}", "apisix.yaml"),
        ("deployment: {config_provider: '${{PROVIDER}}'}", "apisix.yaml"),
        ("deployment: {role: data_plane, config_provider: json}", "apisix.json"),
        ("deployment: {role_data_plane: {config_provider: json}, config_provider: yaml}", "apisix.yaml"),
    ],
)
def test_file_beside_the_config(tmp_path: Path, text: str, name: str) -> None:
    found = loaded(tmp_path, text)
    assert found.settings.store == StoreSettings("yaml", str(tmp_path / name))
    assert found.warnings == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "{role: data_plane}",
            "deployment.role: data_plane has no effect without role_data_plane.config_provider: yaml",
        ),
        (
            "{role: data_plane, role_data_plane: {config_provider: control_plane, control_plane: {}}}",
            "deployment.role_data_plane.config_provider, deployment.role_data_plane.control_plane",
        ),
        ("{role: traditional, role_traditional: {config_provider: yaml}}", "deployment.role_traditional"),
        ("{role: traditional, role_data_plane: {config_provider: yaml}}", "deployment.role_data_plane"),
        ("{config_provider: etcd}", "deployment.config_provider"),
    ],
)
def test_what_has_no_effect_is_a_warning(tmp_path: Path, text: str, says: str) -> None:
    found = loaded(tmp_path, f"deployment: {text}")
    assert found.settings.store == StoreSettings()
    assert says in "\n".join(found.warnings)


def test_a_store_that_is_not_used_is_a_warning(tmp_path: Path) -> None:
    found = loaded(tmp_path, "deployment: {config_provider: yaml}\nbatchway: {store: {path: x.db}}")
    assert found.settings.store.kind == "yaml"
    assert found.warnings == [f"{tmp_path}/config.yaml: batchway has no use for: batchway.store"]


def test_no_admin_key_is_generated(tmp_path: Path) -> None:
    """What a gateway is given as files may be read-only, and nothing can be written by the key anyhow."""
    found = loaded(tmp_path, "deployment: {config_provider: yaml}")
    before = (tmp_path / "config.yaml").read_text()
    assert ensure_admin_key(tmp_path / "config.yaml", found.settings) == (found.settings, False)
    assert (tmp_path / "config.yaml").read_text() == before
