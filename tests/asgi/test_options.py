"""What may be set, and what a wrong setting says."""

from typing import Any

import pytest

from batchway.asgi import BatchEndpoint, BatchMiddleware, Limits
from batchway.asgi.options import LimitOptions
from batchway.errors import ConfigError

from .client import Client, echo, run


def test_every_limit_has_a_keyword() -> None:
    assert tuple(LimitOptions.__annotations__) == Limits.__struct_fields__


def test_a_keyword_stands_over_limits() -> None:
    limits = Limits(max_pipeline_items=2, concurrency=3)
    endpoint = BatchEndpoint(echo, limits=limits, concurrency=7)
    assert endpoint.settings.limits == Limits(max_pipeline_items=2, concurrency=7)


def test_limits_hold() -> None:
    async def main() -> None:
        app = BatchMiddleware(echo, max_pipeline_items=1, max_body_size=60)
        two = b'{"pipeline":[{"path":"/"},{"path":"/"}]}'
        answer = await Client(app).request("POST", "/batch", two)
        assert (answer.status, answer.json()["error_msg"][:26]) == (400, "too many pipeline requests")
        for pieces in (1, 3):
            answer = await Client(app).request("POST", "/batch", b" " * 61, pieces=pieces)
            assert answer.status == 413

    run(main())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"limits": Limits(timeout=-1)}, "timeout"),
        ({"limits": {"timeout": 1}}, "limits"),
        ({"max_reply_size": "1"}, "max_reply_size"),
        ({"max_pipeline_itmes": 1}, "max_pipeline_itmes"),
        ({"max_calls": 0}, "max_calls"),
        ({"background_grace_s": -1}, "background_grace_s"),
        ({"protected": "x-remote-user"}, "protected"),
        ({"protected": ["x remote user"]}, "protected"),
        ({"protected": [1]}, "protected"),
    ],
)
@pytest.mark.parametrize("kind", [BatchEndpoint, BatchMiddleware])
def test_a_wrong_option_is_named(kind: Any, options: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        kind(echo, **options)
