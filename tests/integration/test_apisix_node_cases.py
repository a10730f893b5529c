"""What APISIX's own tests expect of nodes (`t/node/*.t`), retold in apisix/node/*.yaml."""

from collections.abc import Iterator

import pytest

from .apisix.runner import Stage, cases
from .gateway import Document


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("node-cases"))
    yield stage
    stage.close()


@pytest.mark.parametrize(("settings", "steps"), cases("node"))
def test_apisix_node_case(stage: Stage, settings: Document, steps: list[Document]) -> None:
    stage.play(settings, steps)
