"""OBELICS and OmniCorpus: Parquet rows whose `texts` and `images` are parallel lists, with one of the two in each slot.

An empty slot is null or "". `metadata` and `general_metadata` are JSON strings in OBELICS and objects in OmniCorpus;
both are read. If a slot has both (OmniCorpus), the text comes first.

Where a page went on with another post, OBELICS has BREAK in the text, alone or between paragraphs. There the row's next
document begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pipeline.corpora.fields import Record, identifier, mapping, objects, pixels, string, strings
from pipeline.corpora.parts import PARQUET, Format, Place
from schemas.records import Document, Image, Segment, Text

BREAK = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"
COLUMNS = ("texts", "images", "metadata", "general_metadata")


def documents(record: Record, place: Place) -> Iterator[Document]:
    """The documents of one row, mostly one: text and image of each slot.

    The first has the row's id, of which the others' ids (`<id>_part2`) are parts, as articles' methods are.
    """
    texts, addresses = strings(record, "texts", ""), strings(record, "images", "")
    if len(texts) != len(addresses):
        raise ValueError(f"{len(texts)} texts beside {len(addresses)} images")
    metadata = objects(_decoded(record, "metadata", []), "metadata", {}) or [{}] * len(texts)
    if len(metadata) != len(texts):
        raise ValueError(f"metadata of {len(metadata)} slots for {len(texts)}")
    pieces: list[list[Segment]] = [[]]
    for text, address, about in zip(texts, addresses, metadata, strict=False):
        for number, paragraphs in enumerate(text.split(BREAK)):
            if number:
                pieces.append([])
            if paragraphs.strip():
                pieces[-1].append(Text(paragraphs.strip()))
        if address:
            pieces[-1].append(_image(place.address(address), about))
    general = mapping(_decoded(record, "general_metadata", {}), "general_metadata")
    own = identifier(general, "id") if "id" in general else place.id(record)
    for number, segments in enumerate([piece for piece in pieces if piece] or [[]], 1):
        yield Document(
            id=own if number == 1 else f"{own}_part{number}",
            source=place.format,
            segments=tuple(segments),
            url=string(general, "url", ""),
            location=place.location if number == 1 else f"{place.location}#{number}",
        )


def _image(uri: str, about: Record) -> Image:
    return Image(
        uri,
        alt=string(about, "alt_text", ""),
        width=pixels(about, "original_width"),
        height=pixels(about, "original_height"),
    )


def _decoded(record: Record, name: str, empty: object) -> Record:
    """A record with this field only, decoded if it is JSON; `empty` if it is null or absent."""
    value = record.get(name)
    found = json.loads(value) if isinstance(value, str) else value
    return {name: empty if found is None else found}


OBELICS = Format(
    documents,
    PARQUET,
    columns=COLUMNS,
    about="141 million web pages as texts and images in turn (arXiv 2306.16527)",
    get="Hugging Face: HuggingFaceM4/OBELICS; images are fetched from their sites",
    terms="CC BY 4.0 for the collection; texts and images belong to their sites",
)

OMNICORPUS = Format(
    documents,
    PARQUET,
    columns=COLUMNS,
    about="210 million documents of the Common Crawl part of OmniCorpus, in the layout of OBELICS (arXiv 2406.08418)",
    get="Hugging Face: OpenGVLab/OmniCorpus-CC-210M; images are fetched from their sites",
    terms="CC BY 4.0 for the collection; texts and images belong to their sites",
)
