"""The page of a service, without a browser: what is sent to whom, and what it lets a browser do."""

import base64
import gzip
import hashlib
import json
import re
from typing import Any

import pytest

from batchway.rpc import Procedure, RpcApp, method

from .exchange import Exchange, exchange

EVIL = "</script><script>alert(1)</script><!-- <script --> <img src=x onerror=alert(1)>"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
NAMESPACE = "http://www.w3.org/2000/svg"  # the name of one, which nobody asks for


class Evil(Procedure):
    __doc__ = EVIL
    name = "evil"

    @method
    async def ping(self, a: str = EVIL) -> str:
        return a


def make_app(**options: Any) -> RpcApp:
    app = RpcApp([Evil], **options)

    @app.method("evil." + EVIL)
    async def ping() -> str:
        """Answers <b>pong</b>."""
        return "pong"

    return app


def get(app: RpcApp, accept: str | None = None, http_method: str = "GET", **headers: str) -> Exchange:
    if accept is not None:
        headers["accept"] = accept
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return exchange(app, method=http_method, headers=pairs, query_string=b"")


def element(page: str, opening: str, closing: str) -> str:
    """What is in the only element that begins so."""
    assert page.count(opening) == 1
    return page.partition(opening)[2].partition(closing)[0]


def policy(found: Exchange) -> dict[str, str]:
    directives = found.headers[b"content-security-policy"].decode().split("; ")
    return {name: value for name, _, value in (one.partition(" ") for one in directives)}


def sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "text/html",
        BROWSER,
        "application/json, text/html",
        "text/*",
        "image/png",
        "application/json;q=0",
    ],
)
def test_page_is_for_people(accept: str | None) -> None:
    found = get(make_app(), accept)
    assert found.status == 200
    assert found.headers[b"content-type"] == b"text/html; charset=utf-8"
    assert found.headers[b"content-length"] == b"%d" % len(found.body)
    assert found.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "Application/JSON;q=1",
        "application/*",
        "application/json, */*;q=0.5",
        "text/html;q=0.1, */*;q=0.2",
    ],
)
def test_document_is_for_programs(accept: str) -> None:
    app = make_app()
    found = get(app, accept)
    assert (found.status, found.headers[b"content-type"]) == (200, b"application/json")
    assert json.loads(found.body) == app.openrpc()


def test_what_is_sent_depends_on_what_is_accepted() -> None:
    for accept in (BROWSER, "application/json"):
        found = get(make_app(), accept)
        assert found.headers[b"vary"] == b"accept, accept-encoding"
        assert found.headers[b"x-content-type-options"] == b"nosniff"
        assert found.headers[b"cache-control"] == b"no-cache"


def test_head_has_the_headers_and_no_body() -> None:
    app = make_app()
    for accept in (BROWSER, "application/json"):
        found = get(app, accept, "HEAD")
        assert (found.status, found.body) == (200, b"")
        assert found.headers == get(app, accept).headers


def test_page_may_be_compressed() -> None:
    app = make_app()
    found = get(app, BROWSER, accept_encoding="br, gzip")
    assert found.headers[b"content-encoding"] == b"gzip"
    assert found.headers[b"content-length"] == b"%d" % len(found.body)
    assert gzip.decompress(found.body) == get(app, BROWSER, accept_encoding="gzip;q=0").body


def test_page_is_not_sent_twice() -> None:
    app = make_app()
    page, document = get(app, BROWSER), get(app, "application/json")
    etags = [found.headers[b"etag"].decode() for found in (page, document)]
    assert etags[0] != etags[1]
    for etag in (etags[0], etags[0].removeprefix("W/"), f'"other", {etags[0]}', "*"):
        found = get(app, BROWSER, if_none_match=etag)
        assert (found.status, found.body) == (304, b"")
        assert found.headers[b"etag"] == page.headers[b"etag"]
        assert b"content-length" not in found.headers
    for etag in (etags[1], '"other"', ""):
        assert get(app, BROWSER, if_none_match=etag).status == 200


def test_page_knows_of_methods_that_are_added() -> None:
    app = make_app()
    before = get(app, BROWSER)

    @app.method
    async def later() -> None: ...

    after = get(app, BROWSER, if_none_match=before.headers[b"etag"].decode())
    assert after.status == 200
    assert b'"later"' in after.body
    assert b'"later"' not in before.body


def test_words_of_the_service_are_no_markup() -> None:
    app = make_app(title=EVIL)
    page = get(app, BROWSER).body.decode()
    assert page.lower().count("<script") == page.lower().count("</script") == 2
    assert "<img" not in page
    held = element(page, '<script type="application/json" id="document">', "</script>")
    assert "<" not in held
    assert json.loads(held) == app.openrpc()


def test_words_of_the_service_are_no_places_in_the_template() -> None:
    app = RpcApp(title="<!-- script -->")

    @app.method
    async def ping() -> None:
        """<!-- style -->"""

    page = get(app, BROWSER).body.decode()
    assert page.count("color-scheme: light dark") == 1
    assert "<title>&lt;!-- script --&gt;</title>" in page


def test_browser_may_do_what_the_page_needs_and_no_more() -> None:
    found = get(make_app(), BROWSER)
    page = found.body.decode()
    assert policy(found) == {
        "default-src": "'none'",
        "script-src": sha256(element(page, '<script type="module">', "</script>")),
        "style-src": sha256(element(page, "<style>", "</style>")),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    assert found.headers[b"referrer-policy"] == b"no-referrer"
    assert not re.search(r"\s(style|on\w+)=", page.partition("<body>")[2].partition("<script")[0])


def test_page_needs_nothing_from_elsewhere() -> None:
    page = get(RpcApp(), BROWSER).body.decode()
    assert NAMESPACE in page
    assert not re.search(r"(https?:)?//\w+\.", page.replace(NAMESPACE, ""))
    assert not re.search(r"\b(src|srcset|action)=|@import|\burl\(|\bimport\b", page)
    assert re.findall(r'<link [^>]*href="([^"]{5})', page) == ["data:"]


@pytest.mark.parametrize("options", [{"page": False}, {"discover": False}])
@pytest.mark.parametrize("http_method", ["GET", "HEAD"])
def test_page_may_be_turned_off(options: dict[str, bool], http_method: str) -> None:
    app = make_app(**options)
    assert app.page() is None
    found = get(app, BROWSER, http_method)
    assert found.status == 405
    assert b"<" not in found.body
