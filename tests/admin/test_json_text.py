"""JSON whose whole floats are integers."""

import msgspec
import pytest

from batchway.admin import json_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": [1.0, -2.0, 1e3, 0.0]}', {"a": [1, -2, 1000, 0]}),
        (b'[1.5, 1e300, "1.0"]', [1.5, 1e300, "1.0"]),
        (b"9007199254740993", 2**53 + 1),
    ],
)
def test_whole_floats_are_integers(text: bytes, value: object) -> None:
    found = json_text.decode(text)
    assert msgspec.json.encode(found) == msgspec.json.encode(value)


@pytest.mark.parametrize("text", [b"1e400", b'{"a": [-1e400]}', b"NaN", b"{"])
def test_what_is_no_json(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        json_text.decode(text)
