"""A plugin that answers with a status that has no body, and has one all the same."""

import pytest

from .conftest import StartScripted
from .gateway import Gateway
from .scripted import each, echo
from .wire import Wire


@pytest.mark.parametrize("status", [204, 304])
def test_refusal_without_a_body(
    gateway: Gateway, scripted: StartScripted, unique: str, status: int
) -> None:
    prefix = gateway.route(scripted(each(echo)))
    refused = {"whitelist": ["nobody"], "type": "route_id", "rejected_code": status}
    gateway.put("routes", unique, {"uri": f"/{unique}", "plugins": {"consumer-restriction": refused}})

    with Wire(gateway.data) as wire:
        wire.get(f"/{unique}")
        head = wire.until(b"\r\n\r\n")
        wire.get(f"{prefix}/next")
        following = wire.answer()

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-length" not in head.lower()
    assert following.status == 200, "nothing of a body came between"
    assert f"GET {prefix}/next".encode() in following.body
