"""MINT-1T's PDF and arXiv shards.

Tars with one `.json` for each document, and its images next to it under the same key.

{"pdf_name", "url", "texts", "images"}: the two lists are equally long, and one of them is null in each slot. An image
is the name of a member, or else the next page of the document's TIFF (`x.tar!/key.tiff#page=2`).
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterator
from typing import Any

from pipeline.corpora import limits, lines
from pipeline.corpora.fields import BadRecord, array, string
from pipeline.corpora.files import Files, cut_each
from pipeline.corpora.parts import Format, Part, Place
from pipeline.storage.tars import tar_index
from pipeline.storage.uris import exists, read_bytes
from schemas.records import Document, Image, Segment, Text

_ONE = ("tiff", "tif", "jpg", "jpeg", "png", "webp")


def documents(record: dict[str, Any], place: Place) -> Iterator[Document]:
    """The document of one record."""
    texts, images = array(record, "texts"), array(record, "images")
    if len(texts) != len(images):
        raise ValueError(f"{len(texts)} texts beside {len(images)} images")
    if (count := sum(map(bool, images))) > limits.MOST_IMAGES:  # before each is looked for
        raise BadRecord("too_long", f"{count:,} images; at most {limits.MOST_IMAGES:,}")
    segments: list[Segment] = []
    page = 0
    for text, image in zip(texts, images, strict=True):
        if text is not None and not isinstance(text, str):
            raise ValueError(f"texts must hold strings and nulls, not {type(text).__name__}")
        if text and text.strip():
            segments.append(Text(text.strip()))
        if image:
            uri = _member(str(image), string(record, "member"), place)
            if uri.lower().endswith((".tiff", ".tif")):
                uri, page = f"{uri}#page={page}", page + 1
            segments.append(Image(uri))
    yield place.document(record, segments)


def _member(image: str, own: str, place: Place) -> str:
    """The member that holds an image: the one of its name, or the one beside the record."""
    folder, name = posixpath.split(own)
    key = posixpath.join(folder, name.split(".")[0])
    for member in (image, posixpath.join(folder, image), *(f"{key}.{ending}" for ending in _ONE)):
        try:
            if exists(uri := place.uri(member)):
                return uri
        except ValueError:
            continue
    return place.address(image)


def parts_of(file: Part) -> Iterator[Part]:
    """Parts of consecutive documents of a tar."""
    index = tar_index(file.file)
    file = dataclasses.replace(file, images=f"{file.file}!", local=True)
    total = len(_names(file.file))
    for first in range(0, total, lines.PART_LINES):
        yield dataclasses.replace(file, first=first + 1, count=min(lines.PART_LINES, total - first))
    if index.error:
        yield dataclasses.replace(file, first=total + 1, fault=index.error)


def read(part: Part) -> Iterator[tuple[int, dict[str, Any] | BadRecord | None]]:
    """The documents of a part, each with the name of its member."""
    assert part.count is not None
    start = part.first - 1
    for number, name in enumerate(_names(part.file)[start : start + part.count], part.first):
        data = read_bytes(f"{part.file}!/{name}", lines.MAX_LINE + 1)
        record = lines.decoded(data if len(data) <= lines.MAX_LINE else None)
        yield number, record | {"member": name} if isinstance(record, dict) else record


def _names(tar: str) -> list[str]:
    """The members that are documents, in the order of the tar."""
    return [name for name in tar_index(tar).members if name.endswith(".json")]


FORMAT = Format(
    documents,
    (".tar",),
    files=Files(cut_each(parts_of), read),
    about="MINT-1T's documents from PDFs and arXiv (arXiv 2406.11271)",
    get="tars of the MINT-1T-PDF-CC-* and MINT-1T-ArXiv sets (Hugging Face: mlfoundations)",
    terms="CC BY 4.0 for the collection; each document belongs to its site",
)
