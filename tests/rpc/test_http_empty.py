"""Over HTTP, the status where there is nothing to say."""

import json

import pytest

from batchway.errors import ConfigError

from .asking import call
from .exchange import exchange
from .test_http import BODY, PONG, make_app

NOTE = json.dumps(call("ping", id=...)).encode()


@pytest.mark.parametrize("body", [NOTE, b"[%b,%b]" % (NOTE, NOTE)])
@pytest.mark.parametrize(
    ("status", "headers"),
    [(204, {}), (202, {b"content-length": b"0"}), (200, {b"content-length": b"0"})],
)
def test_it_is_a_setting(status: int, headers: dict[bytes, bytes], body: bytes) -> None:
    app = make_app(empty_status=status)
    found = exchange(app, [body])
    assert (found.status, found.body, found.headers) == (status, b"", headers)
    assert (exchange(app, [BODY]).status, exchange(app, [BODY]).body) == (200, PONG)


def test_profile_that_always_says_something_does_not_need_it() -> None:
    found = exchange(make_app(profile="sajya"), [NOTE])
    assert (found.status, found.body) == (200, b"{}")


def test_no_other_status_says_nothing() -> None:
    with pytest.raises(ConfigError, match="empty_status: expected 204, 202 or 200"):
        make_app(empty_status=500)
