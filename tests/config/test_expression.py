"""Conditions on variables: the cases of lua-resty-expr, and an interpreter that is slow and plain."""

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchway.config.expression import MAX_DEPTH, MAX_SUBJECT, Lookup, compile, variables_of
from batchway.config.operators import number

Variables = dict[str, str]


def fulfilled(expression: list[Any], **variables: str) -> bool:
    return compile(expression)(variables.get)


W10, W15 = ["arg_w", ">", 10], ["arg_w", "!", ">", 15]
CASES: list[tuple[list[Any], Variables, bool]] = [
    ([], {}, True),
    # ==
    ([["arg_k", "==", "v"]], {"arg_k": "v"}, True),
    ([["arg_k", "==", "v"]], {"arg_k": "V"}, False),
    ([["arg_k", "==", "v"]], {}, False),
    ([["arg_k", "v"]], {"arg_k": "v"}, True),
    ([["arg_k", "v"]], {"arg_k": "not_hit"}, False),
    ([["arg_k", "V"]], {"arg_k": "V"}, True),
    ([["arg_k", 5]], {"arg_k": "5"}, True),
    ([["arg_k", "==", 18]], {"arg_k": "18"}, True),
    ([["arg_k", "==", 18]], {"arg_k": "18.0"}, True),
    ([["arg_k", "==", 18]], {"arg_k": " 0x12 "}, True),
    ([["arg_k", "==", 18]], {"arg_k": "aa"}, False),
    ([["arg_k", "==", 18]], {}, False),
    ([["arg_k", "==", "18"]], {"arg_k": "18.0"}, False),
    ([["arg_k", "==", 1.5]], {"arg_k": "1.5"}, True),
    ([["arg_k", "==", ""]], {"arg_k": ""}, True),
    ([["arg_k", "==", ""]], {}, False),
    ([["arg_k", "==", None]], {}, True),
    ([["arg_k", "==", None]], {"arg_k": ""}, False),
    ([["arg_k", "=="]], {}, True),
    ([["arg_k", "==", True]], {"arg_k": "true"}, False),
    ([["arg_k", "!", "==", "v"]], {"arg_k": "v"}, False),
    ([["arg_k", "!", "==", "v"]], {}, True),
    ([["server_port", "==", "1984"], ["host", "==", "localhost"]], {"server_port": "1984"}, False),
    # ~=
    ([["arg_k", "~=", "v"]], {"arg_k": "v"}, False),
    ([["arg_k", "~=", "****"]], {"arg_k": "v"}, True),
    ([["arg_k", "~=", "v"]], {}, True),
    ([["arg_k", "~=", None]], {"arg_k": "v"}, True),
    ([["arg_k", "~=", None]], {}, False),
    ([["arg_k", "~="]], {"arg_k": "v"}, True),
    ([["arg_k", "~="]], {}, False),
    ([["arg_age", "~=", 18]], {"arg_age": "18"}, False),
    ([["arg_age", "~=", 18]], {"arg_age": "16"}, True),
    ([["arg_age", "~=", 18]], {"arg_age": "aa"}, True),
    ([["arg_age", "~=", 18]], {}, True),
    ([["arg_age", "~=", "18"]], {"arg_age": "18"}, False),
    ([["arg_age", "~=", False]], {"arg_age": "18"}, True),
    ([["arg_age", "!", "~=", "18"]], {"arg_age": "18"}, True),
    # > >= < <=
    ([["arg_k", ">", 10]], {"arg_k": "11"}, True),
    ([["arg_k", ">", 10]], {"arg_k": "10"}, False),
    ([["arg_k", ">", 10]], {"arg_k": "9"}, False),
    ([["arg_k", ">", "10"]], {"arg_k": "9"}, False),
    ([["arg_k", ">", "10"]], {"arg_k": "100"}, True),
    ([["arg_k", ">", 10]], {"arg_k": "1e3"}, True),
    ([["arg_k", ">", 10]], {"arg_k": "x"}, False),
    ([["arg_k", ">", 10]], {}, False),
    ([["arg_k", "!", ">", 10]], {"arg_k": "11"}, False),
    ([["arg_k", "!", ">", 10]], {"arg_k": "9"}, True),
    ([["arg_k", "!", ">", 10]], {}, True),
    ([["arg_k", ">=", "2"]], {"arg_k": "2"}, True),
    ([["arg_k", ">=", 3]], {"arg_k": "2"}, False),
    ([["arg_k", ">=", 3]], {}, False),
    ([["arg_k", "<=", "2"]], {"arg_k": "3"}, False),
    ([["arg_k", "<=", 3]], {"arg_k": "3"}, True),
    ([["arg_k", "<=", 3]], {}, False),
    ([["arg_k", "<", 3]], {"arg_k": "2.9"}, True),
    ([["arg_k", "<", 3]], {"arg_k": "3"}, False),
    ([["arg_k", "<", 3]], {"arg_k": "-4"}, True),
    ([["arg_k", "<", 3]], {}, False),
    ([["x", ">", 10], ["x", "!", ">", 15]], {"x": "11"}, True),
    ([["x", ">", 10], ["x", "!", ">", 15]], {"x": "16"}, False),
    # ~~ and ~*
    ([["arg_k", "~~", "[0-9]+"]], {"arg_k": "1234"}, True),
    ([["arg_k", "~~", "^2[0-9]+"]], {"arg_k": "1234"}, False),
    ([["arg_k", "~~", "[1-3]+$"]], {"arg_k": "1234"}, False),
    ([["arg_k", "~~", "[1-3]+"]], {"arg_k": "1234"}, True),
    ([["arg_k", "~~", "A"]], {}, False),
    ([["arg_k", "~~", "[a-z]{1,4}"]], {}, False),
    ([["arg_k", "~~", ""]], {"arg_k": ""}, True),
    ([["arg_k", "~~", "China.*"]], {"arg_k": "Beijing, China"}, True),
    ([["k", "!", "~~", "[a-z]"]], {"k": "a"}, False),
    ([["k", "!", "~~", "[a-z]"]], {"k": "9"}, True),
    ([["k", "!", "~~", "[a-z]"]], {}, True),
    ([["x", "~*", "A"]], {"x": "a"}, True),
    ([["x", "~*", "A"]], {"x": "A"}, True),
    ([["x", "~*", "A"]], {"x": "b"}, False),
    ([["x", "~*", "A"]], {"x": ""}, False),
    ([["x", "~*", "A"]], {}, False),
    ([["x", "!", "~*", "A"]], {"x": "a"}, False),
    ([["x", "!", "~*", "A"]], {"x": "b"}, True),
    ([["x", "!", "~*", "A"]], {"x": ""}, True),
    ([["http_user_agent", "~*", "android"]], {"http_user_agent": "Android"}, True),
    # in, has
    ([["arg_k", "in", ["1", "2"]]], {"arg_k": "1"}, True),
    ([["arg_k", "in", ["1", "2"]]], {"arg_k": "4"}, False),
    ([["arg_k", "in", ["1", "2"]]], {}, False),
    ([["arg_k", "in", [1, 2]]], {"arg_k": "1"}, False),
    ([["arg_k", "in", []]], {"arg_k": "1"}, False),
    ([["arg_k", "in", [None]]], {}, False),
    ([["arg_k", "IN", ["android", "ios"]]], {"arg_k": "ios"}, True),
    ([["k", "!", "in", ["1", "2"]]], {"k": "3"}, True),
    ([["k", "!", "in", ["1", "2"]]], {"k": "1"}, False),
    ([["k", "!", "in", ["1", "2"]]], {}, True),
    ([["x", "has", "a"]], {"x": "a"}, False),
    ([["x", "has", "a"]], {}, False),
    ([["x", "!", "has", "a"]], {"x": "a"}, True),
    # ipmatch
    ([["remote_addr", "ipmatch", "127.0.0.1"]], {"remote_addr": "127.0.0.1"}, True),
    ([["remote_addr", "ipmatch", ["127.0.0.1"]]], {"remote_addr": "127.0.0.1"}, True),
    ([["remote_addr", "ipmatch", "127.0.0.0/16"]], {"remote_addr": "127.0.3.1"}, True),
    ([["remote_addr", "ipmatch", ["127.0.0.2", "127.0.0.3"]]], {"remote_addr": "127.0.0.1"}, False),
    ([["remote_addr", "ipmatch", ["10.0.0.0/8", "fe80::/32"]]], {"remote_addr": "fe80::1"}, True),
    ([["remote_addr", "ipmatch", ["10.0.0.0/8", "fe80::/32"]]], {"remote_addr": "fe81::1"}, False),
    ([["arg_real_ip", "ipmatch", ["127.0.0.1"]]], {"arg_real_ip": "127.0.0.1"}, True),
    ([["http_real_ip", "ipmatch", ["127.0.0.1"]]], {"http_real_ip": "no address"}, False),
    ([["remote_addr", "ipmatch", ["127.0.0.1"]]], {}, False),
    ([["remote_addr", "!", "ipmatch", ["127.0.0.1"]]], {"remote_addr": "127.0.0.2"}, True),
    ([["remote_addr", "!", "ipmatch", ["127.0.0.1"]]], {"remote_addr": "127.0.0.1"}, False),
    # AND, OR, !AND, !OR
    (["AND", W10, W15], {"arg_w": "12"}, True),
    (["AND", W10, W15], {"arg_w": "8"}, False),
    (["OR", W10, W15], {"arg_w": "12"}, True),
    (["OR", W10, W15], {"arg_w": "8"}, True),
    (["OR", ["arg_w", ">", 20], W15], {"arg_w": "16"}, False),
    (["or", ["arg_w", ">", 20], W15], {"arg_w": "12"}, True),
    (["!AND", W10, W15], {"arg_w": "12"}, False),
    (["!AND", W10, W15], {"arg_w": "8"}, True),
    (["!AND", W10, ["arg_w", "!", "<", 15]], {"arg_w": "8"}, True),
    (["!OR", W10, W15], {"arg_w": "12"}, False),
    (["!OR", W10, W15], {"arg_w": "8"}, False),
    (["!OR", W10, ["arg_w", "!", "<", 15]], {"arg_w": "8"}, True),
    (
        ["OR", ["OR", ["arg_w", ">", 20], W15], ["AND", ["arg_h", ">", 10], ["arg_h", "!", "<", 15]]],
        {"arg_w": "16", "arg_h": "16"},
        True,
    ),
    (["OR", [W15], [["arg_h", ">", 10], ["arg_h", "!", "<", 15]]], {"arg_w": "16", "arg_h": "16"}, True),
    (["OR", [W15], [["arg_h", ">", 10], ["arg_h", "!", "<", 15]]], {"arg_w": "16", "arg_h": "14"}, False),
    (
        [
            "!OR",
            ["!AND", ["w", "<", 20], ["w", "!", "<", 15]],
            ["!OR", ["h", ">", 10], ["h", "!", "<", 15]],
        ],
        {"w": "16", "h": "16"},
        True,
    ),
    (
        ["!AND", ["n", "==", "json"], ["OR", W10, ["h", "!", ">", 15]]],
        {"arg_w": "6", "h": "6", "n": "json"},
        False,
    ),
    (
        ["!AND", ["OR", W10, ["h", "!", ">", 15]], ["n", "==", "json"]],
        {"arg_w": "6", "h": "6", "n": "xx"},
        True,
    ),
    (["!OR", ["ua", "==", "ios"], ["demo", "==", "test"]], {"ua": "android", "demo": "prod"}, True),
    (["!OR", ["ua", "==", "ios"], ["demo", "==", "test"]], {"ua": "ios", "demo": "prod"}, False),
    ([[[["a", "==", "1"]]]], {"a": "1"}, True),
]


