"""Which route a request takes, alone and as an item of a batch."""

from collections.abc import Iterator

import pytest

from .gateway import Document, Gateway
from .scripted import Scripted, each, ok

ROUTES: dict[str, Document] = {
    "prefix": {"uri": "/a/*"},
    "longer": {"uri": "/a/b/*"},
    "exact": {"uri": "/a/b/c"},
    "posts": {"uri": "/m", "methods": ["POST", "PUT"]},
    "gets": {"uri": "/m", "methods": ["GET"]},
    "host": {"uri": "/h", "host": "shop.test"},
    "wildcard": {"uri": "/h", "host": "*.shop.test"},
    "deeper": {"uri": "/h", "hosts": ["*.eu.shop.test", "x.test"]},
    "any host": {"uri": "/h"},
    "low": {"uri": "/p", "priority": -1},
    "high": {"uri": "/p", "priority": 10},
    "middle": {"uri": "/p"},
    "many": {"uris": ["/u/1", "/u/2", "/v/*"]},
    "off": {"uri": "/off", "status": 0},
    "high but get": {"uri": "/q", "methods": ["GET"], "priority": 5},
    "low for all": {"uri": "/q"},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with these routes; each has an upstream that says its name."""
    gateway = Gateway(tmp_path_factory.mktemp("routes")).start()
    with Scripted(each(lambda request: ok((request.header("host") or "").encode()))) as upstream:
        for name, route in ROUTES.items():
            nodes = {f"127.0.0.1:{upstream.address[1]}": 1}
            named = {"nodes": nodes, "pass_host": "rewrite", "upstream_host": name.replace(" ", "-")}
            gateway.put("routes", name.replace(" ", "-"), route | {"upstream": named})
        yield gateway
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("method", "host", "path", "route"),
    [
        ("GET", "a", "/a/x", "prefix"),
        ("GET", "a", "/a/", "prefix"),
        ("GET", "a", "/a", None),
        ("GET", "a", "/a/b", "prefix"),
        ("GET", "a", "/a/b/x/y", "longer"),
        ("GET", "a", "/a/b/c", "exact"),
        ("GET", "a", "/a/b/c?x=1", "exact"),
        ("GET", "a", "/a/b/c/", "longer"),
        ("POST", "a", "/m", "posts"),
        ("GET", "a", "/m", "gets"),
        ("DELETE", "a", "/m", None),
        ("GET", "shop.test", "/h", "host"),
        ("GET", "SHOP.test:8080", "/h", "host"),
        ("GET", "de.shop.test", "/h", "wildcard"),
        ("GET", "fr.eu.shop.test:1", "/h", "deeper"),
        ("GET", "x.test", "/h", "deeper"),
        ("GET", "y.test", "/h", "any host"),
        ("GET", "[::1]:80", "/h", "any host"),
        ("GET", "a", "/p", "high"),
        ("GET", "a", "/u/2", "many"),
        ("GET", "a", "/u/3", None),
        ("GET", "a", "/v/w/x", "many"),
        ("GET", "a", "/off", None),
        ("GET", "a", "/q", "high but get"),
        ("POST", "a", "/q", "low for all"),
        ("GET", "a", "/", None),
    ],
)
def test_the_route_of_a_request(
    gateway: Gateway, method: str, host: str, path: str, route: str | None
) -> None:
    plain = gateway.fetch(path, method, headers={"Host": host})
    inherited = gateway.replies([{"path": path, "method": method}], {"Host": host})[0]
    own = gateway.reply({"path": path, "method": method, "headers": {"Host": host}})

    if route is None:
        assert (plain.status, inherited["status"], own["status"]) == (404, 404, 404)
    else:
        name = route.replace(" ", "-")
        assert (plain.body.decode(), inherited["body"], own["body"]) == (name, name, name)
