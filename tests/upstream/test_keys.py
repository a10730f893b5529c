"""What `chash` hashes."""

import pytest

from batchway.config.resources import decode_upstream
from batchway.upstream.keys import hash_key

from .asking import request

VALUES = {
    "remote_addr": "10.9.9.9",
    "request_uri": "/a?b=1",
    "uri": "/a",
    "arg_id": "7",
    "arg_a-b": "8",
    "http_x_user": "ann",
    "cookie_session": "s1",
    "consumer_name": "jack",
    "host": "",
}


def key(hash_on: str, name: str | None) -> str:
    document = {"nodes": {"a:80": 1}, "type": "chash", "hash_on": hash_on}
    upstream = decode_upstream(document | ({} if name is None else {"key": name}))
    return hash_key(upstream, request(), VALUES.get)


@pytest.mark.parametrize(
    ("hash_on", "name", "expected"),
    [
        ("vars", "request_uri", "/a?b=1"),
        ("vars", "arg_id", "7"),
        ("header", "X-User", "ann"),
        ("header", "x_user", "ann"),
        ("header", "http_x_user", "ann"),
        ("cookie", "session", "s1"),
        ("consumer", None, "jack"),
        ("vars_combinations", "$request_uri$remote_addr", "/a?b=110.9.9.9"),
        ("vars_combinations", "${uri}-${arg_id}", "/a-7"),
        ("vars_combinations", "$uri|$arg_none", "/a|"),
        ("vars_combinations", "${arg_none ?? all}|${ uri ?? x}", "all|/a"),
        ("vars_combinations", "${arg_a-b}", "8"),
    ],
)
def test_value(hash_on: str, name: str | None, expected: str) -> None:
    assert key(hash_on, name) == expected


@pytest.mark.parametrize(
    ("hash_on", "name"),
    [
        ("vars", "arg_none"),
        ("vars", "host"),
        ("header", "x-none"),
        ("cookie", "none"),
        ("vars_combinations", "$arg_none-$arg_other"),
    ],
)
def test_without_a_value_the_client_counts(hash_on: str, name: str) -> None:
    assert key(hash_on, name) == "10.0.0.1"


def test_without_a_lookup_the_client_counts() -> None:
    upstream = decode_upstream({"nodes": {"a:80": 1}, "type": "chash", "key": "uri"})
    assert hash_key(upstream, request(), None) == "10.0.0.1"
