"""Each item of a batch is its own consumer's, whoever the others are."""

from collections.abc import Iterator

import pytest

from tests.plugins.guards import basic, bearer, signed_request, token

from .conftest import StartScripted
from .gateway import Document, Gateway, nodes
from .scripted import each, echo

NAMES = ("jack", "jill", "joe")


@pytest.fixture
def prefix(gateway: Gateway, scripted: StartScripted, unique: str) -> Iterator[str]:
    """Routes behind auth plugins, named like these; the upstream answers with the request as it got it."""
    people = [f"{unique}{name}" for name in NAMES]
    for name in people:
        plugins = {
            "key-auth": {"key": f"{name}-key"},
            "basic-auth": {"username": name, "password": f"{name}-password"},
            "jwt-auth": {"key": name, "secret": f"{name}-secret"},
            "hmac-auth": {"key_id": name, "secret_key": f"{name}-secret"},
        }
        gateway.put("consumers", name, {"username": name, "plugins": plugins})
    upstream = {"nodes": nodes(scripted(each(echo)))}
    kinds = ("key-auth", "basic-auth", "jwt-auth", "hmac-auth")
    for kind in kinds:
        route = {
            "uri": f"/{unique}/{kind}",
            "plugins": {kind: {"hide_credentials": True}},
            "upstream": upstream,
        }
        gateway.put("routes", f"{unique}-{kind}", route)
    yield f"/{unique}"
    for kind in kinds:
        gateway.delete("routes", f"{unique}-{kind}")
    for name in people:
        gateway.delete("consumers", name)


def told(reply: Document) -> list[str]:
    """Whose request it was, as the upstream was told."""
    lines: list[str] = reply["body"].split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.startswith("x-consumer-username")]


def test_each_item_is_its_own_consumers(gateway: Gateway, prefix: str) -> None:
    items, expected = [], []
    for _ in range(10):
        for name in NAMES:
            user = f"{prefix[1:]}{name}"
            target = f"{prefix}/hmac-auth"
            for path, headers in (
                (f"{prefix}/key-auth", [("apikey", f"{user}-key")]),
                (f"{prefix}/basic-auth", basic(user, f"{user}-password")),
                (f"{prefix}/jwt-auth", bearer(token(f"{user}-secret", {"key": user}))),
                (target, signed_request("GET", target, key_id=user, secret=f"{user}-secret")),
            ):
                items.append({"path": path, "headers": dict(headers)})
                expected.append([user])

    replies = gateway.replies(items)

    assert [reply["status"] for reply in replies] == [200] * 120
    assert [told(reply) for reply in replies] == expected
    for reply in replies:
        assert "-key" not in reply["body"].partition("\r\n")[2]
        assert "authorization" not in reply["body"]


def test_item_without_a_credential_is_nobodys(gateway: Gateway, prefix: str) -> None:
    jack = f"{prefix[1:]}jack"
    path = f"{prefix}/key-auth"

    replies = gateway.replies(
        [
            {"path": path, "headers": {"apikey": f"{jack}-key"}},
            {"path": path},
            {"path": path, "headers": {"apikey": "wrong", "X-Consumer-Username": jack}},
            {"path": path, "headers": {"apikey": f"{jack}-key", "x_consumer_username": "root"}},
        ]
    )

    assert [reply["status"] for reply in replies] == [200, 401, 401, 200]
    assert told(replies[0]) == told(replies[3]) == [jack]
    assert "root" not in replies[3]["body"]
    for reply, message in (
        (replies[1], "Missing API key in request"),
        (replies[2], "Invalid API key in request"),
    ):
        assert message in reply["body"]
        assert reply["headers"]["WWW-Authenticate"] == 'apikey realm="key"'


def test_own_key_goes_before_the_batchs_and_that_before_the_clients(gateway: Gateway, prefix: str) -> None:
    jack, jill, joe = (f"{prefix[1:]}{name}" for name in NAMES)
    path = f"{prefix}/key-auth"
    own = [{"path": path, "headers": {"apikey": f"{jack}-key"}}, {"path": path}]

    outer = gateway.replies(own, {"apikey": f"{joe}-key"})
    batch = gateway.replies(
        {"headers": {"apikey": f"{jill}-key"}, "pipeline": own}, {"apikey": f"{joe}-key"}
    )

    assert [told(reply) for reply in outer] == [[jack], [joe]]
    assert [told(reply) for reply in batch] == [[jack], [jill]]


def test_token_that_all_items_share(gateway: Gateway, prefix: str) -> None:
    jack = f"{prefix[1:]}jack"
    good, bad = (token(secret, {"key": jack}) for secret in (f"{jack}-secret", "wrong"))
    pipeline = [{"path": f"{prefix}/jwt-auth"} for _ in range(50)]

    replies = gateway.replies(pipeline, dict(bearer(good)))
    refused = gateway.replies(pipeline, dict(bearer(bad)))

    assert [told(reply) for reply in replies] == [[jack]] * 50
    assert [reply["status"] for reply in refused] == [401] * 50
