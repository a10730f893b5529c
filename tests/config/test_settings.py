import pytest
from rich.pretty import pretty_repr

from batchway.config import Address, AdminKey, Settings


@pytest.mark.parametrize(
    ("address", "written"),
    [
        (Address("127.0.0.1", 9080), "127.0.0.1:9080"),
        (Address("::1", 80), "[::1]:80"),
    ],
)
def test_address_is_written_as_people_do(address: Address, written: str) -> None:
    assert str(address) == written


@pytest.mark.parametrize("show", [repr, str, pretty_repr])
def test_no_secret_is_shown(show: object) -> None:
    settings = Settings(
        admin_keys=(AdminKey("ops", "s3cret", "admin"),),
        plugin_attr={"batch-requests": {"token": "s3cret"}},
    )
    assert callable(show)
    shown = show(settings)
    assert "s3cret" not in shown
    assert "ops" in shown
    assert "batch-requests" in shown
    assert "s3cret" not in show(settings.admin_keys[0])