@pytest.mark.parametrize(("expression", "variables", "expected"), CASES)
def test_case(expression: list[Any], variables: Variables, expected: bool) -> None:
    assert fulfilled(expression, **variables) is expected


def test_has_asks_what_is_a_list() -> None:
    fields: Any = {"root_fields": ["owner", "repo"]}.get
    assert compile([["root_fields", "has", "owner"]])(fields)
    assert not compile([["root_fields", "has", "x"]])(fields)


REFUSED: list[tuple[Any, str]] = [
    ({}, "vars: expected an array, got {}"),
    ("x", 'vars: expected an array, got "x"'),
    (
        ["arg_k", "==", "v"],
        'vars: expected an array of conditions, each an array itself, got ["arg_k","==","v"]',
    ),
    ([1], "vars: expected an array of conditions, each an array itself, got [1]"),
    (
        [["arg_k", "=", "v"]],
        "vars[0][1]: expected one of <, <=, ==, >, >=, has, in, ipmatch, ~*, ~=, ~~, got",
    ),
    ([["arg_k"]], 'vars[0]: expected [variable, operator, value], got ["arg_k"]'),
    ([[]], "vars[0]: expected a condition or an array of them, got []"),
    ([["!", "arg_k", "==", "1"]], 'vars[0][1]: expected "!", got "arg_k"'),
    ([["arg_k", "!", "=", "1"]], "vars[0][2]: expected one of "),
    ([["arg_k", "!", "=="]], "vars[0][1]: expected one of "),
    ([["arg_k", "==", "1", "2", "3"]], "vars[0]: expected [variable, operator, value], got "),
    ([[1, "==", "1"]], "vars[0][0]: expected the name of a variable, got 1"),
    ([["", "==", "1"]], 'vars[0][0]: expected the name of a variable, got ""'),
    ([["a", "==", ["1"]]], 'vars[0][2]: expected a string, a number, a boolean or null, got ["1"]'),
    ([["a", "!", "~=", {}]], "vars[0][3]: expected a string, a number, a boolean or null, got {}"),
    ([["a", ["1"]]], 'vars[0][1]: expected a string, a number, a boolean or null, got ["1"]'),
    ([["a", ">", "x"]], 'vars[0][2]: expected a number, got "x"'),
    ([["a", "<=", None]], "vars[0][2]: expected a number, got null"),
    ([["a", "<", True]], "vars[0][2]: expected a number, got true"),
    ([["a", ">="]], "vars[0][2]: expected a number, got null"),
    ([["a", "~~", 1]], "vars[0][2]: expected a regular expression, got 1"),
    ([["a", "~~", "[0"]], "vars[0][2]: not a regular expression that batchway knows: "),
    ([["a", "!", "~*", "(a+)+"]], "vars[0][3]: a repetition within a repetition"),
    ([["a", "in", "1"]], 'vars[0][2]: expected an array, got "1"'),
    ([["a", "has", []]], "vars[0][2]: expected a string, a number, a boolean or null, got []"),
    ([["a", "ipmatch", None]], "vars[0][2]: expected an address, a network or an array of them, got null"),
    ([["a", "ipmatch", ""]], 'vars[0][2]: expected an address or a network, got ""'),
    ([["a", "ipmatch", []]], "vars[0][2]: expected an address, a network or an array of them, got []"),
    ([["a", "ipmatch", ["::1", "x"]]], 'vars[0][2][1]: expected an address or a network, got "x"'),
    ([["a", "ipmatch", [1]]], "vars[0][2][0]: expected an address or a network, got 1"),
    (
        [["a", "==", "1"], ["post_arg_k", "!", "==", "v"]],
        'vars[1][0]: variables of the body are not supported by batchway, got "post_arg_k"',
    ),
    ([["post_arg.a.b", "==", "1"]], "vars[0][0]: variables of the body are not supported by batchway"),
    ([["graphql_name", "==", "q"]], "vars[0][0]: variables of the body are not supported by batchway"),
    (
        [["ssl_client_verify", "!", "==", "NONE"]],  # it would hold for everybody
        'vars[0][0]: this variable is not supported by batchway, got "ssl_client_verify"',
    ),
    ([["request_body", "~~", "a"]], "vars[0][0]: this variable is not supported by batchway"),
    ([["sent_http_x_a", "==", "1"]], "vars[0][0]: this variable is not supported by batchway"),
    (["OR", ["a", ">", 10]], 'vars: expected at least two conditions behind "OR", got 1'),
    (["OR", ["a", ">", 10], ["AND"]], 'vars[2]: expected at least two conditions behind "AND", got 0'),
    (["OR", ["a", ">", 10], "b"], 'vars[2]: expected a condition or an array of them, got "b"'),
    ([["a", "==", "1"], "b"], 'vars[1]: expected a condition or an array of them, got "b"'),
    (["!OR", ["a", ">", 10], [["b", "==", "1"], ["c", "?", 1]]], "vars[2][1][1]: expected one of "),
]


