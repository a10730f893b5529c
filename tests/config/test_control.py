"""Where the control API listens, if it does."""

from pathlib import Path

import pytest

from batchway.config import Address, Settings, load
from batchway.errors import ConfigError


def settings(directory: Path, text: str) -> Settings:
    path = directory / "config.yaml"
    path.write_text(text)
    return load(path, known_plugins=(), environ={}).settings


def test_defaults() -> None:
    assert Settings().enable_control
    assert Settings().control == Address("127.0.0.1", 9090)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{}", Address("127.0.0.1", 9090)),
        ("{port: 9092}", Address("127.0.0.1", 9092)),
        ("{ip: 10.0.0.1, port: 9092}", Address("10.0.0.1", 9092)),
    ],
)
def test_address(tmp_path: Path, value: str, expected: Address) -> None:
    assert settings(tmp_path, f"apisix: {{control: {value}}}\n").control == expected


def test_off(tmp_path: Path) -> None:
    assert not settings(tmp_path, "apisix: {enable_control: false}\n").enable_control


def test_misspelled(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"apisix\.control\.prt"):
        settings(tmp_path, "apisix: {control: {prt: 1}}\n")
