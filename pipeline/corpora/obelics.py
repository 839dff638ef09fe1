"""OBELICS and OmniCorpus: Parquet rows whose `texts` and `images` stand side by side, one of the two in each slot.

An empty slot is null or "". `metadata` and `general_metadata` are JSON strings in OBELICS and objects in OmniCorpus;
both are read. Where a slot holds both (OmniCorpus), the text comes first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipeline.corpora.fields import array, identifier, pixels, string
from pipeline.corpora.parts import Place
from schemas.records import Document, Image, Segment, Text

COLUMNS = ("texts", "images", "metadata", "general_metadata")


def documents(record: dict, place: Place) -> Iterator[Document]:
    texts, addresses = array(record, "texts"), array(record, "images")
    if len(texts) != len(addresses):
        raise ValueError(f"{len(texts)} texts beside {len(addresses)} images")
    metadata = _decoded(record.get("metadata"), list) or [None] * len(texts)
    if len(metadata) != len(texts):
        raise ValueError(f"metadata of {len(metadata)} slots for {len(texts)}")
    segments: list[Segment] = []
    for text, address, about in zip(texts, addresses, metadata):
        if text and text.strip():
            segments.append(Text(text.strip()))
        if address:
            segments.append(_image(place.address(address), about or {}))
    general = _decoded(record.get("general_metadata"), dict) or {}
    yield Document(id=identifier(general, "id") if "id" in general else place.id(record),
                   source=place.format, segments=tuple(segments), url=string(general, "url", ""),
                   location=place.location)


def _image(uri: str, about: dict) -> Image:
    return Image(uri, alt=string(about, "alt_text", ""),
                 width=pixels(about, "original_width"), height=pixels(about, "original_height"))


def _decoded(value: object, kind: type) -> list | dict | None:
    if isinstance(value, str):
        value = json.loads(value)
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"metadata must be a {kind.__name__}, not {type(value).__name__}")
    return value
