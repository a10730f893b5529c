"""Files of calls."""

import json

import pytest
from msgspec import Raw

from batchway.cli.failures import BadFile
from batchway.cli.rpc.call_file import FileCall, parse

ONE = [{"jsonrpc": "2.0", "method": "m", "id": 1}]


@pytest.mark.parametrize(
    ("content", "source"),
    [
        (b'[{"method": "m", "id": 1}]', "a.json"),
        (b'\xef\xbb\xbf {"jsonrpc": "2.0", "method": "m", "id": 1}', "standard input"),
        (b"- {method: m, id: 1}", "a.yaml"),
        (b"- method: m\n  id: 1\n", "standard input"),
        (b'[{"method": "m", "id": 1}] # YAML', "a.yml"),
    ],
)
def test_json_and_yaml(content: bytes, source: str) -> None:
    found = parse(content, source)
    assert json.loads(found.body) == ONE
    assert found.calls == [FileCall("m", Raw(b"1"))]


def test_what_is_there_is_sent_as_it_is() -> None:
    found = parse(b'[{"jsonrpc": "1.0", "method": "m", "id": 1.50, "x": 123456789012345678901}]', "a")
    assert found.body == b'[{"jsonrpc":"1.0","method":"m","id":1.50,"x":123456789012345678901}]'


def test_a_call_without_an_id_is_a_notification() -> None:
    found = parse(b'[{"method": "a"}, {"method": "b", "id": 1}]', "a").calls
    assert [call.id for call in found] == [None, Raw(b"1")]


@pytest.mark.parametrize(
    ("content", "source", "complaint"),
    [
        (b"", "a.json", "a.json: nothing in it: expected an array of calls"),
        (b"[]", "a.json", "a.json: no calls: expected an array"),
        (b'[{"method": "m"},', "a.json", "a.json: not JSON: it ends too early"),
        (b'[\n{"method" "m"}]', "a.json", "a.json:2:11: not JSON: expected ':'"),
        (b"[5]", "a.json", "a.json: expected an array of calls"),
        (b"just words", "a", "a: expected an array of calls"),
        (b"a: [", "a.yaml", "a.yaml:2:1: not YAML: "),
        (b"\xff\xfe\xff", "a.yaml", "a.yaml: not YAML"),
        (b"? [1, 2]\n: 3", "a.yaml", "a.yaml:1:3: not YAML: "),
        (b'[{"id": 1}]', "a", 'a: call 1: "method": expected a string'),
        (b'[{"method": "m"}, {"method": 5}]', "a", 'a: call 2: "method": expected a string'),
        (b'[{"method": "m", "id": [1]}]', "a", 'a: call 1: "id": expected a string or a number'),
        (b'[{"method": "m", "id": null}]', "a", 'a: call 1: "id": expected a string or a number; without'),
        (b'[{"method": "m", "id": 1}, {"method": "n", "id": "1"}]', "a", "a: two calls have the id 1"),
        (b'[{"method": "m", "id": 1}, {"method": "n", "id": 1.0}]', "a", "a: two calls have the id 1"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(content: bytes, source: str, complaint: str) -> None:
    with pytest.raises(BadFile) as refused:
        parse(content, source)
    assert refused.value.message.startswith(complaint)
    assert "\n" not in refused.value.message
