"""What may stand in a header, and changes to headers as configs write them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchway.plugins.header_changes import header_changes
from batchway.plugins.names import HeaderName, check_headers, check_value, clean_value


@pytest.mark.parametrize("name", ["X-A", "a", "x_y", "!#$%&'*+.^_`|~09AZaz-"])
def test_names(name: str) -> None:
    assert msgspec.convert(name, HeaderName) == name


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "a\n", "ü", "a" * 257, "(x)"])
def test_no_names(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, HeaderName)


@pytest.mark.parametrize(
    "name", ["Content-Length", "transfer-encoding", "CONNECTION", "Proxy-Connection", "content_length"]
)
def test_framing_is_batchways(name: str) -> None:
    with pytest.raises(ValueError, match="written by batchway alone"):
        check_headers([name], "here")
    check_headers({"Content-Type": ""}, "here")
    check_headers(None, "here")


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\n", "\0", "a\x7f", "grüezi"])
def test_no_values(value: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        check_value(value, "here")


@given(st.text() | st.binary().map(lambda raw: raw.decode(errors="surrogateescape")))
def test_no_value_of_a_request_ends_a_line(value: str) -> None:
    try:
        cleaned = clean_value(value)
    except UnicodeEncodeError:
        assert any("\ud800" <= character <= "\udfff" for character in value)  # no bytes make such text
        return
    assert not any(byte in cleaned for byte in b"\r\n\0\x7f")


@given(st.binary())
def test_bytes_of_a_header_stay_what_they_are(raw: bytes) -> None:
    legal = bytes(byte for byte in raw if byte == 9 or 32 <= byte != 127)
    assert clean_value(raw.decode("latin-1")) == legal


# --- changes


def test_names_and_values_alone_are_set() -> None:
    changes = header_changes({"X-A": 1, "X-B": "b", "add": "c"})
    assert changes.set == {"X-A": 1, "X-B": "b", "add": "c"}
    assert (changes.added(), changes.remove) == ([], ())


def test_all_three() -> None:
    changes = header_changes({"add": {"A": 1.5}, "set": {"B": "$uri"}, "remove": ["C"]})
    assert (changes.added(), changes.set, changes.remove) == ([("A", "1.5")], {"B": "$uri"}, ("C",))
    assert header_changes({"add": ["A: b:c", "D:"]}).added() == [("A", "b:c"), ("D", "")]
    assert header_changes(None).set == {}


@pytest.mark.parametrize(
    "document",
    [
        {"X-A": []},
        {"X-A": True},
        {"": "a"},
        {"a b": "c"},
        {"X-A": "b\nc"},
        {"X-A\r\n": "b"},
        {"set": {"X-A": {}}},
        {"set": {"Content-Length": "1"}},
        {"add": {"Transfer-Encoding": "chunked"}},
        {"add": ["Content-Length: 1"]},
        {"add": ["no colon"]},
        {"add": ["nocolon"]},
        {"add": ["a b: c"]},
        {"add": [": c"]},
        {"add": ["a: b\r\nc: d"]},
        {"remove": ["Connection"]},
        {"remove": [""]},
        {"remove": "X-A", "set": {}},
        {"set": {}, "other": {}},
    ],
)
def test_wrong_changes(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="headers"):
        header_changes(document)
