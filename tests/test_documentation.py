"""The documentation: its links lead somewhere, and the metrics that it names are those that there are."""

import re
from pathlib import Path

import pytest

from batchway.plugins.prometheus import Metrics

TOP = Path(__file__).parents[1]
PAGES = sorted([*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCED.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked by."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {
        re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(TOP).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for found in _LINK.finditer(prose(page)):
        target = page.parent / found["path"] if found["path"] else page
        assert target.exists(), found[0]
        assert not found["anchor"] or found["anchor"] in anchors(target), found[0]


def test_metrics_are_those_of_the_page() -> None:
    text = (TOP / "docs" / "observability.md").read_text()
    rows = re.findall(r"^\| `((?:apisix|batchway)_\w+)` \| (\w+)[^|]* \|([^|]*)\|", text, re.MULTILINE)
    metrics = Metrics("apisix_")
    exported = re.findall(r"^# TYPE (\w+) (\w+)$", metrics.text(lambda _: ()).decode(), re.MULTILINE)
    labels = {
        one._name: set(one._labelnames) for one in vars(metrics).values() if hasattr(one, "_labelnames")
    }

    assert {name: kind for name, kind, _ in rows} == dict(exported)
    for name, _, told in rows:
        assert set(re.findall(r"`(\w+)`", told)) == labels[name.removesuffix("_total")], name
