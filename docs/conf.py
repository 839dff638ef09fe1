"""Sphinx: README.md and the pages of docs/ as a site (`make docs`); each warning, as of a link to nowhere, fails it."""

from __future__ import annotations

from sphinx.application import Sphinx

project = html_title = "LeafInstruct"
extensions = ["myst_parser"]
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 3
root_doc = "README"
include_patterns = ["README.md", "docs/*.md", "CONTRIBUTING.md", "CHANGELOG.md"]
html_theme = "furo"
html_copy_source = False

PAGES = (
    "docs/architecture",
    "docs/glossary",
    "docs/format",
    "docs/filters",
    "docs/corpora",
    "docs/extending",
    "docs/running",
    "docs/engines",
    "docs/scaling",
    "docs/security",
    "docs/report",
    "docs/quality",
    "docs/models",
    "docs/moss",
    "docs/moss_judge",
    "docs/benchmarks",
    "CONTRIBUTING",
    "CHANGELOG",
)


def setup(app: Sphinx) -> None:
    app.connect("source-read", _add_contents)


def _add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """The order of the pages, at the end of the first; a page that is not in it is a warning."""
    if name == root_doc:
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", "", *PAGES, "```", ""])
