"""Real processes: a gateway that most tests share, nginx behind it, and upstreams that misbehave."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .gateway import TRACEBACK, Document, Gateway
from .nginx import Nginx
from .scripted import Behaviour, Scripted

StartGateway = Callable[..., Gateway]
StartScripted = Callable[..., Scripted]
StartNginx = Callable[..., Nginx]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker that only these tests know."""
    config.addinivalue_line("markers", "logs_traceback: the gateway may log a traceback in this test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test in this directory: it starts real servers."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One for all tests that need no configuration of their own. Use `gateway`."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway")).start()
    yield gateway
    assert gateway.stop() == 0, gateway.log()


@pytest.fixture
def gateway(shared_gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """The shared gateway; tests stay apart by the routes that `Gateway.route` makes."""
    before = len(shared_gateway.log())
    yield shared_gateway
    assert shared_gateway.running().poll() is None, shared_gateway.log()
    check_log(shared_gateway.log()[before:], request)


@pytest.fixture
def start_gateway(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartGateway]:
    """Starts a gateway of its own with these changes to its config; it must end with 0."""
    started: list[Gateway] = []

    def start(changes: Document | None = None, *, run: bool = True) -> Gateway:
        directory = tmp_path / f"gateway{len(started)}"
        directory.mkdir()
        gateway = Gateway(directory, changes)
        started.append(gateway)
        return gateway.start() if run else gateway

    yield start
    for gateway in started:
        if gateway.process is not None and gateway.process.poll() is None:
            assert gateway.stop() == 0, gateway.log()
        check_log(gateway.log(), request)


def check_log(log: str, request: pytest.FixtureRequest) -> None:
    """No traceback, unless the test says so; a test of a known bug has enough to fail for."""
    if not any(request.node.get_closest_marker(name) for name in ("logs_traceback", "xfail")):
        _, found, trace = log.partition(TRACEBACK)
        assert not found, trace[:2000]


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """The nginx that tests share: whoever stops or configures it starts another."""
    server = Nginx(tmp_path_factory.mktemp("nginx")).start()
    yield server
    server.stop()


@pytest.fixture
def start_nginx(tmp_path: Path) -> Iterator[StartNginx]:
    """Starts an nginx of its own."""
    started: list[Nginx] = []

    def start(**settings: object) -> Nginx:
        server = Nginx(tmp_path / f"nginx{len(started)}", **settings)  # type: ignore[arg-type] # see Nginx
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def scripted() -> Iterator[StartScripted]:
    """Starts an upstream with that behaviour."""
    started: list[Scripted] = []

    def start(behaviour: Behaviour, **where: object) -> Scripted:
        upstream = Scripted(behaviour, **where)  # type: ignore[arg-type] # host and port
        started.append(upstream)
        return upstream

    yield start
    for upstream in started:
        upstream.stop()


@pytest.fixture
def unique(counter: Iterator[int] = itertools.count(1)) -> str:  # noqa: B008 - one for the session
    """A name that no other test has."""
    return f"u{next(counter)}"
