"""Renders templates and the Markdown of documents safely: no text of a document becomes markup, a link or a request."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import jinja2
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from pipeline.dataset.wording import number, percent
from schemas.printable import printable, shown

HERE = pathlib.Path(__file__).parent


class _Renderer(RendererHTML):
    """Renders no links, no remote images, and headings as paragraphs, which keeps the outline of the page."""

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return str(escape(tokens[index].content))

    def link_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return '<span class="link">'

    def link_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return "</span>"

    def heading_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return f'<p class="heading level-{tokens[index].tag[1]}">'

    def heading_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return "</p>\n"


_markdown = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer).enable("table")


def markdown(text: str) -> Markup:
    """CommonMark with tables as HTML; raw HTML is shown as text, links and images as their text."""
    return Markup(printable(_markdown.render(printable(text))))  # twice: `&#8238;` becomes a character in between


def render(template: str, **values: Any) -> str:
    """Fill a template of this folder; every value is escaped, and a missing variable is an error."""
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"markdown": markdown, "number": number}
    environment.globals |= {"percent": percent, "style": Markup((HERE / "style.css").read_text())}
    return environment
