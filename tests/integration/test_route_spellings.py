"""No spelling of a path dodges a route: router and upstream must see the same path."""

from collections.abc import Iterator

import pytest

from .gateway import Gateway, nodes
from .nginx import Nginx
from .wire import ask

SPELLINGS = [
    "/admin/x",
    "/%61dmin/x",
    "/%61%64%6d%69%6e/x",
    "//admin/x",
    "///admin//x",
    "/./admin/x",
    "/admin/./x",
    "/public/../admin/x",
    "/public/%2e%2e/admin/x",
    "/public/%2E./admin/x",
    "/public/..%2fadmin/x",
    "/public%2f..%2fadmin%2fx",
    "/a/b/../../admin/x",
    "/admin/../admin/x",
    "/public/..//admin/x",
    "/admin%2fx",
    "/admin/x?",
    "/admin/x?a=/public",
]
"""All of them are /admin/x to nginx."""

OTHERS = [
    "/public/x",
    "/admin/../x",
    "/adminx",
    "/%2561dmin/x",
    "/public/admin/x",
    "/x/admin/x",
    "/ADMIN/x",
]
"""None of these is."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, nginx: Nginx) -> Iterator[Gateway]:
    """A gateway where /admin/* has another upstream than the rest."""
    gateway = Gateway(tmp_path_factory.mktemp("guarded")).start()
    upstream = {"nodes": nodes(nginx)}
    guard = upstream | {"pass_host": "rewrite", "upstream_host": "guarded"}
    gateway.put("routes", "open", {"uri": "/*", "upstream": upstream})
    gateway.put("routes", "guarded", {"uri": "/admin/*", "upstream": guard})
    yield gateway
    assert gateway.stop() == 0


@pytest.mark.parametrize("target", SPELLINGS)
def test_no_spelling_dodges_a_route(guarded: Gateway, target: str) -> None:
    plain = ask(guarded.data, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    reply = guarded.reply(target)

    assert plain.header("x-uri") == "/admin/x"
    assert plain.header("x-host") == "guarded"
    assert plain.header("x-target") in (target, target.removesuffix("?"))
    assert reply["headers"]["X-Host"] == "guarded"


@pytest.mark.parametrize("target", OTHERS)
def test_other_paths_take_other_routes(guarded: Gateway, target: str) -> None:
    plain = ask(guarded.data, f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert plain.header("x-uri") != "/admin/x"
    assert plain.header("x-host") == "a"
