from typing import Any
from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from batchway.formats import query

SCALAR: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.text(max_size=8)
)
ARGUMENTS = st.dictionaries(
    st.text(min_size=1, max_size=5), SCALAR | st.lists(SCALAR, max_size=3), max_size=4
)


def meant(arguments: dict[str, Any]) -> list[tuple[str, str]]:
    """What an upstream that decodes the query has to find."""
    found = []
    for name, value in arguments.items():
        for one in value if isinstance(value, list) else [value]:
            if one is True:
                found.append((name, ""))
            elif one is not None and one is not False:
                found.append((name, str(one)))
    return found


@given(ARGUMENTS, ARGUMENTS)
def test_upstream_finds_what_was_meant(own: dict[str, Any], common: dict[str, Any]) -> None:
    written = query.combine("", own, common)
    inherited = {name: value for name, value in common.items() if name not in own}
    assert parse_qsl(written, keep_blank_values=True, strict_parsing=False) == meant(own) + meant(inherited)


@given(st.lists(st.sampled_from(["a=1", "b", "c=%20", "a", "%61=2", "=x", "d=e=f"]), min_size=1), ARGUMENTS)
def test_arguments_in_the_path_stay_unless_the_item_names_them(
    parts: list[str], own: dict[str, Any]
) -> None:
    own = {**own, "a": "item"}
    kept = [
        part for part in parts if part not in ("a=1", "a", "%61=2") and part.partition("=")[0] not in own
    ]
    written = query.combine("&".join(parts), own, {"b": "batch", "zz": "batch"}).split("&")
    assert written[: len(kept)] == kept
    assert written.count("a=item") == 1
    assert ("b=batch" in written) == ("b" not in parts and "b" not in own)
    assert ("zz=batch" in written) == ("zz" not in own)
