"""The scope of an item: what it shares with the request that carried it, and what is its own.

Source: ASGI, HTTP & WebSocket protocol 2.5, "HTTP connection scope".
"""

import copy
from collections.abc import Collection
from urllib.parse import unquote

from batchway.errors import MethodRefused, NestedBatch, RouteNotFound
from batchway.model import Request
from batchway.wire import Scope

ITEM = "batchway.item"
"""Key in the scope of an item: the budget of its batch."""

_NEVER_CALLED = frozenset({"CONNECT", "TRACE"})
# What frameworks note about the one request that a scope stands for; each item is another one.
_NOTES = ("starlette.", "fastapi.", "fastapi_")
# What the way through a router to this endpoint has left; an item has that way still to go.
_ROUTED = ("endpoint", "fastapi", "path_params", "route", "router")
# What a request may change without others seeing it, so that each item needs its own.
_COPIED = ("fastapi", "path_params", "state")
# `send` of a call takes start and body only. Others, `tls` say, tell of the connection: they hold.
_SEND_EXTENSION = "http.response."


def route_path(scope: Scope) -> str:
    """The path that an app is asked for: `path` without the `root_path` that it begins with.

    A path that does not is taken as it is, since some servers and proxies leave `root_path` out of it.
    """
    path: str = scope["path"]
    root = _root(scope)
    return path[len(root) :] if root and _is_under(path, root) else path


def _root(scope: Scope) -> str:
    root: str = scope.get("root_path", "")
    return root.rstrip("/")


def _is_under(path: str, root: str) -> bool:
    return path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/")


class Scopes:
    """Makes the scopes of one batch's items. All that they share is derived once."""

    def __init__(self, outer: Scope, *, protected: Collection[str], routed: bool) -> None:
        """`routed`: a router of the app itself has led `outer` here, and will lead the items."""
        base = {key: value for key, value in outer.items() if not key.startswith(_NOTES)}
        if routed:
            _unroute(base)
        # A call behaves as ASGI 2.4 asks: `send` raises OSError when nobody is left to hear it.
        base["asgi"] = {"version": "3.0", "spec_version": "2.4"}
        if base.get("extensions"):
            base["extensions"] = {
                name: value
                for name, value in base["extensions"].items()
                if not name.startswith(_SEND_EXTENSION)
            }
        self._base = base
        self._copied = [key for key in _COPIED if key in base]
        self._own_path = route_path(base)
        root = _root(base)
        self._root = root if _is_under(base["path"], root) else ""
        self._protected = frozenset(name.encode("ascii") for name in protected)
        self._imposed = [pair for pair in outer["headers"] if protected and self._is_protected(pair[0])]

    def make(self, request: Request, body_size: int) -> Scope:
        """The scope of `request`, a mapping that nothing else holds.

        Raises NestedBatch for the path of the batch itself, RouteNotFound for a path beyond the
        `root_path` that the batch was sent under, MethodRefused for CONNECT and TRACE.
        """
        if request.method in _NEVER_CALLED:
            message = f"method {request.method} is not allowed"
            raise MethodRefused(message)
        scope: Scope = {
            **self._base,
            "method": request.method,
            "path": unquote(request.path),
            "raw_path": request.path.encode("ascii"),
            "query_string": request.query.encode("ascii"),
            "headers": self._headers(request, body_size),
            ITEM: request.batch,
        }
        for key in self._copied:
            scope[key] = copy.copy(scope[key])
        if not _is_under(scope["path"], self._root):
            message = f'404 the path is not under "{self._root}", the root path of this app'
            raise RouteNotFound(message)
        if route_path(scope) == self._own_path:
            message = "a batch inside a batch is refused"
            raise NestedBatch(message)
        return scope

    def _headers(self, request: Request, body_size: int) -> list[tuple[bytes, bytes]]:
        headers = list(request.headers.pairs)
        if self._protected:
            headers = [pair for pair in headers if not self._is_protected(pair[0])] + self._imposed
        if body_size:
            headers.append((b"content-length", b"%d" % body_size))
        return headers

    def _is_protected(self, name: bytes) -> bool:
        return name.replace(b"_", b"-") in self._protected


def _unroute(scope: Scope) -> None:
    """Make `scope` what it was before the app's router led it here.

    A Mount has added its own path to `root_path`; what that was before is in `app_root_path`.
    """
    for key in _ROUTED:
        scope.pop(key, None)
    if route_path(scope) in ("", "/") and "app_root_path" in scope:
        scope["root_path"] = scope.pop("app_root_path")
