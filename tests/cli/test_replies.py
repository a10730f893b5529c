import json

import pytest

from batchway.cli.failures import BatchNotRun, NoAnswer
from batchway.cli.post import Answer, parse_url
from batchway.cli.replies import Outcome, outcomes
from batchway.errors import BatchwayError

ENDPOINT = parse_url("http://gw.example/batch")


def answer(body: bytes, status: int = 200, reason: str = "OK", location: str | None = None) -> Answer:
    return Answer(status, reason, location, body, len(body), 0.01)


def outcome_of(reply: object) -> Outcome:
    (outcome,) = outcomes(answer(json.dumps([reply]).encode()), ["GET /a"], ENDPOINT)
    return outcome


@pytest.mark.parametrize(
    ("reply", "is_failure"),
    [
        ({"status": 200}, False),
        ({"status": 101}, False),
        ({"status": 302}, False),
        ({"status": 399}, False),
        ({"status": 400}, True),
        ({"status": 504, "reason": "upstream timeout"}, True),
        ({"status": "200"}, True),
        ({"status": True}, True),
        ({"status": None}, True),
        ({}, True),
        (None, True),
        ([], True),
    ],
)
def test_item_fails_by_its_status_or_for_want_of_one(reply: object, is_failure: bool) -> None:
    assert outcome_of(reply).is_failure is is_failure


@pytest.mark.parametrize(
    ("reply", "size"),
    [
        ({"status": 200}, None),
        ({"status": 200, "body": None}, None),
        ({"status": 200, "body": ""}, 0),
        ({"status": 200, "body": "é"}, 2),
        ({"status": 200, "body": "AAEC", "body_encoding": "base64"}, 3),
        ({"status": 200, "body": "AAE=", "body_encoding": "base64"}, 2),
        ({"status": 200, "body": "AA==", "body_encoding": "base64"}, 1),
        ({"status": 200, "body": "", "body_encoding": "base64"}, 0),
        ({"status": 200, "body": {"a": 1}}, 7),
    ],
)
def test_size_is_that_of_the_body(reply: object, size: int | None) -> None:
    assert outcome_of(reply).body_bytes == size


@pytest.mark.parametrize(
    ("reply", "duration_ms"),
    [
        ({"status": 200, "duration_ms": 12.5}, 12.5),
        ({"status": 200, "duration_ms": 0}, 0),
        ({"status": 200}, None),
        ({"status": 200, "duration_ms": "12"}, None),
        ({"status": 200, "duration_ms": True}, None),
    ],
)
def test_time_is_what_the_reply_says(reply: object, duration_ms: float | None) -> None:
    assert outcome_of(reply).duration_ms == duration_ms


def test_item_without_reply_has_failed() -> None:
    found = outcomes(answer(b'[{"status":200}]'), ["GET /a", "GET /b"], ENDPOINT)
    assert [(outcome.label, outcome.status) for outcome in found] == [("GET /a", 200), ("GET /b", None)]


def failure(given: Answer) -> BatchwayError:
    with pytest.raises(BatchwayError) as caught:
        outcomes(given, ["GET /a"], ENDPOINT)
    assert caught.value.message.startswith("http://gw.example/batch: ")
    return caught.value


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            answer(b'{"error_msg":"bad request body: x"}', 400, "Bad Request"),
            "refused: 400 bad request body: x",
        ),
        (answer(b'{"message":"missing key"}', 401, "Unauthorized"), "refused: 401 missing key"),
        (answer(b'{"error":{"code":1}}', 400, "Bad Request"), "refused: 400 Bad Request"),
        (answer(b"<html>", 502, "Bad Gateway"), "refused: 502 Bad Gateway"),
        (answer(b"\xff", 500, "Internal"), "refused: 500 Internal"),
        (
            answer(b'{"error_msg":"404 Route Not Found"}', 404, "Not Found"),
            "refused: 404 Route Not Found: is this a batch endpoint?",
        ),
        (
            answer(b"", 307, "Temporary", "https://gw/x"),
            "refused: 307, redirected to https://gw/x: give that",
        ),
        (answer(b"[]", 201, "Created"), "refused: 201 Created"),
    ],
)
def test_refused_batch_is_told_in_the_servers_words(given: Answer, says: str) -> None:
    error = failure(given)
    assert isinstance(error, BatchNotRun)
    assert says in error.message


@pytest.mark.parametrize("body", [b"", b"<html>", b"[", b'"\xff"', b"[" * 100_000])
def test_answer_that_is_not_json(body: bytes) -> None:
    error = failure(answer(body))
    assert isinstance(error, NoAnswer)
    assert "the answer is not JSON: is this a batch endpoint? Check --url" in error.message


@pytest.mark.parametrize("body", [b"{}", b"null", b'[{"status":200},{"status":200}]'])
def test_answer_that_is_no_batch_reply(body: bytes) -> None:
    error = failure(answer(body))
    assert isinstance(error, NoAnswer)
    assert "no array of replies" in error.message