@pytest.mark.parametrize(("expression", "message"), REFUSED)
def test_refused_with_the_place(expression: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        compile(expression)


def test_the_place_is_named_as_its_owner_likes() -> None:
    with pytest.raises(ValueError, match=r"^rules\[0\]\.vars\[0\]\[2\]: expected a number"):
        compile([["a", ">", "x"]], "rules[0].vars")


def test_what_is_wrong_is_shown_in_short() -> None:
    with pytest.raises(ValueError, match="^vars") as caught:
        compile([["a", ">", "x" * 4000]])
    assert len(str(caught.value)) < 150


def test_depth() -> None:
    def nested(depth: int) -> list[Any]:
        inner: list[Any] = ["a", "==", "1"]
        for _ in range(depth):
            inner = [inner]
        return inner

    assert fulfilled(nested(MAX_DEPTH), a="1")
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(ValueError, match=f"expected at most {MAX_DEPTH} arrays within each other"):
            compile(nested(depth))


@pytest.mark.parametrize("operator", ["~~", "~*"])
def test_a_value_that_is_too_long_for_a_pattern_fulfils_nothing(operator: str) -> None:
    long = "a" * (MAX_SUBJECT + 1)
    assert fulfilled([["k", operator, "a"]], k=long[1:])
    assert not fulfilled([["k", operator, "a"]], k=long)
    assert not fulfilled([["k", "!", operator, "b"]], k=long)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        (".5", 0.5),
        ("5.", 5),
        ("1e2", 100),
        ("0xfF", 255),
        ("-0x10", -16),
        (" 7\n", 7),
    ]
    + [
        (word, None)
        for word in ("", " ", "x", "1x", "1_0", "inf", "nan", "٣", "0x", ".", "1 2", "--1", "1e")
    ],
)
def test_number(text: str, expected: float | None) -> None:
    assert number(text) == expected


