"""The documentation: links lead somewhere; its metrics, limits and plugins are those that there are."""

import re
from pathlib import Path

import pytest
from msgspec.structs import asdict

from batchway.asgi.options import Settings as AsgiSettings
from batchway.config.settings import ServerLimits
from batchway.model import Limits
from batchway.plugins import Registry
from batchway.plugins.prometheus_metrics import NODE_LABELS, Metrics
from batchway.plugins.prometheus_series import Shape

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
    metrics = Metrics(Shape())
    exported = re.findall(r"^# TYPE (\w+) (\w+)$", metrics.text(lambda _: (), ()).decode(), re.MULTILINE)
    labels = {
        one._name: set(one._labelnames) for one in vars(metrics).values() if hasattr(one, "_labelnames")
    }
    labels["apisix_upstream_status"] = set(NODE_LABELS)

    assert {name: kind for name, kind, _ in rows} == dict(exported)
    for name, _, told in rows:
        assert set(re.findall(r"`(\w+)`", told)) == labels[name.removesuffix("_total")], name


ASGI_LIMITS = asdict(Limits()) | {
    name: value for name, value in asdict(AsgiSettings()).items() if type(value) in (int, float)
}


@pytest.mark.parametrize(
    ("page", "head", "limits"),
    [
        ("running.md", "key", asdict(ServerLimits())),
        ("formats/apisix.md", "key", asdict(Limits())),
        ("plugins/batch-requests.md", "`plugin_metadata/batch-requests`", asdict(Limits())),
        ("asgi.md", "keyword", ASGI_LIMITS),
    ],
)
def test_limits_are_those_of_the_page(page: str, head: str, limits: dict[str, float]) -> None:
    text = (TOP / "docs" / page).read_text()
    table = text.rpartition(f"\n| {head} | default | |\n")[2].partition("\n\n")[0]
    told = {
        name: float(default)
        for names, defaults in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.MULTILINE)
        for name, default in zip(re.findall(r"`(\w+)`", names), defaults.split(", "), strict=True)
    }

    assert told == limits


def test_each_plugin_has_its_page_and_its_line() -> None:
    plugins = TOP / "docs" / "plugins"
    rows = re.findall(
        r"^\| (\d+) \| \[([\w-]+)\]\(\2\.md\) ", (plugins / "index.md").read_text(), re.MULTILINE
    )
    there = {(str(plugin.priority), name) for name, plugin in Registry().plugins.items()}

    assert set(rows) == there
    assert all((plugins / f"{name}.md").exists() for _, name in there)
