"""CNXML trees: OpenStax textbooks with one file for each module (`modules/m00001/index.cnxml`), images in `media/`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import lxml.etree

from pipeline.corpora import trees
from pipeline.corpora.fields import BadRecord
from pipeline.corpora.parts import Format, Place
from schemas.records import Document, Image, Segment, Text

_Element = Any  # lxml.etree._Element: lxml has no types
_LEFT_OUT = {"metadata", "link-group", "glossary-link", "iframe", "audio", "video", "flash", "object"}
_BLOCKS = {
    "para",
    "item",
    "title",
    "figure",
    "section",
    "list",
    "note",
    "example",
    "exercise",
    "problem",
    "solution",
    "equation",
    "quote",
    "code",
    "definition",
    "meaning",
    "term-group",
    "table",
    "media",
    "row",
    "rule",
    "statement",
    "proof",
    "commentary",
    "injected-exercise",
    "content",
    "glossary",
    "div",
}


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """The document of one module."""
    parser = lxml.etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        module = lxml.etree.fromstring(record["data"], parser)
    except lxml.etree.XMLSyntaxError as error:
        raise BadRecord("bad_record", f"no XML: {error}") from error
    titles = [_words(child) for child in module if _name(child) == "title"]
    heading = [Text(f"## {titles[0]}")] if titles and titles[0] else []
    segments = [
        s for child in module if _name(child) in ("content", "glossary") for s in _segments(child, record, place)
    ]
    if not segments:
        raise ValueError("the file is no CNXML module: it has no content")
    yield Document(
        id=trees.page_id(record, place),
        source=place.format,
        segments=(*heading, *segments),
        title=titles[0] if titles else "",
        url=trees.page_url(record),
        location=place.location,
    )


def _segments(block: _Element, record: dict[str, Any], place: Place, rank: int = 1) -> Iterator[Segment]:
    """A block as texts and images. Text between blocks, and phrases in them, run together to one text."""
    name, text = _name(block), ""
    mark = {"title": "#" * max(2, rank) + " ", "item": "- "}.get(name, "")
    if name == "figure":
        yield from _figure(block, record, place, rank)
        return
    if name == "code" and len(block) == 0:
        yield from _text(f"```\n{(block.text or '').strip()}\n```")
        return
    for piece in _pieces(block):
        if isinstance(piece, str):
            text += piece
            continue
        yield from _text(mark + " ".join(text.split()), mark)
        text = ""
        if piece is not None and _name(piece) == "media":
            yield from _media(piece, record, place)
        elif piece is not None:
            yield from _segments(piece, record, place, rank + (_name(piece) == "section"))


def _pieces(block: _Element) -> Iterator[str | _Element | None]:
    """The text of a block and the blocks in it, in their order, and None at the end."""
    yield from _inline(block)
    yield None


def _inline(element: _Element) -> Iterator[str | _Element]:
    yield element.text or ""
    for child in element:
        name = _name(child)
        if name == "entry":
            yield from (" | ", *_inline(child))
        elif name in _BLOCKS:
            yield child
        elif name == "math":
            yield "".join(child.itertext())
        elif name == "newline":
            yield " "
        elif name and name not in _LEFT_OUT:
            yield from _inline(child)
        yield child.tail or ""


def _figure(figure: _Element, record: dict[str, Any], place: Place, rank: int) -> Iterator[Segment]:
    """A figure's images, each with the caption; figures of several parts have parts with captions of their own."""
    caption = " ".join(_words(child) for child in figure if _name(child) in ("title", "caption"))
    for child in figure:
        if _name(child) in ("figure", "subfigure"):
            yield from _figure(child, record, place, rank)
        elif _name(child) == "media":
            yield from _media(child, record, place, caption)
        elif _name(child) in _BLOCKS - {"title", "caption"}:
            yield from _segments(child, record, place, rank)


def _media(media: _Element, record: dict[str, Any], place: Place, caption: str = "") -> Iterator[Image]:
    """The images of a media element.

    Images for print only (`for="pdf"`) are left out, because they repeat the others.
    """
    for child in media:
        if _name(child) == "image" and child.get("src") and child.get("for") in (None, "online", "default"):
            yield Image(
                trees.link(child.get("src", ""), record, place),
                alt=" ".join((media.get("alt") or "").split()),
                caption=caption,
            )


def _words(element: _Element) -> str:
    return " ".join("".join(part if isinstance(part, str) else " " for part in _inline(element)).split())


def _name(element: _Element) -> str:
    """The tag without its namespace; empty for comments."""
    return str(element.tag).rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""


def _text(text: str, mark: str = "") -> Iterator[Text]:
    if re.search(r"\w", text.removeprefix(mark)):
        yield Text(text)


FORMAT = Format(
    documents,
    (".cnxml",),
    files=trees.FILES,
    about="OpenStax textbooks, one document a module",
    get="git clone https://github.com/openstax/osbooks-BOOK; `make corpus` does so for the development corpus",
    terms="CC BY 4.0 for most books; CC BY-NC-SA 4.0 for some: see the repository's LICENSE",
)
