"""Markdown trees: documentation and course repositories, folders or git checkouts, with their images.

markdown-it finds the blocks; a block without an image stays as its source has it. Tags that site generators have for
images (`:::image`, Hugo's `figure`, Jekyll's `image`) are turned into HTML first.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any

import lxml.html
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.corpora import trees
from pipeline.corpora.parts import Format, Place
from pipeline.corpora.residue import without_residue
from schemas.records import Document, Image, Segment, Text

_FRONT = re.compile(r"\A---[^\S\n]*\n(.*?)^---[^\S\n]*$\n?", re.S | re.M)
_TAGS = re.compile(  # what is in a tag must not open one: tags that are not closed would take quadratic time
    r"(?m:^[ \t]+)?(?::::image\b(?P<docs>[^\n]*?):::"
    r"|\{\{[<%]\s*(?:figure|image)\b(?P<hugo>(?:(?!\{\{[<%])[^\n])*?)[>%]\}\}"
    r"|\{%-?\s*image\s+\"(?P<src>[^\"\n]+)\"(?P<rest>(?:(?!\{%)[^\n])*?)-?%\})"
)
_ATTRIBUTE = re.compile(r"(?<![\w-])([\w-]++)\s*=\s*\"([^\"]*)\"")
_SITE = re.compile(r"\{\{-?\s*site\.(?:base)?url\s*-?\}\}")  # Jekyll: the path after it starts at the site's root
_TAG = re.compile(r"<[^>]*>")
_IMG = re.compile(r"<img\b[^>]*>", re.I)
_COMMENT = re.compile(r"<!--.*?-->", re.S)
_MOST_FRONT, _DEPTH = 64 << 10, 32  # characters of a page's settings, and lists or mappings in one another
_yaml: Any = yaml.resolver.Resolver()
_markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """The document of one page."""
    text = trees.text_of(record)
    title, body = _front_matter(text)
    body = _removed(_COMMENT, "-->", _TAGS.sub(_as_html, _SITE.sub("", body)))
    segments = without_residue(_segments(body, record, place))
    yield Document(
        id=trees.page_id(record, place),
        source=place.format,
        segments=segments,
        title=_heading(segments) if title is None else " ".join(title.split()),
        url=trees.page_url(record),
        location=place.location,
    )


def _front_matter(text: str) -> tuple[str | None, str]:
    """The title in the page's settings, and the page without them."""
    match = _FRONT.match(text)
    if not match:
        return None, text
    try:
        return _title(match[1]), text[match.end() :]
    except (yaml.YAMLError, ValueError):
        return None, text[match.end() :]


def _title(front: str) -> str | None:
    """The string `title` in a mapping in YAML.

    No object is made of the YAML: of a few bytes, nested lists would end the process, and merged mappings never end.
    """
    depth, nodes = 0, []  # nodes: the strings of the outermost mapping, keys and values in turn
    for event in yaml.parse(front, yaml.CSafeLoader) if len(front) <= _MOST_FRONT else ():
        if depth == 1 and isinstance(event, yaml.NodeEvent):
            nodes.append(_string(event))
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEPTH or (isinstance(event, yaml.SequenceStartEvent) and depth == 1):
            return None
    return dict(zip(nodes[::2], nodes[1::2], strict=False)).get("title")


def _string(event: yaml.NodeEvent) -> str | None:
    """The string in a node of YAML; None if it is something else."""
    if not isinstance(event, yaml.ScalarEvent):
        return None
    tag = event.tag or _yaml.resolve(yaml.ScalarNode, event.value, event.implicit)
    return str(event.value) if tag == "tag:yaml.org,2002:str" else None


def _heading(segments: Sequence[Segment]) -> str:
    """The words of the first heading."""
    headings = (s.text for s in segments if isinstance(s, Text) and s.text.startswith("#"))
    return " ".join(next(headings, "").lstrip("#").split())


def _as_html(tag: re.Match[str]) -> str:
    """A generator's image tag as HTML, which is allowed anywhere in Markdown; empty if it names no image."""
    about = dict(_ATTRIBUTE.findall(tag["docs"] or tag["hugo"] or ""))
    source = tag["src"] or about.get("source") or about.get("src")
    quoted = re.findall(r"\"([^\"]*)\"", tag["rest"] or "")  # a class may stand before the description
    alt = quoted[-1] if quoted else about.get("alt-text") or about.get("alt") or ""
    about |= {"src": source or "", "alt": alt, "title": about.get("caption", "")}
    fields = "".join(f' {name}="{html.escape(about[name])}"' for name in ("src", "alt", "title"))
    return f"<img{fields}>" if source else ""


