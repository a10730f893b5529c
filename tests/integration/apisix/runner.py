"""Replays scenarios: writes to the Admin API, requests, and what has to come of them. See README.md."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

import pytest
import yaml

from batchway.admin.kinds import KINDS
from tests.integration.gateway import TRACEBACK, Document, Gateway
from tests.integration.tls import TlsUpstream
from tests.integration.wire import Answer, Headers, fetch

from .fleet import Fleet

HERE = Path(__file__).parent
WRITES = ("put", "post", "patch", "delete", "get")
REQUESTS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE")
ITEM_METHODS = ("GET", "POST")
METRICS = "/apisix/prometheus/metrics"
LOOKED_AT = frozenset(
    "body gives says with times within_s headers text has without matches header like all lacks at_once "
    "statuses tally kinds remember moved_from tried order tries control metrics "
    "dns ttl_s dns_asked seen sni".split()
)
"""What a step may say besides what to do: a word that nobody looks at would check nothing."""
_NAME = re.compile(r"@([\w.]+)")


def cases(folder: str) -> list[Any]:
    """The cases of that folder, as parameters `settings` and `steps`."""
    return [
        pytest.param(told.get("settings", {}), case["steps"], id=f"{path.stem}: {case['case']}")
        for path in sorted((HERE / folder).glob("*.yaml"))
        for told in [yaml.safe_load(path.read_text())]
        for case in told["cases"]
    ]


class Send(Protocol):
    """A way of asking the gateway."""

    def __call__(
        self, gateway: Gateway, method: str, target: str, headers: Headers, body: str | None
    ) -> Answer: ...


def by_wire(gateway: Gateway, method: str, target: str, headers: Headers, body: str | None) -> Answer:
    """The answer to a request."""
    return gateway.fetch(target, method, body, headers)


def by_batch(gateway: Gateway, method: str, target: str, headers: Headers, body: str | None) -> Answer:
    """The answer to an item of a batch, as if it had come by itself; not every method can be one."""
    if method not in ITEM_METHODS:
        return by_wire(gateway, method, target, headers, body)
    path, _, query = target.partition("?")
    item: Document = {"method": method, "path": path, "headers": dict(headers)}
    item |= {"query": dict(parse_qsl(query))} if query else {}
    reply = gateway.reply(item if body is None else item | {"body": body})
    return Answer(reply["status"], reply["reason"], list(reply["headers"].items()), reply["body"].encode())


class Stage:
    """The servers, and a gateway before them that is started anew for other settings."""

    def __init__(self, directory: Path) -> None:
        self.fleet = Fleet()
        self._directory = directory
        self._settings: Document | None = None
        self._gateway: Gateway | None = None
        self.ca_file = directory / "ca.pem"
        self.fleet.authority.cert_pem.write_to_path(self.ca_file)

    def close(self) -> None:
        """End all of them. Raises if the gateway had a fault."""
        try:
            self._stop()
        finally:
            self.fleet.__exit__()

    def _stop(self) -> None:
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            assert gateway.stop() == 0, gateway.log()
            assert TRACEBACK not in gateway.log()

    def play(self, settings: Document, steps: list[Document], send: Send = by_wire) -> None:
        """Take these steps with an empty gateway that has these settings."""
        gateway = self._ready(settings)
        for server in self.fleet.servers.values():
            server.requests.clear()
        remembered: dict[str, list[str]] = {}
        for step in steps:
            Step(filled(step, self.fleet), gateway, self.fleet, remembered, send).take()

    def _ready(self, settings: Document) -> Gateway:
        if self._gateway is None or settings != self._settings:
            self._stop()
            directory = self._directory / f"gateway{len(list(self._directory.iterdir()))}"
            directory.mkdir()
            self._settings = settings
            self._gateway = Gateway(directory, self._filled_settings(settings)).start()
        empty(self._gateway)
        return self._gateway

    def _filled_settings(self, settings: Document) -> Document:
        text = json.dumps(settings).replace("@dns", self.fleet.dns.server).replace("@ca", str(self.ca_file))
        return dict(json.loads(text))


def empty(gateway: Gateway) -> None:
    """Delete all that is stored."""
    for kind in KINDS.values():
        if not kind.parent:
            for node in gateway.admin("GET", f"/{kind.name}").json()["list"]:
                path = node["key"].removeprefix("/apisix/")
                gateway.delete(*f"{path}?force=true".split("/", 1))


def filled(part: Any, fleet: Fleet) -> Any:
    """With the ports of the servers in place of their names, and certificates in place of theirs."""
    match part:
        case dict():
            return {filled(key, fleet): filled(value, fleet) for key, value in part.items()}
        case list():
            return [filled(one, fleet) for one in part]
        case "@certificate" | "@stranger":
            return fleet.certificate(known=part == "@certificate")
        case str() if found := _NAME.fullmatch(part):
            return fleet.port(found[1])
        case str():
            return _NAME.sub(lambda found: str(fleet.port(found[1])), part)
    return part


class Step:
    """One step of a case."""

    def __init__(
        self,
        step: Document,
        gateway: Gateway,
        fleet: Fleet,
        remembered: dict[str, list[str]],
        send: Send,
    ) -> None:
        """`remembered`: the bodies that earlier steps of the case have had, by the names they gave them."""
        self._step = step
        self._remembered = remembered
        self._send = send
        self._gateway = gateway
        self._fleet = fleet
        self._where = str(step)[:500]
        unknown = step.keys() - LOOKED_AT - {*WRITES, *REQUESTS}
        assert not unknown, f"{unknown} at {self._where}"

    def take(self) -> None:
        """Do it and check what comes of it; where it says so, again until it is so."""
        step = self._step
        if "dns" in step:
            self._fleet.dns.names |= step["dns"]
            if "ttl_s" in step:
                self._fleet.dns.ttls_s |= dict.fromkeys(step["dns"], step["ttl_s"])
        elif "dns_asked" in step:
            asked = {name: self._fleet.dns.asked(name) for name in step["dns_asked"]}
            assert asked == step["dns_asked"], self._where
        elif "sni" in step:
            self._check_sni()
        elif "seen" in step:
            self._patiently(self._check_seen)
        elif "control" in step:
            self._patiently(self._ask_control)
        elif "metrics" in step:
            self._patiently(self._ask_metrics)
        elif any(name in step for name in WRITES):
            self._patiently(self._write)
        else:
            self._patiently(self._request)

    def _patiently(self, check: Callable[[], None]) -> None:
        give_up = time.monotonic() + self._step.get("within_s", 0)
        while True:
            try:
                return check()
            except AssertionError:
                if time.monotonic() >= give_up:
                    raise
            time.sleep(0.02)

    # --- the Admin API

    def _write(self) -> None:
        step = self._step
        method = next(name for name in WRITES if name in step)
        for number in range(1, step.get("times", 1) + 1):
            path = step[method].replace("{n}", str(number))
            body = json.loads(json.dumps(step.get("body")).replace("{n}", str(number)))
            answer = self._gateway.admin(method.upper(), f"/{path}", body)
            assert answer.status in _wanted(step, (200, 201)), f"{answer} to {self._where}"
            self._check_document(answer)

    def _ask_control(self) -> None:
        answer = fetch(self._gateway.control, "GET", self._step["control"])
        assert answer.status == self._step.get("gives", 200), f"{answer} to {self._where}"
        self._check_document(answer)

    def _ask_metrics(self) -> None:
        told = fetch(self._gateway.metrics, "GET", METRICS).body.decode()
        for sample in self._step["metrics"]:
            assert re.search(f"^{sample}$", told, re.MULTILINE), f"{sample} in {told}"

    def _check_document(self, answer: Answer) -> None:
        step = self._step
        if "says" in step:
            assert step["says"] in answer.json()["error_msg"], f"{answer} to {self._where}"
        if "with" in step:
            assert has(answer.json(), step["with"]), f"{answer.json()} to {self._where}"

    # --- the data plane

    def _request(self) -> None:
        step = self._step
        method = next(name for name in REQUESTS if name in step)
        accepted = {name: server.accepted for name, server in self._fleet.servers.items()}
        self._fleet.tried.clear()
        times = range(1, step.get("times", 1) + 1)

        def send(number: int) -> Answer:
            headers = {
                name: value.replace("{n}", str(number)) for name, value in step.get("headers", {}).items()
            }
            target = step[method].replace("{n}", str(number))
            return self._send(self._gateway, method, target, headers, step.get("body"))

        with ThreadPoolExecutor(len(times) if "at_once" in step else 1) as pool:
            answers = list(pool.map(send, times))
        self._check(answers)
        self._check_tries(accepted)
        self._compare([answer.body.decode(errors="replace") for answer in answers])

    def _check(self, answers: list[Answer]) -> None:
        step = self._step
        shown = f"{answers[:3]} to {self._where}"
        if "statuses" in step:
            assert [answer.status for answer in answers] == step["statuses"], shown
        else:
            assert all(answer.status in _wanted(step, (200,)) for answer in answers), shown
        if "tally" in step:
            assert Counter(one.body.decode().strip() for one in answers) == step["tally"], shown
        if "kinds" in step:
            assert len({answer.body for answer in answers}) == step["kinds"], shown
        for answer in answers:
            self._check_answer(answer, shown)

    def _compare(self, bodies: list[str]) -> None:
        step = self._step
        if "remember" in step:
            self._remembered[step["remember"]] = bodies
        for name, left in step.get("moved_from", {}).items():
            for before, now in zip(self._remembered[name], bodies, strict=True):
                assert (before != now) == (before == left), f"from {before} to {now} at {self._where}"

    def _check_answer(self, answer: Answer, shown: str) -> None:
        step = self._step
        body = answer.body.decode(errors="replace")
        if "text" in step:
            assert body.strip() == step["text"].strip(), shown
        for part in _listed(step.get("has", [])):
            assert part in body, shown
        for part in _listed(step.get("without", [])):
            assert part not in body, shown
        assert re.search(step.get("matches", ""), body), shown
        for name, value in step.get("header", {}).items():
            assert answer.header(name) == value, shown
        for name, pattern in step.get("like", {}).items():
            assert re.search(pattern, answer.header(name) or ""), shown
        for name, values in step.get("all", {}).items():
            assert answer.all(name) == values, shown
        for name in step.get("lacks", []):
            assert not answer.all(name), shown

    # --- the servers

    def _check_tries(self, before: dict[str, int]) -> None:
        step, fleet = self._step, self._fleet
        if "tried" in step:
            tried = {name: server.accepted - before[name] for name, server in fleet.servers.items()}
            assert {name: count for name, count in tried.items() if count} == step["tried"], self._where
        if "order" in step:
            assert fleet.tried == step["order"], self._where
        if "tries" in step:
            assert len(fleet.tried) == step["tries"], f"{fleet.tried} at {self._where}"

    def _check_sni(self) -> None:
        for name, wanted in self._step["sni"].items():
            server = self._fleet.servers[name]
            assert isinstance(server, TlsUpstream)
            assert server.names[-len(wanted) :] == wanted, f"{server.names} at {self._where}"

    def _check_seen(self) -> None:
        for name, wanted in self._step["seen"].items():
            requests = self._fleet.servers[name].requests
            found = [one for one in requests if one.target == wanted["target"]]
            hosts = {one.header("host") for one in found}
            assert wanted["host"] in hosts, f"{hosts} at {self._where}"


def _wanted(step: Document, usual: tuple[int, ...]) -> tuple[int, ...]:
    gives = step.get("gives", usual)
    return (gives,) if isinstance(gives, int) else tuple(gives)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def has(document: Any, part: Any) -> bool:
    """Whether `document` says all that `part` says; lists in any order."""
    if isinstance(part, dict):
        return isinstance(document, dict) and all(
            name in document and has(document[name], inner) for name, inner in part.items()
        )
    if isinstance(part, list):
        return len(document) == len(part) and all(
            any(has(one, inner) for one in document) for inner in part
        )
    return bool(document == part)
