import gzip
import ssl
from pathlib import Path

import pytest
import trustme

from batchway.cli import post as post_module
from batchway.cli.failures import NoAnswer
from batchway.cli.post import parse_header, parse_url, post

from . import endpoint
from .endpoint import Endpoint


def no_answer(url: str, *, timeout_s: float = 30, body: bytes = b"{}") -> str:
    with pytest.raises(NoAnswer) as caught:
        post(parse_url(url), [], body, timeout_s)
    message = caught.value.message
    assert message.startswith(url.partition("?")[0] + ": ")
    assert "\n" not in message
    return message


# --- what the user writes


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("http://127.0.0.1:9080/apisix/batch-requests", "127.0.0.1", 9080, "/apisix/batch-requests"),
        ("https://gw.example", "gw.example", None, "/"),
        ("http://[::1]:81/a?b=c&d=%20#x", "::1", 81, "/a?b=c&d=%20"),
        ("HTTP://GW.example/a b/é", "gw.example", None, "/a%20b/%C3%A9"),
    ],
)
def test_url_is_taken_apart(url: str, host: str, port: int | None, target: str) -> None:
    parsed = parse_url(url)
    assert (parsed.host, parsed.port, parsed.target) == (host, port, target)


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:9080", "/batch", "ftp://a/", "http://", "http://a:x/", "http://[::1/"]
)
def test_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL such as http://"):
        parse_url(url)


def test_password_in_a_url_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match="-H 'Authorization: ...'") as caught:
        parse_url("http://me:hunter2@gw.example/")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://[::1]:81/a?apikey=secret", "http://[::1]:81/a"),
        ("https://gw.example/a", "https://gw.example/a"),
    ],
)
def test_url_is_shown_without_its_query(url: str, shown: str) -> None:
    assert str(parse_url(url)) == shown


@pytest.mark.parametrize(
    ("line", "header"),
    [
        ("X-A: b", ("X-A", "b")),
        ("X-A:b:c", ("X-A", "b:c")),
        ("X-A:", ("X-A", "")),
        ("X-A: \t é ", ("X-A", "é")),
    ],
)
def test_header_is_taken_apart(line: str, header: tuple[str, str]) -> None:
    assert parse_header(line) == header


@pytest.mark.parametrize(
    "line", ["", "X-A", ": b", "X A: b", "X-A : b", "X-A: b\r\nX-B: c", "X-A: b\n", "X: \x00", "é: a"]
)
def test_header_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="expected a header written 'Name: value'"):
        parse_header(line)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "Expect"])
def test_framing_is_not_the_users(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be set"):
        parse_header(f"{name}: 1")


# --- the request


def test_body_and_headers_arrive(server: Endpoint) -> None:
    body = b"x" * 3_000_000
    headers = [("X-A", "1"), ("x-a", "2"), ("X-Name", "é")]
    answer = post(parse_url(server.url + "?k=v"), headers, body, 10)
    assert (answer.status, answer.body) == (200, server.body)
    (asked,) = server.asked
    assert asked.target == "/batch?k=v"
    assert asked.body == body
    assert asked.all("x-a") == ["1", "2"]
    assert asked.all("x-name") == ["é".encode().decode("latin-1")]
    assert asked.all("content-type") == ["application/json"]
    assert asked.all("accept-encoding") == ["gzip"]


def test_connection_header_is_not_sent_as_apisix_hands_it_on(server: Endpoint) -> None:
    post(parse_url(server.url), [], b"{}", 5)
    assert server.asked[0].all("connection") == []


@pytest.mark.parametrize("name", ["Content-Type", "Accept-Encoding", "User-Agent", "Host"])
def test_users_header_replaces_ours(server: Endpoint, name: str) -> None:
    post(parse_url(server.url), [(name, "identity")], b"{}", 5)
    assert server.asked[0].all(name.lower()) == ["identity"]


# --- the answer


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(b"[1]" * 1000)),
        ("GZIP", gzip.compress(b"[1]" * 500) + gzip.compress(b"[1]" * 500)),
        ("identity", b"[1]" * 1000),
    ],
)
def test_answer_is_decoded(server: Endpoint, coding: str, body: bytes) -> None:
    server.headers, server.body = {"Content-Encoding": coding}, body
    answer = post(parse_url(server.url), [], b"{}", 5)
    assert answer.body == b"[1]" * 1000
    assert answer.wire_bytes == len(body)


