import asyncio
from collections.abc import Iterator

import pytest

from tests.loops import LOOPS, running


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Over asyncio's loop, with a clock that can be put forward."""
    with running() as runner:
        yield runner


@pytest.fixture(params=LOOPS)
def each_loop(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Over asyncio's loop, then over uvloop's."""
    with running(request.param) as runner:
        yield runner
