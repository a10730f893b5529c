"""The files of a new service, by name. No I/O."""

import keyword
import sys
from string import Template

from batchway.errors import ConfigError

_TAKEN = frozenset({"batchway", "conftest", "tests", "test", "app"})

_IMPORTED = frozenset({"Procedure", "RpcApp"})
"""Classes that the service itself needs."""

_SERVICE = Template('''"""The procedure "$name", and the app that serves it."""

from batchway.rpc import Procedure, RpcApp, method


class $cls(Procedure):
    """What can be called as $name@..."""

    name = "$name"

    @method
    async def ping(self) -> str:
        """Answers "pong"."""
        return "pong"

    @method
    async def add(self, a: int, b: int = 1) -> int:
        """The sum of two numbers."""
        return a + b


app = RpcApp([$cls], title="$cls")
''')

_TEST = Template("""import pytest

from batchway.rpc import InvalidParams, RpcTestClient
from $name import app


@pytest.fixture
def client():
    with RpcTestClient(app) as client:
        yield client


def test_ping(client):
    assert client.call("$name@ping") == "pong"


def test_params_come_by_position_and_by_name(client):
    assert client.call("$name@add", 2, 3) == 5
    assert client.call("$name@add", a=2) == 3


def test_wrong_params_are_refused(client):
    with pytest.raises(InvalidParams) as refused:
        client.call("$name@add", "two")
    assert "a" in refused.value.data


def test_a_batch(client):
    with client.batch() as batch:
        pong = batch.call("$name@ping")
        total = batch.call("$name@add", 2, 3)
    assert (pong.result, total.result) == ("pong", 5)
""")

CONFTEST = '"""Here so that the tests find the modules beside it."""\n'


def check_name(name: str) -> None:
    """Raises ConfigError if a module of that name would not work."""
    problem = ""
    if not name.isascii() or not name.isidentifier() or name != name.lower() or name.startswith("_"):
        problem = "expected lower-case letters, digits and underscores, such as tennis"
    elif keyword.iskeyword(name) or keyword.issoftkeyword(name) or keyword.iskeyword(_class_name(name)):
        problem = "this is a word of Python's own"
    elif _class_name(name) in _IMPORTED:
        problem = f"its class would be a second {_class_name(name)}"
    elif name in sys.stdlib_module_names or name in _TAKEN or name == "rpc":
        problem = "another module has this name already"
    if problem:
        raise ConfigError(f"{name}: {problem}")


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def files(name: str) -> dict[str, str]:
    """Path and content of each file that a service of that name begins with."""
    words = {"name": name, "cls": _class_name(name)}
    return {
        f"{name}.py": _SERVICE.substitute(words),
        f"tests/test_{name}.py": _TEST.substitute(words),
    }
