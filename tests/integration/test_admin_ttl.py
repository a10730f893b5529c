"""`ttl`: the data plane forgets what has gone away by itself, and no restart brings it back."""

import time

from .conftest import StartGateway
from .gateway import Document, Gateway, nodes
from .nginx import Nginx
from .waiting import wait


def route(unique: str, nginx: Nginx) -> Document:
    return {"uri": f"/{unique}/*", "upstream": {"nodes": nodes(nginx)}}


def until_gone(gateway: Gateway, path: str) -> None:
    wait(lambda: gateway.fetch(path).status == 404, f"{path} is gone")


def test_a_route_serves_until_its_time_is_up(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    path = f"/{unique}/b"
    ttl_s, is_in_time = 0.5, False
    while not is_in_time:  # the machine may be too busy to look before it is up
        ttl_s *= 2
        began = time.monotonic()
        gateway.admin("PUT", f"/routes/{unique}?ttl={ttl_s}", route(unique, nginx))
        status = gateway.fetch(path).status
        is_in_time = time.monotonic() - began < ttl_s
    assert status == 200

    until_gone(gateway, path)
    assert gateway.admin("GET", f"/routes/{unique}").status == 404


def test_a_write_without_a_ttl_keeps_a_route(gateway: Gateway, nginx: Nginx, unique: str) -> None:
    gateway.admin("PUT", f"/routes/{unique}?ttl=0.2", route(unique, nginx))
    gateway.put("routes", unique, route(unique, nginx))
    gateway.admin(
        "PUT",
        f"/routes/{unique}-1?ttl=0.2",
        {"uri": f"/{unique}-1/*", "plugins": {"mocking": {"response_example": "x"}}},
    )

    until_gone(gateway, f"/{unique}-1/b")  # it came later: the time of the other is over, too
    assert gateway.fetch(f"/{unique}/b").status == 200
    gateway.delete("routes", unique)


def test_a_restart_brings_nothing_back(start_gateway: StartGateway, nginx: Nginx) -> None:
    gateway = start_gateway()
    gateway.admin("PUT", "/routes/gone?ttl=0.5", route("gone", nginx))
    gateway.admin("PUT", "/routes/stays?ttl=3600", route("stays", nginx))
    gateway.kill()
    time.sleep(0.5)
    gateway.start()

    assert gateway.fetch("/gone/b").status == 404
    assert gateway.fetch("/stays/b").status == 200
    listed = gateway.admin("GET", "/routes").json()["list"]
    assert [one["value"]["id"] for one in listed] == ["stays"]