def test_variables_of() -> None:
    expression = ["OR", ["a", "==", "1"], [["b", "x"], ["c", "!", "in", ["d"]]]]
    assert variables_of(expression) == {"a", "b", "c"}
    assert variables_of([]) == frozenset()
    assert variables_of([["a", "in", ["x"]]]) == {"a"}


# --- against an interpreter

values = st.one_of(st.sampled_from(["1", "2", "10", "a", "ab", "A", "", "10.0.0.1", "::1"]), st.none())
names = st.sampled_from(["x", "y", "z"])
scalars = st.sampled_from(["1", "a", "A", "", "10", 1, 2, 10, 1.5, None, True])
operands: dict[str, st.SearchStrategy[Any]] = {
    "==": scalars,
    "~=": scalars,
    **dict.fromkeys([">", "<", ">=", "<="], st.sampled_from([1, 2.5, "2", "10"])),
    **dict.fromkeys(["~~", "~*"], st.sampled_from(["a", "^a$", "[0-9]", "A", ""])),
    "in": st.lists(st.sampled_from(["1", "a", 1]), max_size=3),
    "has": scalars,
    "ipmatch": st.sampled_from(["10.0.0.0/8", ["::1", "1.1.1.1"], ["::/0"]]),
}
conditions = st.sampled_from(sorted(operands)).flatmap(
    lambda operator: st.builds(
        lambda name, turn, value: [name, *turn, operator, value],
        names,
        st.sampled_from([[], ["!"]]),
        operands[operator],
    )
)
expressions = st.recursive(
    conditions,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.builds(
            lambda head, parts: [head, *parts],
            st.sampled_from(["AND", "OR", "!AND", "!OR", "and", "!or"]),
            st.lists(inner, min_size=2, max_size=3),
        ),
    ),
    max_leaves=8,
).map(lambda found: [found])


