"""Statuses and codes are an interface: programs rely on them."""

import pytest

from batchway import errors
from batchway.errors import BatchRefused, BatchwayError, UpstreamError
from batchway.model import REASONS

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BatchwayError)
]

KNOWN = {
    "internal_error": 500,
    "batch_refused": 400,
    "malformed_batch": 400,
    "batch_too_large": 413,
    "too_many_items": 400,
    "bad_request": 400,
    "malformed_path": 400,
    "plugins_missing": 503,
    "nested_batch": 400,
    "route_not_found": 404,
    "method_refused": 405,
    "body_too_large": 413,
    "deadline_exceeded": 504,
    "upstream_error": 502,
    "upstream_refused": 502,
    "upstream_broken": 502,
    "reply_too_large": 502,
    "no_healthy_node": 503,
    "upstream_timeout": 504,
    "invalid_resource": 400,
    "store_error": 503,
}


def test_codes_and_statuses_stay_what_they_are() -> None:
    found = {kind.code: kind.status for kind in KINDS}
    assert {code: found.get(code) for code in KNOWN} == KNOWN


def test_no_two_errors_share_a_code() -> None:
    named = [kind.code for kind in KINDS if "code" in vars(kind)]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_status_is_an_error_with_a_reason(kind: type[BatchwayError]) -> None:
    assert 400 <= kind.status <= 599
    assert REASONS[kind.status]
    if issubclass(kind, BatchRefused):
        assert kind.status < 500
    if issubclass(kind, UpstreamError):
        assert kind.status in (502, 503, 504)
