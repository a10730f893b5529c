"""The radix tree, against a dict."""

from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.gateway.tree import PrefixTree

keys = st.text("abc", max_size=6)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["set", "remove"]), keys, st.integers())), st.lists(keys))
def test_tree_is_like_a_dict(steps: list[tuple[str, str, int]], texts: list[str]) -> None:
    tree: PrefixTree[int] = PrefixTree()
    kept: dict[str, int] = {}
    for what, key, value in steps:
        if what == "set":
            tree.set(key, value)
            kept[key] = value
        else:
            tree.remove(key)
            kept.pop(key, None)
        for text in (key, *texts):
            assert tree.get(text) == kept.get(text)
            wanted = sorted((k for k in kept if text.startswith(k)), key=len, reverse=True)
            assert tree.prefixes(text) == [kept[k] for k in wanted]


def test_tree_of_a_long_key() -> None:
    tree: PrefixTree[int] = PrefixTree()
    for size in range(500):
        tree.set("a" * size, size)
    assert tree.prefixes("a" * 5000) == list(range(499, -1, -1))
    for size in range(500):
        tree.remove("a" * size)
    assert tree.prefixes("a" * 5000) == []
