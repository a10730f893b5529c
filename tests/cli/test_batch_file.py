import json
from typing import Any

import pytest

from batchway.cli import batch_file
from batchway.cli.failures import BadFile


def parse(content: bytes, timeout_ms: int | None = None) -> batch_file.Batch:
    return batch_file.parse(content, "batch.json", timeout_ms)


def complaint(content: bytes) -> str:
    with pytest.raises(BadFile) as caught:
        parse(content)
    assert "\n" not in caught.value.message
    return caught.value.message


A, B = {"path": "/a"}, {"path": "/b", "method": "POST", "body": "x"}


@pytest.mark.parametrize(
    "content",
    [
        b'{"pipeline": [{"path": "/a"}, {"path": "/b", "method": "POST", "body": "x"}]}',
        b'[{"path": "/a"}, {"path": "/b", "method": "POST", "body": "x"}]',
        b'[\n  {"path": "/a"},\n  {"path": "/b", "method": "POST", "body": "x"}\n]\n',
        b'{"path": "/a"}\n{"path": "/b", "method": "POST", "body": "x"}',
        b'\n{"path": "/a"}\r\n\r\n  {"path": "/b", "method": "POST", "body": "x"} \r\n\n',
        b'\xef\xbb\xbf[{"path": "/a"}, {"path": "/b", "method": "POST", "body": "x"}]',
    ],
    ids=["batch", "array", "array over lines", "lines", "blank lines and CRLF", "byte order mark"],
)
def test_every_way_to_write_a_batch_is_the_same_batch(content: bytes) -> None:
    batch = parse(content)
    assert json.loads(batch.body) == {"pipeline": [A, B]}
    assert batch.labels == ["GET /a", "POST /b"]


@pytest.mark.parametrize("content", [b'{"path": "/a"}', b'{\n  "path": "/a"\n}\n'])
def test_one_item_is_a_batch_of_one(content: bytes) -> None:
    assert json.loads(parse(content).body) == {"pipeline": [A]}


def test_whole_batch_is_sent_byte_for_byte() -> None:
    content = b' {"timeout": 1.50,\n "pipeline" : [{"path": "\\u002fa"}], "x": 12345678901234567890123 }\n'
    assert parse(content).body == content


@pytest.mark.parametrize(
    "content", [b'[{"path": "\\u002fa", "n": 1.50}]', b'{"path": "\\u002fa", "n": 1.50}']
)
def test_items_are_sent_byte_for_byte(content: bytes) -> None:
    assert b'{"path": "\\u002fa", "n": 1.50}' in parse(content).body


@pytest.mark.parametrize(
    ("content", "timeout_ms"),
    [
        (b'{"pipeline": [{"path": "/a"}], "timeout": 500}', 500),
        (b'{"pipeline": [{"path": "/a"}], "timeout": true}', None),
        (b'{"pipeline": [{"path": "/a"}], "timeout": "500"}', None),
        (b'{"pipeline": [{"path": "/a"}]}', None),
        (b'[{"path": "/a"}]', None),
    ],
)
def test_timeout_of_the_batch_is_known(content: bytes, timeout_ms: int | None) -> None:
    assert parse(content).timeout_ms == timeout_ms


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b'{"pipeline": [{"path": "/a"}]}', {"pipeline": [A], "timeout": 7}),
        (
            b'{"timeout": 500, "x": 1, "pipeline": [{"path": "/a"}]}',
            {"timeout": 7, "x": 1, "pipeline": [A]},
        ),
        (b'[{"path": "/a"}]', {"pipeline": [A], "timeout": 7}),
        (b'{"path": "/a"}\n{"path": "/a"}', {"pipeline": [A, A], "timeout": 7}),
    ],
)
def test_timeout_can_be_set(content: bytes, sent: dict[str, Any]) -> None:
    batch = parse(content, timeout_ms=7)
    assert json.loads(batch.body) == sent
    assert batch.timeout_ms == 7


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "batch.json: nothing in it: expected a batch"),
        (b" \n\t\n", "batch.json: nothing in it: expected a batch"),
        (b"[]", "batch.json: no items: expected a batch"),
        (b'{"pipeline": []}', "batch.json: no items: expected a batch"),
        (b"GET /a", "batch.json:1:1: not JSON: invalid character"),
        (b'[{"path": "/a"},]', "batch.json:1:17: not JSON: trailing comma in array"),
        (b'[\n  {"path" "/a"}\n]', "batch.json:2:11: not JSON: expected ':'"),
        ('[\n  "é", x]'.encode(), "batch.json:2:8: not JSON: invalid character"),
        (b'[{"path": "/a"}', "batch.json:1:16: not JSON: it ends too early"),
        (b'[{"path": "/a"}]\n[]', "batch.json:2:1: not JSON: trailing characters"),
        (b'{"path": "/a"}\n\n{"path": }', "batch.json:3:10: not JSON: invalid character"),
        (b'{"path": "/a"}\n{"path": "/b"', "batch.json:2:14: not JSON: it ends too early"),
        (b'{"path": "/a"}\n[1]', 'batch.json:2: expected an item such as {"path": "/a"}, got an array'),
        (b'{"path": "/a"}\n{"method": "GET"}', 'batch.json:2: no "path": expected an item such as'),
        (b'{"path": "/a"}\n{"path": 7}', 'batch.json:2: "path": expected a string, got a number'),
        (
            b'[{"path": "/a"}, 7]',
            'batch.json: item 2: expected an item such as {"path": "/a"}, got a number',
        ),
        (b"[null]", "batch.json: item 1: expected an item such as"),
        (b'{"pipeline": [{"path": "/a"}, {}]}', 'batch.json: item 2: no "path": expected an item'),
        (b'{"pipeline": {}}', 'batch.json: "pipeline": expected an array of items, got an object'),
        (b'{"items": []}', "batch.json: expected a batch"),
        (b'"text"', "one item a line, got a string"),
        (b"true", "one item a line, got a boolean"),
        (b'[\n"\xff"]', "batch.json:2:2: not UTF-8"),
        (b'{"path":"/a"}\n{"path":"\xff"}', "batch.json:2:10: not UTF-8"),
        (b"[" * 100_000, "batch.json:1: nested too deep"),
        (b'{"path":"/a"}\n{"path":"/a","x":' + b"[" * 100_000, "batch.json:2: nested too deep"),
    ],
    ids=lambda value: value[:30] if isinstance(value, bytes) else None,
)
def test_wrong_file_is_told_with_its_place(content: bytes, says: str) -> None:
    assert complaint(content).find(says) >= 0


def test_huge_batch_is_read() -> None:
    assert len(parse(b'{"path": "/a"}\n' * 50_000).labels) == 50_000
