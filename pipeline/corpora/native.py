"""The native format: one document per line, images by file name in `images/` next to the file.

{"id", "source", "url", "license", "title", "segments": [{"text"} | {"image", "alt", "caption", "width", "height"}]};
only `id` and `segments` are required. Instead of `url` a record may name `repo`, `commit` and `path` on GitHub. What
converters leave of links around images is removed from the texts (`residue.py`).
"""

from __future__ import annotations

import difflib
import functools
import logging
from collections.abc import Iterator
from urllib.parse import quote

from pipeline.corpora.fields import Record, identifier, objects, pixels, string, title
from pipeline.corpora.parts import JSONL, Format, Place
from pipeline.corpora.residue import without_residue
from schemas.printable import line
from schemas.records import Document, Image, Segment, Text

_FIELDS = ("id", "source", "url", "license", "title", "segments", "repo", "commit", "path")
_FIELDS_OF_SEGMENTS = ("text", "image", "alt", "caption", "width", "height")
MOST_OF_A_KEY = 30
"""The longest name of a field, in characters, that a message shows."""
_log = logging.getLogger(__name__)


def documents(record: Record, place: Place) -> Iterator[Document]:
    """The document of one record."""
    _warn_of_misspelt(record, _FIELDS)
    segments = [_segment(item, place, f"segments[{i}]") for i, item in enumerate(objects(record, "segments"))]
    yield Document(
        id=identifier(record, "id"),
        source=string(record, "source", "").strip() or place.format,
        segments=without_residue(filter(None, segments)),
        title=title(record, "title"),
        url=_url(record),
        license=string(record, "license", ""),
        location=place.location,
    )


def _segment(item: Record, place: Place, name: str) -> Segment | None:
    """The segment of an item; None for a blank text. name: of the item, for messages."""
    _warn_of_misspelt(item, _FIELDS_OF_SEGMENTS)
    if item.get("image") is not None:
        if string(item, "text", "").strip():
            raise ValueError(f"{name} has both text and image: make two of it")
        return Image(
            place.uri(string(item, "image")),
            alt=string(item, "alt", ""),
            caption=string(item, "caption", ""),
            width=pixels(item, "width"),
            height=pixels(item, "height"),
        )
    if "text" not in item:
        keys = ", ".join(key for key in item if key != "image" and key.isidentifier() and len(key) <= MOST_OF_A_KEY)
        raise ValueError(f"{name} has neither text nor image" + (f", but {keys}" if keys else ""))
    text = string(item, "text").strip()
    return Text(text) if text else None


def _warn_of_misspelt(record: Record, known: tuple[str, ...]) -> None:
    """Log a field that is ignored where it looks like one that the record lacks: each once in a process."""
    for key in record:
        if key not in known and (meant := _meant(key, known)) and meant not in record:
            _warn(key, meant)


@functools.lru_cache(maxsize=1000)
def _meant(key: str, known: tuple[str, ...]) -> str:
    """The known field that is spelt nearly like this one; empty if there is none."""
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.8) if len(key) <= MOST_OF_A_KEY else []
    return near[0] if near else ""


@functools.lru_cache(maxsize=1000)
def _warn(key: str, meant: str) -> None:
    _log.warning("%s", line(f"native: the field {key!r} is ignored; is {meant!r} meant?"))


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
