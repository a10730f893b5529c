"""MkDocs hook: a folder in the navigation becomes the pages in it, by name, so that none is forgotten."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """The configuration with the folders in its `nav` replaced. Called by MkDocs."""
    docs = Path(config["docs_dir"])
    config["nav"] = [_filled(entry, docs) for entry in config["nav"]]
    return config


def _filled(entry: Any, docs: Path) -> Any:
    if not isinstance(entry, dict):
        return entry
    return {title: _pages(inner, docs) for title, inner in entry.items()}


def _pages(inner: Any, docs: Path) -> Any:
    if not isinstance(inner, str) or not inner.endswith("/"):
        return inner
    pages = sorted((docs / inner).glob("*.md"), key=lambda page: (page.name != "index.md", page.name))
    return [page.relative_to(docs).as_posix() for page in pages]
