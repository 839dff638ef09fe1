"""The native format: one document per line, images by file name in `images/` next to the file.

{"id", "source", "url", "license", "title", "segments": [{"text"} | {"image", "alt", "caption", "width", "height"}]};
only `id` and `segments` are required. Instead of `url` a record may name `repo`, `commit` and `path` on GitHub. What
converters leave of links around images is removed from the texts (`residue.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from pipeline.corpora.fields import Record, identifier, objects, pixels, string, title
from pipeline.corpora.parts import JSONL, Format, Place
from pipeline.corpora.residue import without_residue
from schemas.records import Document, Image, Segment, Text


def documents(record: Record, place: Place) -> Iterator[Document]:
    """The document of one record."""
    segments = [_segment(item, place) for item in objects(record, "segments")]
    yield Document(
        id=identifier(record, "id"),
        source=string(record, "source", "").strip() or place.format,
        segments=without_residue(filter(None, segments)),
        title=title(record, "title"),
        url=_url(record),
        license=string(record, "license", ""),
        location=place.location,
    )


def _segment(item: Record, place: Place) -> Segment | None:
    """The segment of an item; None for a blank text."""
    if "image" in item:
        return Image(
            place.uri(string(item, "image")),
            alt=string(item, "alt", ""),
            caption=string(item, "caption", ""),
            width=pixels(item, "width"),
            height=pixels(item, "height"),
        )
    text = string(item, "text").strip()
    return Text(text) if text else None


def _url(record: Record) -> str:
    url = string(record, "url", "")
    repo, commit, path = (string(record, name, "") for name in ("repo", "commit", "path"))
    if url or not (repo and commit and path):
        return url
    return f"https://github.com/{repo}/blob/{commit}/{quote(path)}"


FORMAT = Format(
    documents,
    JSONL,
    about="this project's own: one document a line, images by name",
    get="your own, or `make corpus`",
    terms="each document carries its own licence",
)
