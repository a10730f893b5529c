"""What docs/declarative.md shows works as it stands there."""

import re
from pathlib import Path

import yaml

from .conftest import StartGateway, StartScripted
from .gateway import merged
from .scripted import each, echo

PAGE = (Path(__file__).parents[2] / "docs" / "declarative.md").read_text()
CONFIG, RESOURCES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_example(start_gateway: StartGateway, scripted: StartScripted) -> None:
    upstream = scripted(each(echo))
    gateway = start_gateway(merged(yaml.safe_load(CONFIG), {"batchway": {"store": None}}), run=False)
    gateway.write_config()
    gateway.config_path.with_name("apisix.yaml").write_text(RESOURCES)
    gateway.environment |= {"ORDERS": "{}:{}".format(*upstream.address), "JACKS_KEY": "1", "JILLS_KEY": "2"}
    gateway.start()

    keys = {"apikey": "1"}, {"apikey": "2"}, {"apikey": "3"}
    items = [{"path": "/orders/1"}, *({"path": "/partners/1", "headers": one} for one in keys)]
    answer = gateway.batch(items, uri="/batch")
    assert [reply["status"] for reply in answer.json()] == [200, 200, 200, 401]
    assert [reply["headers"].get("X-For") for reply in answer.json()] == [
        None,
        "partners",
        "partners",
        None,
    ]
    assert all("X-Request-Id" in reply["headers"] for reply in answer.json())
    assert len(upstream.requests) == 3
    assert gateway.batch([{"path": "/orders/1"}] * 51, uri="/batch").status == 400
