"""reStructuredText trees: documentation repositories, folders or git checkouts, with their images.

docutils reads the pages; it may not include files or raw HTML. Sphinx's roles and directives, which it does not know,
lose their markup and keep their words.
"""

from __future__ import annotations

import contextlib
import re
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import roles

from pipeline.corpora import trees
from pipeline.corpora.parts import Format, Place
from schemas.records import Document, Image, Segment, Text

_SETTINGS = {
    "report_level": 1,
    "halt_level": 5,
    "warning_stream": False,
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "syntax_highlight": "none",
    "input_encoding": "unicode",
}
_known_roles: dict[str, Any] = vars(roles)["_roles"]
_ROLE = re.compile(r":[\w:+.-]+:`([^`]*)`")
_TARGET = re.compile(r"\s*<[^<>]*>$")
_OPTIONS = re.compile(r"\A(?:\s*:[\w-]+:[^\n]*\n?)*")
_LEAVES = (nodes.paragraph, nodes.term, nodes.field_name, nodes.rubric)

_one_at_a_time = threading.Lock()


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """The document of one page."""
    with _own_roles():
        tree = publish_doctree(trees.text_of(record), settings_overrides=_SETTINGS)
        segments = tuple(_segments(tree, record, place))
    yield Document(
        id=trees.page_id(record, place),
        source=place.format,
        segments=segments,
        title=" ".join(str(tree.get("title", "")).split()),
        url=trees.page_url(record),
        location=place.location,
    )


@contextlib.contextmanager
def _own_roles() -> Iterator[None]:
    """Forget the roles that a page defines: docutils would keep them for all later pages.

    They are the process's, so one page is parsed at a time.
    """
    with _one_at_a_time:
        known = dict(_known_roles)
        try:
            yield
        finally:
            _known_roles.clear()
            _known_roles.update(known)


def _segments(
    node: nodes.Node,
    record: dict[str, Any],
    place: Place,
    rank: int = 1,
    mark: str = "",
) -> Iterator[Segment]:
    """The segments below a node. `rank` is the level of its headings, `mark` a prefix of its first text."""
    for child in node.children:
        if isinstance(child, nodes.image):
            yield _image(child, record, place)
        elif isinstance(child, nodes.figure):
            yield from _figure(child, record, place)
        elif isinstance(child, nodes.title):
            yield from _text(f"{'#' * max(2, rank)} {_words(child)}")
        elif isinstance(child, nodes.literal_block):
            yield from _text(f"```\n{child.astext()}\n```")
        elif isinstance(child, _LEAVES):
            yield from _text(f"{mark}{_words(child)}")
            yield from (_image(image, record, place) for image in child.findall(nodes.image))
        elif isinstance(child, nodes.list_item):
            yield from _segments(child, record, place, rank, "- ")
        elif isinstance(child, nodes.section):
            yield from _segments(child, record, place, rank + 1)
        elif isinstance(child, nodes.system_message):
            yield from _unknown(child, record, place)
        elif not isinstance(child, (nodes.Text, nodes.comment, nodes.target, nodes.substitution_definition)):
            yield from _segments(child, record, place, rank, mark)


def _figure(figure: nodes.figure, record: dict[str, Any], place: Place) -> Iterator[Segment]:
    """A figure's image with its caption, and its legend."""
    caption = " ".join(_words(child) for child in figure.children if isinstance(child, nodes.caption))
    for image in figure.findall(nodes.image):
        yield _image(image, record, place, caption)
    for child in figure.children:
        if isinstance(child, nodes.legend):
            yield from _segments(child, record, place)


def _image(image: nodes.image, record: dict[str, Any], place: Place, caption: str = "") -> Image:
    alt = image.get("alt", "")
    if image.document and alt in image.document.substitution_defs:  # docutils' own: `|image0|` stands for the image
        alt = ""
    return Image(trees.link(image["uri"], record, place), alt=alt, caption=caption)


def _unknown(message: nodes.system_message, record: dict[str, Any], place: Place) -> Iterator[Segment]:
    """The content of a directive that docutils does not know, read as the page's own (`.. tabs::`)."""
    if "unknown directive" not in message.astext().lower():
        return
    for block in message.findall(nodes.literal_block):
        directive, _, body = block.astext().partition("\n")
        if not directive.startswith(".. toctree"):
            inner = publish_doctree(_OPTIONS.sub("", textwrap.dedent(body)), settings_overrides=_SETTINGS)
            yield from _segments(inner, record, place, 2)


def _words(node: nodes.Element) -> str:
    """A node's text on one line; a role that docutils does not know is reduced to its words."""
    text = "".join(part.astext() for part in node.findall(nodes.Text))  # an image's own text is its alt
    text = _ROLE.sub(lambda role: _TARGET.sub("", role[1]) or role[1], text)
    return " ".join(text.split())


def _text(text: str) -> Iterator[Text]:
    if re.search(r"\w", text):
        yield Text(text)


FORMAT = Format(
    documents,
    (".rst",),
    files=trees.FILES,
    about="folders or git checkouts of reStructuredText pages, with the images that they name",
    get="git clone; `make corpus` does so for the development corpus",
    terms="those of the repository",
)
