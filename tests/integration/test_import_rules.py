"""`batchway import` while requests come: what global rules do is missing for none of them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .conftest import StartGateway
from .gateway import Gateway
from .waiting import wait
from .wire import Answer, fetch

EXCHANGED = """\
global_rules:
- {id: "1", plugins: {cors: {}}}
- {id: "2", plugins: {request-id: {}}}
"""


@contextmanager
def requests(gateway: Gateway) -> Iterator[list[Answer]]:
    """Answers, as they come, to requests with an Origin."""
    answers: list[Answer] = []
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            answers.append(fetch(gateway.data, "GET", "/", headers={"Origin": "http://a.test"}))

    client = threading.Thread(target=send)
    client.start()
    try:
        yield answers
    finally:
        stop.set()
        client.join()


@pytest.mark.parametrize(("workers", "is_remote"), [(1, True), (2, False)])
def test_no_request_goes_without(start_gateway: StartGateway, workers: int, *, is_remote: bool) -> None:
    gateway = start_gateway({"batchway": {"workers": workers}})
    for id_, name in (("1", "request-id"), ("2", "cors")):
        gateway.put("global_rules", id_, {"plugins": {name: {}}})
    where = ["--admin", gateway.admin_url, "--key", gateway.key] if is_remote else []
    command = [sys.executable, "-m", "batchway", "import", "--yes", *where, "-"]
    with requests(gateway) as answers:
        done = subprocess.run(
            command, input=EXCHANGED, capture_output=True, text=True, cwd=gateway.directory, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        seen = len(answers)
        wait(lambda: len(answers) > seen + 5, "answers")
    assert all(
        answer.all("x-request-id") and answer.all("access-control-allow-origin") for answer in answers
    )
    found = gateway.admin("GET", "/global_rules").json()["list"]
    rules = {node["value"]["id"]: list(node["value"]["plugins"]) for node in found}
    assert rules == {"1": ["cors"], "2": ["request-id"]}
