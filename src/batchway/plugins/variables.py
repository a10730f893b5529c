"""The variables of a request: nginx's and APISIX's names for what is known of it.

Source: nginx, ngx_http_core_module, "Embedded Variables"; apisix/core/ctx.lua.
"""

import re
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import unquote_plus

from batchway.model import Request

Lookup = Callable[[str], str | None]
"""A variable's value by its name; None if it has none."""

_HOST_NAME = socket.gethostname()


def host_name(raw: bytes) -> str:
    """The host of a Host header: in lower case, without the port and the root's dot."""
    host = raw.decode("latin-1").lower()
    if not host.endswith("]") and ":" in host:
        host = host.rpartition(":")[0]
    return host.removesuffix(".")


def argument(query: str, name: str) -> str | None:
    """The decoded value of the first argument of that name; `""` for one without a value."""
    if name not in query and "%" not in query and "+" not in query:
        return None
    for piece in query.split("&"):
        key, _, value = piece.partition("=")
        if (unquote_plus(key) if "%" in key or "+" in key else key) == name:
            return unquote_plus(value)
    return None


def header(request: Request, name: bytes) -> str | None:
    """The value of a header; several are joined as nginx does."""
    values = request.headers.all(name)
    return b", ".join(values).decode("latin-1") if values else None


def _header_in_any_spelling(request: Request, name: bytes) -> str | None:
    """The value of all headers that nginx has under that name: it takes `-` and `_` for one."""
    name = name.replace(b"_", b"-")
    values = [value for one, value in request.headers.pairs if one.replace(b"_", b"-") == name]
    return b", ".join(values).decode("latin-1") if values else None


def cookie(request: Request, name: str) -> str | None:
    """The value of a cookie, as it is spelled."""
    for line in request.headers.all(b"cookie"):
        for piece in line.decode("latin-1").split(";"):
            key, _, value = piece.strip().partition("=")
            if key == name:
                return value
    return None


def request_variable(request: Request, name: str) -> str | None:
    """What `name` stands for in a request alone, whatever route it takes."""
    known = _KNOWN.get(name)
    if known is not None:
        return known(request)
    kind, _, rest = name.partition("_")
    match kind:
        case "arg":
            return argument(request.query, rest)
        case "http":
            return _header_in_any_spelling(request, rest.lower().encode("latin-1", "replace"))
        case "cookie":
            return cookie(request, rest)
    return None


def _request_uri(request: Request) -> str:
    return f"{request.path}?{request.query}" if request.query else request.path


def _host(request: Request) -> str:
    raw = request.headers.get(b"host")
    return host_name(raw if raw is not None else request.origin.host.encode("latin-1"))


def _now_iso8601(_request: Request) -> str:
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


def _now_local(_request: Request) -> str:
    return datetime.now(UTC).astimezone().strftime("%d/%b/%Y:%H:%M:%S %z")


_KNOWN: dict[str, Callable[[Request], str | None]] = {
    "request_uri": _request_uri,
    "request_method": lambda request: request.method,
    "args": lambda request: request.query,
    "query_string": lambda request: request.query,
    "is_args": lambda request: "?" if request.query else "",
    "remote_addr": lambda request: request.origin.client,
    "remote_port": lambda request: _port(request.origin.client_port),
    "server_addr": lambda request: request.origin.address or None,
    "host": _host,
    "server_name": _host,
    "hostname": lambda request: _HOST_NAME,
    "scheme": lambda request: request.origin.scheme,
    "server_port": lambda request: str(request.origin.port),
    "server_protocol": lambda request: "HTTP/1.1",
    "content_type": lambda request: header(request, b"content-type"),
    "content_length": lambda request: _length(request),
    "msec": lambda request: f"{time.time():.3f}",
    "time_iso8601": _now_iso8601,
    "time_local": _now_local,
}


def _port(number: int) -> str | None:
    return str(number) if number else None


def _length(request: Request) -> str | None:
    body = request.body
    length = len(body) if isinstance(body, bytes) else body.length
    return str(length) if length else None


_REFERENCE = re.compile(r"(?<!\\)\$(?:\{\s*+([^{}]+)\}|(\w+))")


def resolve(template: str, lookup: Lookup) -> str:
    """`template` with the values of `$name` and `${name}` in it; `""` for one that has none.

    `${name ?? text}` is the text where there is no value, and a `$` behind a backslash is none of these.
    Source: apisix/core/utils.lua, `resolve_var`.
    """
    if "$" not in template:
        return template
    return _REFERENCE.sub(lambda found: _value(found, lookup) or "", template)


def has_value(template: str, lookup: Lookup) -> bool:
    """Whether any of the variables in `template` has a value, be it the text that stands in for one."""
    return any(_value(found, lookup) is not None for found in _REFERENCE.finditer(template))


def _value(found: re.Match[str], lookup: Lookup) -> str | None:
    if found[2] is not None:
        return lookup(found[2])
    name, mark, instead = found[1].partition("??")
    value = lookup(name.rstrip())
    return instead.strip() if value is None and mark else value
