"""Damage to the images of documents: to their files, or one image more."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import PIL.Image

from benchmarks.rehearsal import pictures
from pipeline.storage.uris import read_bytes
from schemas.records import SizedImage, StoredDocument, StoredImage

LOGO = Path(__file__).parents[2] / "examples/corpus/images/signs-4-stop.png"
SMALL = 60
"""Pixels of the longer side of an image that is too small: the limit is 80 for the shorter one."""


def flat(data: bytes) -> bytes:
    """A grey image of the same size."""
    with PIL.Image.open(io.BytesIO(data)) as picture:
        return pictures.flat(*picture.size)


def small(data: bytes) -> bytes:
    """The same image, of `SMALL` pixels."""
    with PIL.Image.open(io.BytesIO(data)) as picture:
        picture.thumbnail((SMALL, SMALL))
        file = io.BytesIO()
        picture.convert("RGB").save(file, "PNG")
    return file.getvalue()


def truncated(data: bytes) -> bytes:
    """The first half of the file."""
    return data[: len(data) // 2]


def with_logo(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """One image more behind the first segment, the same in all documents."""
    return [
        dataclasses.replace(document, segments=(*document.segments[:1], logo(), *document.segments[1:]))
        for document in documents
    ]


@functools.cache
def logo() -> StoredImage:
    """The image that many documents have: a sign of the example corpus."""
    with PIL.Image.open(LOGO) as picture:
        return hashed(SizedImage(str(LOGO), width=picture.width, height=picture.height))


def hashed(image: SizedImage) -> StoredImage:
    """The image with the hash of its file as it is; the file is neither decoded nor stored."""
    return StoredImage(
        image.uri,
        image.alt,
        image.caption,
        width=image.width,
        height=image.height,
        sha256=hashlib.sha256(read_bytes(image.uri)).hexdigest(),
        extension=os.path.splitext(image.uri)[1].lstrip("."),
    )
