"""The page of answers: for every instruction its context and any number of outputs side by side, as one HTML file."""

from __future__ import annotations

import base64
import dataclasses
import io
import pathlib
from collections.abc import Sequence

import jinja2
import PIL.Image

from schemas.printable import shown
from schemas.records import Text

TEMPLATE = pathlib.Path(__file__).parent / "page.html.jinja"
TINY, SHOWN, LARGEST = 128, 192, 640
"""Pixels of the longer side: up to TINY a picture is shown larger, by a whole factor that reaches SHOWN, with square
pixels; above LARGEST the page holds a smaller copy."""

Segments = Sequence[Text | PIL.Image.Image]


@dataclasses.dataclass(frozen=True)
class Column:
    """One output; `note` is a short remark under its title."""

    title: str
    segments: Segments
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One instruction, its context, and the outputs to compare: a reference, answers of one or more models."""

    key: str
    instruction: str
    context: Segments
    columns: Sequence[Column]


def render(title: str, lead: str, entries: Sequence[Entry], facts: Sequence[tuple[str, str]] = ()) -> str:
    """The page as HTML.

    Every text is escaped and printable, images are embedded, and it makes no requests. facts: names and values for a table at its
    end, such as the checkpoint and the sampling.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=shown, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["block"] = _block
    return (
        environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
        .render(title=title, lead=lead, entries=entries, facts=facts)
        .strip()
        + "\n"
    )


def _block(segment: Text | PIL.Image.Image) -> dict[str, str | int | bool]:
    """What the template needs of a segment. A text that begins as a Markdown heading is shown as one."""
    if isinstance(segment, Text):
        bare = segment.text.lstrip("#")
        heading = bare != segment.text and bare.startswith(" ") and "\n" not in bare
        return {"text": bare.strip() if heading else segment.text, "heading": heading}
    side = max(segment.size)
    factor = -(-SHOWN // side) if side <= TINY else min(1, LARGEST / side)
    width, height = (round(n * factor) for n in segment.size)
    return {"src": _uri(segment), "width": width, "height": height, "tiny": side <= TINY}


def _uri(picture: PIL.Image.Image) -> str:
    copy, out = picture.convert("RGB"), io.BytesIO()
    if max(copy.size) <= TINY:
        kind = "png"
        copy.save(out, "PNG", optimize=True)
    else:
        kind = "jpeg"
        copy.thumbnail((LARGEST, LARGEST))
        copy.save(out, "JPEG", quality=85, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode()}"
