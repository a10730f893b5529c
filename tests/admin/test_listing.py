"""Pages and filters of lists."""

from typing import Any

import pytest

from .client import Client

ROUTE: dict[str, Any] = {"plugins": {}}


def ids(call: Client, path: str) -> list[str]:
    answer = call("GET", path)
    assert answer.status == 200, answer
    found = [item["value"].get("id", item["value"].get("username")) for item in answer.json()["list"]]
    assert "page" in path or answer.json()["total"] == len(found)
    return found


@pytest.fixture
def routes(call: Client) -> None:
    documents: list[dict[str, Any]] = [
        {"uri": "/hello", "name": "first", "labels": {"env": "prod", "v": "1"}},
        {"uris": ["/hello/*", "/world"], "name": "second first", "labels": {"env": "test"}},
        {"uri": "/other", "labels": {"envy": "prod"}},
    ]
    for number, document in enumerate(documents, 1):
        assert call("PUT", f"/routes/{number}", ROUTE | document).status == 201


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=first", ["1", "2"]),
        ("name=sec", ["2"]),
        ("name=First", []),
        ("name=", ["1", "2", "3"]),
        ("label=env", ["1", "2"]),
        ("label=env:prod", ["1"]),
        ("label=env:", []),
        ("label=prod", []),
        ("label=", []),
        ("uri=hello", ["1", "2"]),
        ("uri=/world", ["2"]),
        ("uri=/hello/%5C*$", ["2"]),
        ("uri=^/(hello|other)$", ["1", "3"]),
        ("uri=", ["1", "2", "3"]),
        ("name=^first", ["1"]),
        ("uri=hello&label=env:test", ["2"]),
        ("name=first&uri=other", []),
    ],
)
@pytest.mark.usefixtures("routes")
def test_a_list_has_what_is_asked_for(call: Client, query: str, expected: list[str]) -> None:
    assert ids(call, f"/routes?{query}") == expected


def test_a_label_may_have_a_colon_in_its_name(call: Client) -> None:
    call("PUT", "/routes/1", ROUTE | {"uri": "/a", "labels": {"a:b": "c"}})
    assert ids(call, "/routes?label=a:b") == ["1"]


@pytest.mark.parametrize("page", ["abc", "", "1.5", "1_0"])
def test_a_page_is_a_whole_number(call: Client, page: str) -> None:
    answer = call("GET", f"/services?page={page}&page_size=10")

    assert (answer.status, answer.json()) == (400, {"error_msg": "page must be a whole number"})


def test_a_page_without_a_size_has_everything(call: Client) -> None:
    for number in range(12):
        call("PUT", f"/services/{number}", {})

    assert len(ids(call, "/services?page=1")) == 12
    assert ids(call, "/services?page=2") == []  # whoever asks for page after page comes to an end
    assert call("GET", "/services?page=x").json() == {"error_msg": "page must be a whole number"}


def test_a_filter_comes_before_the_page(call: Client) -> None:
    for number in range(30):
        call("PUT", f"/services/{number}", {"name": "even" if number % 2 == 0 else "odd"})

    assert ids(call, "/services?name=even&page=1&page_size=10") == [str(n) for n in range(0, 20, 2)]
    assert ids(call, "/services?name=even&page=2&page_size=10") == [str(n) for n in range(20, 30, 2)]
    assert call("GET", "/services?name=even&page=2&page_size=10").json()["total"] == 15


def test_a_list_is_filtered_by_what_is_named(call: Client) -> None:
    call("PUT", "/services/1", {})
    call("PUT", "/upstreams/1", {"nodes": {}})
    for number in range(4):
        reference = "service_id" if number % 2 else "upstream_id"
        document = {"uri": "/a", reference: 1 if number < 2 else "1"}
        assert call("PUT", f"/routes/{number}", document).status == 201

    assert ids(call, "/routes?filter=service_id%3D1") == ["1", "3"]
    assert ids(call, "/routes?filter=upstream_id%3D1") == ["0", "2"]
    assert ids(call, "/routes?filter=upstream_id%3D2") == []
    assert ids(call, "/routes?filter=upstream_id%3D1%26service_id%3D1") == []


def test_a_filter_by_anything_else_is_refused(call: Client) -> None:
    answer = call("GET", "/routes?filter=uri%3D1")
    assert answer.status == 400
    expected = 'query argument "filter": expected upstream_id, service_id, plugin_config_id, got "uri"'
    assert answer.json() == {"error_msg": expected}
    assert "expected nothing here" in call("GET", "/upstreams?filter=a%3D1").json()["error_msg"]


def test_consumers_are_found_by_username(call: Client) -> None:
    for name in ("jack", "jackson", "jill"):
        call("PUT", "/consumers", {"username": name})

    assert ids(call, "/consumers?name=jack") == ["jack", "jackson"]


def test_metadata_has_no_name(call: Client) -> None:
    call("PUT", "/plugin_metadata/known", {"name": 1})
    assert call("GET", "/plugin_metadata?name=known").json()["total"] == 0


@pytest.mark.parametrize("argument", ["name", "uri"])
@pytest.mark.parametrize("pattern", ["(", "(a%2B)*b", "x" * 1025])
def test_a_pattern_that_is_none_or_takes_for_ever_is_refused(
    call: Client, argument: str, pattern: str
) -> None:
    answer = call("GET", f"/routes?{argument}={pattern}")
    assert answer.status == 400
    assert answer.json()["error_msg"].startswith(f'query argument "{argument}": ')
