"""HTML pages: the main content in reading order, with images, captions and alternative texts, without boilerplate.

trafilatura decides which part of a page is its content. Its result keeps images in their places; a caption is passed
through it as the image's title.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin

import trafilatura

from pipeline.corpora import trees
from pipeline.corpora.fields import BadRecord
from pipeline.corpora.parts import Format, Place
from pipeline.storage.uris import exists, is_http
from schemas.records import Document, Image, Segment, Text

_Element = Any  # lxml.etree._Element: lxml has no types
_FIGURE = "//figure[.//img] | //*[contains(concat(' ', @class, ' '), ' wp-caption ')]"
_CAPTION = ".//figcaption | .//*[contains(concat(' ', @class, ' '), ' wp-caption-text ')]"
_CANONICAL = "string(//link[@rel='canonical']/@href | //meta[@property='og:url']/@content)"
_OPENS = {"item": "\n- ", "row": "\n", "cell": " | ", "lb": "\n", "p": "\n"}  # what starts inside a block


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """The document of one page of a folder.

    An image that is not a file there is fetched from the web, if the page states its own address.
    """
    page = parsed(record["data"])
    base = str(page.xpath("string(//base/@href)")) or url_of(page)

    def where(source: str) -> str:
        local = trees.link(source, record, place)
        return urljoin(base, source) if is_http(base) and not is_http(local) and not exists(local) else local

    yield Document(
        id=trees.page_id(record, place),
        source=place.format,
        segments=content(page, where),
        title=title_of(page),
        url=url_of(page) or trees.page_url(record),
        location=place.location,
    )


def parsed(data: bytes | str) -> _Element:
    """The page as a tree. Raises BadRecord if the data contain no HTML page."""
    page = trafilatura.load_html(data)
    if page is None:
        raise BadRecord("bad_record", "there is no HTML page in it")
    return page


def title_of(page: _Element) -> str:
    """The first heading of level one, or else the page's title, on one line."""
    found = page.xpath("//h1") or page.xpath("//title")
    return " ".join(found[0].text_content().split()) if found else ""


def url_of(page: _Element) -> str:
    """The page's address as the page itself states it; empty if it does not."""
    url = str(page.xpath(_CANONICAL)).strip()
    return url if is_http(url) else ""


def content(page: _Element, where: Callable[[str], str]) -> tuple[Segment, ...]:
    """The segments of the main content in reading order; none if trafilatura finds no content.

    `where(source)` returns the URI of an image that the page names. Changes `page`.
    """
    for figure in page.xpath(_FIGURE):
        captions = figure.xpath(_CAPTION)
        for image in figure.iter("img"):
            image.set("title", " ".join(captions[0].text_content().split()) if captions else "")
        for caption in captions:
            caption.drop_tree()
    found = trafilatura.bare_extraction(
        page, fast=True, include_images=True, include_formatting=True, include_comments=False, include_links=False
    )
    blocks = () if found is None or isinstance(found, dict) or found.body is None else found.body
    return tuple(segment for block in blocks for segment in _segments(block, where))


def _segments(block: _Element, where: Callable[[str], str]) -> Iterator[Segment]:
    """A block as texts, and images between them."""
    text = ""
    for piece in (*_flow(block), None):
        if isinstance(piece, str):
            text += piece
            continue
        if re.search(r"\w", text):
            yield Text(_opening(block) + text.strip(" \n|") if block.tag != "code" else f"```\n{text.strip()}\n```")
        text = ""
        if piece is not None and piece.get("src"):
            yield Image(where(piece.get("src")), alt=piece.get("alt") or "", caption=piece.get("title") or "")


def _opening(block: _Element) -> str:
    rank = re.fullmatch(r"h([1-6])", block.get("rend") or "")
    return "#" * max(2, int(rank[1])) + " " if block.tag == "head" and rank else "> " if block.tag == "quote" else ""


def _flow(element: _Element) -> Iterator[str | _Element]:
    """The text and the images of an element in their order."""
    if element.tag == "graphic":
        yield element
    code = element.tag == "code"
    if element.text:
        yield element.text if code else re.sub(r"\s+", " ", element.text)
    for child in element:
        yield _OPENS.get(child.tag, "")
        yield from _flow(child)
        if child.tail:
            yield child.tail if code else re.sub(r"\s+", " ", child.tail)


FORMAT = Format(
    documents,
    (".html", ".htm"),
    files=trees.FILES,
    about="folders of web pages, at any depth, with the images beside them",
    get="your own, or what a crawler saved",
    terms="those of the pages; a document keeps the address that its page states",
)
