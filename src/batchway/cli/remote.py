"""A gateway's resources, by its Admin API."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import quote

import click
import msgspec

from batchway.admin.kinds import KINDS, locate
from batchway.cli.failures import NoAnswer
from batchway.cli.holder import Change, Held, NotWritten
from batchway.cli.post import Endpoint, parse_url
from batchway.errors import InvalidResource
from batchway.plugins import Plugin, Registry

TIMEOUT_S = 60.0
PREFIX = "/apisix/admin"
_WITH_KEYS = frozenset({"consumers", "credentials"})
"""Which nobody else may have. Nothing names these kinds."""
_MAX_ANSWER_BYTES = 1 << 30
_HINTS = {
    401: ": check --key",
    403: ": ask from an address in deployment.admin.allow_admin",
    404: ": is this an Admin API? Check --admin",
}


class RemoteGateway:
    """A gateway with an Admin API. Made by `at`."""

    def __init__(self, endpoint: Endpoint, key: str, connection: HTTPConnection) -> None:
        self._endpoint = endpoint
        self._key = key
        self._connection = connection
        self.plugins = _RemotePlugins(self._get("/plugins/list"))

    @classmethod
    @contextmanager
    def at(cls, url: str, key: str) -> Iterator["RemoteGateway"]:
        """The gateway whose Admin API is at `url`. Raises UsageError, NoAnswer."""
        try:
            endpoint = parse_url(url)
        except ValueError:
            message = "--admin: expected a URL such as http://127.0.0.1:9180"
            raise click.UsageError(message) from None
        target = endpoint.target.rstrip("/").removesuffix(PREFIX)
        endpoint = msgspec.structs.replace(endpoint, target=target + PREFIX)
        with closing(endpoint.connection(TIMEOUT_S)) as connection:
            yield cls(endpoint, key, connection)

    def __str__(self) -> str:
        return str(self._endpoint)

    def read(self) -> Held:
        """See Holder."""
        found = []
        for kind in KINDS.values():
            if not kind.parent:
                found += self._list(f"/{kind.name}")
        for place, _ in list(found):
            if place.kind.name == "consumers":
                found += self._list(f"{place.key}/credentials")
        return found

    def _list(self, path: str) -> Held:
        nodes = self._get(path)["list"]
        places = [(locate(node["key"].removeprefix("/apisix")), node["value"]) for node in nodes]
        return [(place, document) for place, document in places if place is not None]

    def check_writable(self) -> None:
        """See Holder."""

    def write(self, changes: Iterable[Change], done: Callable[[], None]) -> None:
        """See Holder. Of consumers and what they hold, those that go do so first."""
        for change in sorted(changes, key=_comes_later):
            place, document = change.place, change.document
            path = "/".join(quote(step, safe="") for step in place.key.split("/"))
            if document is None:
                status, answer = self._ask("DELETE", path + "?force=true")
            else:
                path += "?force=true" if change.forced else ""
                status, answer = self._ask("PUT", path, json.dumps(document).encode())
            if status >= 400 and not (document is None and status == 404):
                raise NotWritten(place, _why(status, answer))
            done()

    # --- HTTP

    def _get(self, path: str) -> Any:
        status, answer = self._ask("GET", path)
        if status != 200:
            raise NoAnswer(f"{self._endpoint}{path}: {_why(status, answer)}{_HINTS.get(status, '')}")
        return answer

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
        headers = {"X-API-KEY": self._key, "Content-Type": "application/json"}
        try:
            self._connection.request(method, self._endpoint.target + path, body, headers)
            with self._connection.getresponse() as response:
                content = response.read(_MAX_ANSWER_BYTES)
            return response.status, msgspec.json.decode(content) if content else None
        except (OSError, HTTPException) as error:
            self._connection.close()
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NoAnswer(f"{self._endpoint}: {why}: check --admin") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NoAnswer(f"{self._endpoint}: what answers there is no Admin API: check --admin") from None


def _comes_later(change: Change) -> bool:
    return change.document is not None or change.place.kind.name not in _WITH_KEYS


def _why(status: int, answer: Any) -> str:
    said = answer if isinstance(answer, dict) else {}
    words = [str(said[name]) for name in ("error_msg", "description", "message") if name in said]
    return f"{status}: {': '.join(words)}" if words else str(status)


class _RemotePlugins:
    """The plugins of another gateway: those that are not here are left to it to judge."""

    def __init__(self, names: Any) -> None:
        self._there = frozenset(names)
        self._here = Registry()
        self.plugins: Mapping[str, type[Plugin]] = self._here.plugins

    def check_plugin(self, name: str, config: object, *, consumer: bool = False) -> object:
        """Raises InvalidResource."""
        return None if self._is_strange(name) else self._here.check_plugin(name, config, consumer=consumer)

    def check_metadata(self, name: str, document: object) -> object:
        """Raises InvalidResource."""
        return None if self._is_strange(name) else self._here.check_metadata(name, document)

    def _is_strange(self, name: str) -> bool:
        if name not in self._there:
            message = f"unknown plugin [{name}]: that gateway does not have it"
            raise InvalidResource(message)
        return name not in self.plugins
