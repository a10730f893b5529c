"""Whose credential it is, whatever comes and goes in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from batchway.config import resources
from batchway.gateway.consumers import Consumers, Held
from batchway.plugins.base import Empty

NAMES = ("jack", "anna")
KEYS = ("1", "2")
STEPS = st.tuples(
    st.sampled_from(["put", "remove", "put_credential", "remove_credential"]),
    st.sampled_from(NAMES),
    st.sampled_from(["c", "d"]),
    st.sampled_from([(), *((key,) for key in KEYS)]),
)


def held(keys: tuple[str, ...]) -> Held:
    return {"key-auth": (keys[0], Empty())} if keys else {}


@given(st.lists(STEPS, max_size=20))
def test_found_is_what_is_there(steps: list[tuple[str, str, str, tuple[str, ...]]]) -> None:
    consumers, known = Consumers(), set[str]()
    there: dict[tuple[str, str], tuple[str, ...]] = {}
    for what, name, id_, keys in steps:
        match what:
            case "put":
                consumers.put(resources.Consumer(username=name), held(keys), {})
                known.add(name)
                there[name, ""] = keys
            case "remove":
                consumers.remove(name)
                known.discard(name)
                there.pop((name, ""), None)
            case "put_credential":
                consumers.put_credential(name, id_, held(keys))
                there[name, id_] = keys
            case _:
                consumers.remove_credential(name, id_)
                there.pop((name, id_), None)
        for key in KEYS:
            owners = {of for (of, _), keys_ in there.items() if key in keys_ and of in known}
            found = consumers.find("key-auth", key)
            assert found.consumer.username in owners if found else not owners
            assert found is None or found.consumer is consumers.get(found.consumer.username)
    expected = sum(len(keys) for (of, _), keys in there.items() if of in known)
    assert len(consumers.all("key-auth")) == expected
    assert all(consumers._index.values()), "nothing empty is kept"
