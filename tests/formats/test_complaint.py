"""Most sentences stand in the golden cases; here is what no batch of APISIX's schema brings about."""

import pytest

from batchway.formats.complaint import rephrase


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Expected `array`, got `null`", "wrong type: expected array, got null"),
        (
            "Expected `int | float`, got `str` - at `$.a[0].b[12]`",
            'property "a" validation failed: failed to validate item 1: property "b" validation failed: '
            "failed to validate item 13: wrong type: expected integer, got string",
        ),
        (
            "Object missing required field `path` - at `$.pipeline[4]`",
            'property "pipeline" validation failed: failed to validate item 5: property "path" is required',
        ),
        ("Something new - at `$.a`", 'property "a" validation failed: Something new'),
        ("Something new", "Something new"),
        ("Number out of range - at `$[...]`", "Number out of range"),
        ("Object contains unknown field `a\nb`", "Object contains unknown field `a\nb`"),
    ],
)
def test_complaint_is_put_in_the_words_of_json_schema(said: str, expected: str) -> None:
    assert rephrase(said) == expected