def plain(expression: list[Any], lookup: Lookup) -> bool:
    head = expression[0]
    if isinstance(head, list):
        return all(plain(part, lookup) for part in expression)
    joint = head.upper()
    if joint in ("AND", "OR", "!AND", "!OR"):
        parts = [plain(part, lookup) for part in expression[1:]]
        answer = all(parts) if joint.endswith("AND") else any(parts)
        return answer is not joint.startswith("!")
    if len(expression) == 4:
        return not holds(lookup(head), expression[2], expression[3])
    return holds(lookup(head), expression[1], expression[2])


def holds(left: str | None, operator: str, right: Any) -> bool:
    if operator == "~=":
        return not holds(left, "==", right)
    if operator == "==":
        if isinstance(right, int | float) and not isinstance(right, bool):
            return left is not None and left.isdigit() and float(left) == right
        return bool(left == right)
    if left is None or operator == "has":
        return False
    if operator in ("~~", "~*"):
        return re.search(right, left, re.IGNORECASE if operator == "~*" else 0) is not None
    if operator == "in":
        return left in list(right)
    if operator == "ipmatch":
        nets = [ip_network(one) for one in (right if isinstance(right, list) else [right])]
        return ("." in left or ":" in left) and any(ip_address(left) in net for net in nets)
    if not left.isdigit():
        return False
    a, b = float(left), float(right)
    answers = {">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b}
    return answers[operator]


@settings(max_examples=400)
@given(
    expressions,
    st.lists(st.fixed_dictionaries({"x": values, "y": values, "z": values}), min_size=1, max_size=5),
)
def test_like_an_interpreter(expression: list[Any], all_variables: list[dict[str, str | None]]) -> None:
    compiled = compile(expression)
    for variables in all_variables:
        assert compiled(variables.get) is plain(expression, variables.get)
    assert variables_of(expression) <= {"x", "y", "z"}


anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=4),
        st.sampled_from(["AND", "!", "~~", "=="]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=12,
)


@settings(max_examples=400)
@given(st.lists(anything, max_size=4))
def test_whatever_it_is_it_is_taken_or_refused_in_words(expression: list[Any]) -> None:
    problem = ""
    try:
        compiled = compile(expression)
    except ValueError as error:
        problem = str(error)
    else:
        assert compiled(lambda _name: "1") in (True, False)
        assert compiled(lambda _name: None) in (True, False)
    assert not problem or problem.startswith("vars")
