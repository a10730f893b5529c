"""Secrets at rest, in a real process: encrypted on disk, plain for who asks, of use after a restart."""

import re
import stat
from pathlib import Path

from .conftest import StartGateway
from .gateway import Gateway
from .nginx import Nginx

SECRET = "open-sesame-4711"
OLD, NEW = "0123456789abcdef", "fedcba9876543210"


def stock(gateway: Gateway, nginx: Nginx) -> None:
    """A route that only jack may take."""
    nodes = {"{}:{}".format(*nginx.address): 1}
    gateway.put("consumers", "jack", {"username": "jack"})
    gateway.put("consumers", "jack/credentials/1", {"plugins": {"key-auth": {"key": SECRET}}})
    gateway.put("services", "s", {"upstream": {"nodes": nodes}, "plugins": {"key-auth": {}}})
    gateway.put("routes", "1", {"uri": "/*", "service_id": "s"})


def enter(gateway: Gateway) -> int:
    """The status that jack gets, plain and as an item of a batch."""
    status = gateway.fetch("/b", headers={"apikey": SECRET}).status
    assert gateway.reply({"path": "/b", "headers": {"apikey": SECRET}})["status"] == status
    return status


def on_disk(gateway: Gateway) -> bytes:
    return b"".join(path.read_bytes() for path in gateway.directory.glob("batchway.db*"))


def keyring(*keys: str) -> dict[str, object]:
    return {"apisix": {"data_encryption": {"keyring": list(keys)}}}


def test_a_secret_is_on_no_disk_and_works_after_a_restart(
    start_gateway: StartGateway, nginx: Nginx
) -> None:
    gateway = start_gateway()
    stock(gateway, nginx)
    assert enter(gateway) == 200
    assert gateway.fetch("/b").status == 401

    assert SECRET.encode() not in on_disk(gateway)
    key_file = gateway.directory / "batchway.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    gateway.stop()
    assert SECRET.encode() not in on_disk(gateway)

    gateway.start()
    assert enter(gateway) == 200
    value = gateway.admin("GET", "/consumers/jack/credentials/1").json()["value"]
    assert value["plugins"] == {"key-auth": {"key": SECRET}}
    for secret in (SECRET, key_file.read_text().strip()):
        assert secret not in gateway.log()


def test_a_wrong_key_serves_nobody_and_says_why(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway(keyring(OLD))
    stock(gateway, nginx)
    gateway.stop()
    gateway.write_config(keyring(NEW))
    gateway.start()

    assert enter(gateway) == 401
    (line,) = gateway.log_lines("stored resource is not served")
    assert "/consumers/jack/credentials/1" in line
    assert "plugins.key-auth.key" in line
    assert "apisix.data_encryption.keyring" in line
    assert not re.search("encrypted:[A-Za-z0-9]", line)

    gateway.reload(keyring(NEW, OLD))
    assert enter(gateway) == 200


def test_a_key_is_replaced_without_a_restart(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway(keyring(OLD))
    stock(gateway, nginx)
    gateway.reload(keyring(NEW, OLD))
    assert enter(gateway) == 200

    for path in ("/consumers/jack/credentials/1", "/services/s"):
        value = gateway.admin("GET", path).json()["value"]
        assert gateway.admin("PUT", path, value).status == 200
    gateway.reload(keyring(NEW))
    assert enter(gateway) == 200


def test_what_was_stored_before_encryption_goes_on_working(
    start_gateway: StartGateway, nginx: Nginx
) -> None:
    off = {"apisix": {"data_encryption": {"enable_encrypt_fields": False}}}
    gateway = start_gateway(off)
    stock(gateway, nginx)
    assert SECRET.encode() in on_disk(gateway)
    assert not (gateway.directory / "batchway.key").exists()

    gateway.reload({"apisix": {"data_encryption": {"enable_encrypt_fields": True}}})
    assert enter(gateway) == 200


def test_a_key_that_cannot_be_read_keeps_it_from_starting(start_gateway: StartGateway) -> None:
    gateway = start_gateway(run=False)
    gateway.write_config()
    key_file: Path = gateway.directory / "batchway.key"
    key_file.write_text("short")

    assert gateway.spawn().wait(20) != 0
    assert str(key_file) in gateway.log()
    assert "expected a key of at least 16 characters" in gateway.log()
