"""What docs/router.md shows is taken as it stands there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from batchway.config.resources import decode_route
from batchway.gateway.conditions import conditions

PAGE = (Path(__file__).parents[2] / "docs" / "router.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.mark.parametrize("document", EXAMPLES, ids=[json.dumps(one)[:40] for one in EXAMPLES])
def test_example(document: dict[str, Any]) -> None:
    decoded = decode_route(document)
    assert (conditions(decoded) is not None) == ("vars" in document or "remote_addrs" in document)


def test_the_examples_hold_as_they_say() -> None:
    android, version = [conditions(decode_route(one)) for one in EXAMPLES if "vars" in one]
    assert android is not None
    assert version is not None
    assert android({"http_user_agent": "Android 4", "arg_age": "19"}.get)
    assert not android({"http_user_agent": "Android 4", "arg_age": "19", "cookie_beta": "no"}.get)
    assert not android({"http_user_agent": "Android 4", "arg_age": "18"}.get)
    assert version({"arg_version": "v2"}.get)
    assert version({"request_method": "POST", "http_x_beta": ""}.get)
    assert not version({"request_method": "POST"}.get)
