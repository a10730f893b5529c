"""URLs that the configuration names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.config.url import Url, parse_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://a", Url("http", "a", 80, "/", "")),
        ("https://a.test/b/c?d=e&f", Url("https", "a.test", 443, "/b/c", "d=e&f")),
        ("HTTPS://A.test:8443/B", Url("https", "a.test", 8443, "/B", "")),
        ("http://[::1]:81/", Url("http", "::1", 81, "/", "")),
        ("http://a/%20?%20", Url("http", "a", 80, "/%20", "%20")),
        ("http://a?b=/c", Url("http", "a", 80, "/", "b=/c")),
    ],
)
def test_parts(text: str, url: Url) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "a", "//a/", "http:a", "http:///a", "http://:80/", "ftp://a/", "file:///a", "http://a:b/", "http://a:0/",
     "http://a:65536/", "http://u:p@a/", "http://a/#b", "http://a/#", "http://a/ b", "http://a/\r\nb: c", "http://[a/",
     "http://ä/", "http://a/ä", " http://a/", "http://a/\x00"],
)  # fmt: skip
def test_others_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_url(text)


@given(st.text().map(lambda rest: f"http://{rest}"))
def test_a_request_line_is_one_line(text: str) -> None:
    try:
        url = parse_url(text)
    except ValueError:
        return
    assert f"{url.path}?{url.query}".isascii()
    assert not any(character.isspace() for character in f"{url.host}{url.path}{url.query}")
