"""What APISIX's own tests expect of its router (`t/router/*.t`), retold in apisix/router/*.yaml."""

from collections.abc import Iterator

import pytest

from .apisix.runner import Send, Stage, by_batch, by_wire, cases
from .gateway import Document


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("router-cases"))
    yield stage
    stage.close()


@pytest.mark.parametrize("send", [by_wire, by_batch])
@pytest.mark.parametrize(("settings", "steps"), cases("router"))
def test_apisix_router_case(stage: Stage, settings: Document, steps: list[Document], send: Send) -> None:
    """An item of a batch finds its route as a request by itself does."""
    stage.play(settings, steps, send)
