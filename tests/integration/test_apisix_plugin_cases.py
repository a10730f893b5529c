"""What APISIX's own tests expect of plugins that shape traffic, retold in apisix/traffic/*.yaml."""

import gzip
from collections.abc import Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from .apisix import fleet
from .apisix.runner import Stage, cases
from .gateway import Document
from .scripted import Received, Scripted, each, ok

_OURS = ("host", "content-length", "accept-encoding")


def app(request: Received) -> bytes:
    """Answers as the server of APISIX's tests does where these plugins are tested. See t/lib/server.lua.

    A header `resp-X` of the request is the answer's X; so are the arguments of `/headers`.
    """
    parts = urlsplit(request.target)
    arguments = parse_qsl(parts.query, keep_blank_values=True)
    made = [(name.lower().removeprefix("resp-"), value) for name, value in request.pairs if _asks(name)]
    status, body = "200 OK", b"hello world\n"
    match unquote(parts.path):
        case "/headers":
            made += arguments
            body = b"/headers\n"
        case "/echo":
            made += [(name, value) for name, value in request.pairs if name.lower() not in _OURS]
            body = request.body
        case "/gzip_hello":
            made.append(("Content-Encoding", "gzip"))
            body = gzip.compress(body)
        case "/plugin_proxy_rewrite":
            made.append(("X-Method", request.method))
            body = f"uri: {parts.path}\nhost: {request.header('host')}\nscheme: http\n".encode()
        case "/plugin_proxy_rewrite_args":
            lines = [f"uri: {parts.path}", *(f"{name}: {value}" for name, value in arguments)]
            body = "\n".join(lines).encode()
        case "/request_id":
            body = (request.header("x-request-id") or "").encode()
        case "/hello" | "/with_header":
            pass
        case path if path.startswith("/line"):
            body = request.target.encode()
        case _:
            return fleet.answer("app", request)
    return ok(body, *(f"{name}: {value}" for name, value in made), status=status)


def _asks(name: str) -> bool:
    return name.lower().startswith("resp-")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("plugin-cases"))
    stage.fleet.servers["app"] = Scripted(each(app))
    yield stage
    stage.close()


@pytest.mark.parametrize(("settings", "steps"), cases("traffic"))
def test_apisix_plugin_case(stage: Stage, settings: Document, steps: list[Document]) -> None:
    stage.play(settings, steps)