def test_big_answer_is_whole(server: Endpoint) -> None:
    server.body = b"0123456789" * 1_000_000
    assert post(parse_url(server.url), [], b"{}", 10).body == server.body


@pytest.mark.parametrize(
    "words",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n[1,2]",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n[1,2]",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n[1,2]",
    ],
    ids=["chunked", "to the end", "1.0", "after 100"],
)
def test_every_framing_is_understood(words: bytes) -> None:
    with endpoint.saying(words) as url:
        assert post(parse_url(url), [], b"{}", 5).body == b"[1,2]"


@pytest.mark.parametrize("status", [301, 307, 400, 503])
def test_any_status_is_an_answer_and_no_redirect_is_followed(server: Endpoint, status: int) -> None:
    server.status, server.headers = status, {"Location": server.url + "/else"}
    answer = post(parse_url(server.url), [], b"{}", 5)
    assert (answer.status, answer.location) == (status, server.url + "/else")
    assert len(server.asked) == 1


def test_answer_that_comes_before_the_body_was_taken_counts() -> None:
    words = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
    with endpoint.saying(words, listens=False) as url:
        assert post(parse_url(url), [], b"x" * 50_000_000, 10).status == 413


# --- no answer


def test_nothing_listens() -> None:
    assert "connection refused: start the gateway with `batchway serve`" in no_answer(endpoint.unused_url())


def test_unknown_host() -> None:
    assert "the host name is not known" in no_answer("http://nowhere.invalid/batch")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_impossible_host(host: str) -> None:
    assert "check --url" in no_answer(f"http://{host}/batch")


def test_address_that_cannot_be_connected_to() -> None:
    assert "check --url" in no_answer("http://255.255.255.255:9/batch")


def test_silent_server_is_given_up(server: Endpoint) -> None:
    server.release.clear()
    assert "no answer within 0.2 s: give it more time with --timeout" in no_answer(
        server.url, timeout_s=0.2
    )


def test_timeout_bounds_the_whole_not_each_read(monkeypatch: pytest.MonkeyPatch, server: Endpoint) -> None:
    """The sockets' own timeouts never fire here: what does is the one bound on everything."""
    connection = post_module.Endpoint.connection
    monkeypatch.setattr(post_module.Endpoint, "connection", lambda self, _timeout_s: connection(self, 20))
    server.release.clear()
    assert "no answer within 0.2 s" in no_answer(server.url, timeout_s=0.2)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (b"", "closed before the answer was whole"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n[1", "closed before the answer was whole"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n[1",
            "closed before the answer was whole",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "what answers there is not HTTP: check --url"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n", "what answers there is not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n[]", "not what its Content-Encoding says"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-encoding: rot13\r\n\r\n[]",
            "a Content-Encoding that batchway does not",
        ),
    ],
)
def test_bad_answer_is_told(words: bytes, says: str) -> None:
    with endpoint.saying(words) as url:
        assert says in no_answer(url)


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_answer_without_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, server: Endpoint, coding: str
) -> None:
    monkeypatch.setattr(post_module, "MAX_ANSWER_BYTES", 1 << 20)
    body = b"x" * (2 << 20)
    server.headers = {"Content-Encoding": coding}
    server.body = gzip.compress(body) if coding == "gzip" else body
    assert "the answer is larger than 1 MiB" in no_answer(server.url)


# --- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def trust(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, directory: Path) -> None:
    path = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))


def test_https(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trust(authority, monkeypatch, tmp_path)
    with endpoint.running(server_context(authority, "localhost")) as server:
        assert post(parse_url(server.url), [], b"{}", 5).body == server.body


def test_certificate_of_an_unknown_ca_is_refused(authority: trustme.CA) -> None:
    with endpoint.running(server_context(authority, "localhost")) as server:
        message = no_answer(server.url)
    assert "the certificate is not trusted: " in message
    assert "SSL_CERT_FILE" in message


def test_certificate_of_another_host_is_refused(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    trust(authority, monkeypatch, tmp_path)
    with endpoint.running(server_context(authority, "else.example")) as server:
        assert "the certificate is not trusted: Hostname mismatch" in no_answer(server.url)


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_https_to_a_plain_server(words: bytes) -> None:
    with endpoint.saying(words) as url:
        assert "no TLS connection" in no_answer(url.replace("http:", "https:"))