def _segments(body: str, record: dict[str, Any], place: Place) -> Iterator[Segment]:
    lines, tokens, at = body.split("\n"), _markdown.parse(body), 0
    while at < len(tokens):
        end = at + 1
        while tokens[at].nesting == 1 and tokens[end].level > tokens[at].level:
            end += 1
        block, at = tokens[at : end + (tokens[at].nesting == 1)], end + (tokens[at].nesting == 1)
        if any(_holds_image(token) for token in block):
            yield from _split(block, record, place)
        elif block[0].map and block[0].type not in ("html_block", "hr"):
            yield from _text("\n".join(lines[slice(*block[0].map)]))
        elif block[0].type == "html_block":
            yield from _text(_removed(_TAG, ">", block[0].content))


def _holds_image(token: Token) -> bool:
    return (token.type == "html_block" and bool(_IMG.search(token.content, 0, token.content.rfind(">") + 1))) or any(
        child.type == "image" or (child.type == "html_inline" and bool(_IMG.match(child.content)))
        for child in token.children or ()
    )


def _split(block: list[Token], record: dict[str, Any], place: Place) -> Iterator[Segment]:
    """A block with images as the texts between them and the images."""
    text = ""
    for piece in (*_pieces(block, record, place), None):
        if isinstance(piece, str):
            text += piece
            continue
        yield from _text(text)
        text = ""
        if piece:
            yield piece


def _pieces(block: list[Token], record: dict[str, Any], place: Place) -> Iterator[str | Image]:
    marker = ""
    for token in block:
        if token.type in ("heading_open", "list_item_open"):
            marker = f"{token.info}{token.markup} "
        elif token.type in ("fence", "code_block"):
            yield f"\n```{token.info}\n{token.content.rstrip()}\n```"
        elif token.type == "html_block":
            yield from _html(token.content, record, place)
        elif token.type == "inline":
            yield f"\n{marker}"
            marker = ""
            for child in token.children or ():
                if child.type == "image":
                    alt = "".join(c.content for c in child.children or ()).strip()
                    yield Image(
                        trees.link(str(child.attrs["src"]), record, place),
                        alt=alt,
                        caption=str(child.attrs.get("title", "")),
                    )
                elif child.type == "html_inline":
                    yield from _html(child.content, record, place)
                else:
                    yield _source(child)


def _html(source: str, record: dict[str, Any], place: Place) -> Iterator[str | Image]:
    """A piece of HTML as texts without tags, and images."""
    at = 0
    for tag in _IMG.finditer(source, 0, source.rfind(">") + 1):
        yield _removed(_TAG, ">", source[at : tag.start()])
        found, at = lxml.html.fragments_fromstring(tag[0]), tag.end()
        image = found[0] if found and not isinstance(found[0], str) else lxml.html.Element("img")
        if target := image.get("src"):
            yield Image(trees.link(target, record, place), alt=image.get("alt") or "", caption=image.get("title") or "")
    yield _removed(_TAG, ">", source[at:])


def _removed(tag: re.Pattern[str], end: str, text: str) -> str:
    """The text without what the pattern finds up to the last `end`: searched for behind it, it takes quadratic time."""
    last = text.rfind(end) + len(end)
    return tag.sub("", text[:last]) + text[last:]


def _source(child: Token) -> str:
    """The source of inline Markdown, as it was written."""
    if child.type == "code_inline":
        return f"{child.markup}{child.content}{child.markup}"
    if child.type == "link_open":
        return "["
    if child.type == "link_close":
        return "]"
    return "\n" if child.type in ("softbreak", "hardbreak") else child.content or child.markup


def _text(text: str) -> Iterator[Text]:
    """A text, if there is a word in it."""
    if re.search(r"\w", text):
        yield Text(text.strip())


FORMAT = Format(
    documents,
    (".md", ".markdown"),
    files=trees.FILES,
    about="folders or git checkouts of Markdown pages, with the images that they name",
    get="git clone; `make corpus` does so for the development corpus",
    terms="those of the repository",
)
