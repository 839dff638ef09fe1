"""The records that pass through the pipeline, as frozen dataclasses.

A document is read as a `Document`. Each stage that adds information returns a subclass, so that the type of a stage's
input says what is known at that point: `StoredDocument` (its images are in the image store), `ScoredDocument` (CLIP has
scored it), `RatedDocument` (the language model has rated it), `InstructedDocument` (it has an instruction).
The JSON Schema and the Arrow schema of an instance are in `instance.schema.json` and `arrow.py`; a test compares the
three.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self


@dataclasses.dataclass(frozen=True)
class Text:
    """One paragraph, heading or list, as the source gives it (Markdown is allowed)."""

    text: str


@dataclasses.dataclass(frozen=True)
class Image:
    """One image of a document.

    `uri` says where the bytes are: a path, `archive.tar!/member`, an object-store URL or http(s). `width` and
    `height` are in pixels as the source states them, None if it does not.
    """

    uri: str
    alt: str = ""
    caption: str = ""
    width: int | None = None
    height: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizedImage(Image):
    """An image of known size, in pixels."""

    width: int
    height: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredImage(SizedImage):
    """An image whose normalised file is in the image store.

    `width` and `height` are the stored file's pixels, `sha256` is its hash (hex), `extension` is `jpg` or `png`. `ocr`
    is the text that was read in the image, one line for each line of text; None if it was not read.
    """

    sha256: str
    extension: str
    ocr: str | None = None


Segment = Text | Image
StoredSegment = Text | StoredImage


@dataclasses.dataclass(frozen=True)
class Drop:
    """Why a rule dropped something: the value that it measured, and the threshold that the value missed."""

    rule: str
    value: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class ImageDrop:
    """An image that was removed from a document which itself continued.

    `index` is its position among the document's images as they were read, from 0. `detail` says more, for example which
    image it repeats.
    """

    index: int
    uri: str
    stage: str
    drop: Drop
    detail: str = ""


@dataclasses.dataclass(frozen=True)
class Coherence:
    """Text-image coherence of one document: one entry per image in reading order, rounded to 4 decimals.

    matched: how well the image matches the text next to it, a mean of its cosines with the sentences there in which the
    best and the nearest count most. mismatched: the mean of the same for the texts next to the document's other images,
    or `matched` if all of them have the same text. max_previous_similarity: the highest cosine with an earlier image of
    the document, -1 for the first. margin: mean(matched) - mean(mismatched). recall_at_1: the share of images whose own
    text scores highest. Both are None if no image has another text next to it than the others. model: name and version
    of the CLIP model.
    """

    matched: tuple[float, ...]
    mismatched: tuple[float, ...]
    max_previous_similarity: tuple[float, ...]
    margin: float | None
    recall_at_1: float | None
    model: str


Ratings = Mapping[str, float]
"""The language model's ratings of a text by aspect, each from 1 (bad) to 5 (good), rounded to 2 decimals.

The prompt set declares the aspects (`prompts/*/rate/aspects.yaml`).
"""


MOST_CANDIDATES = 8
"""The most instructions that a language model writes for a document."""


@dataclasses.dataclass(frozen=True)
class GeneratedInstruction:
    """What the language model wrote for a document: instruction and domain.

    attempts: the number of the candidate that was taken, from 1 to `MOST_CANDIDATES`; 0 for one made of the document's
    title.
    """

    instruction: str
    domain: str
    attempts: int


@dataclasses.dataclass(frozen=True)
class Document:
    """One interleaved document as it was read. `location` is `file:line` (or `file:row`) for error messages.

    part_of: the whole document's title, if this is an excerpt with a title of its own.

    >>> page = Document("tea", "manuals", (Text("Boil water."), Image("tea.jpg", alt="A kettle")), title="Tea")
    >>> page.texts, [image.alt for image in page.images]
    (('Boil water.',), ['A kettle'])
    """

    id: str
    source: str
    segments: tuple[Segment, ...]
    title: str = ""
    url: str = ""
    license: str = ""
    location: str = ""
    dropped_images: tuple[ImageDrop, ...] = ()
    part_of: str = ""

    @property
    def images(self) -> tuple[Image, ...]:
        """The images in reading order."""
        return tuple(s for s in self.segments if isinstance(s, Image))

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts in reading order."""
        return tuple(s.text for s in self.segments if isinstance(s, Text))

    @classmethod
    def of(cls, document: Document, **known: Any) -> Self:
        """The document as this subclass; `known` are the fields that it adds or changes.

        >>> StoredDocument.of(Document("tea", "manuals", (Text("Boil water."),))).images
        ()
        """
        same = {f.name: getattr(document, f.name) for f in dataclasses.fields(document)}
        return cls(**same | known)


@dataclasses.dataclass(frozen=True)
class StoredDocument(Document):
    """A document whose images are all in the image store."""

    segments: tuple[StoredSegment, ...]

    @property
    def images(self) -> tuple[StoredImage, ...]:
        """The images in reading order."""
        return tuple(s for s in self.segments if isinstance(s, StoredImage))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoredDocument(StoredDocument):
    """A document with its text-image coherence."""

    coherence: Coherence


@dataclasses.dataclass(frozen=True, kw_only=True)
class RatedDocument(ScoredDocument):
    """A document (by now an excerpt) with the language model's ratings."""

    ratings: Ratings


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstructedDocument(RatedDocument):
    """A document with the instruction that the language model wrote for it."""

    generated: GeneratedInstruction


@dataclasses.dataclass(frozen=True)
class Fault:
    """A record that could not be read: where it is and what is wrong with it."""

    id: str
    source: str
    location: str
    error: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Provenance:
    """The versions that made an instance; those of prompts are content hashes, `config` is the configuration's hash."""

    pipeline: str
    config: str
    clip: str
    llm: str
    rate_prompt: str
    write_prompt: str


@dataclasses.dataclass(frozen=True)
class Instance:
    """One training example; images in `context` and `output` are in reading order and have their sha256."""

    id: str
    key: str
    instruction: str
    context: tuple[StoredSegment, ...]
    output: tuple[StoredSegment, ...]
    domain: str
    title: str
    source: str
    url: str
    license: str
    coherence: Coherence
    ratings: Ratings
    provenance: Provenance


@dataclasses.dataclass(frozen=True)
class DroppedDocument:
    """A document that a rule dropped, as the stage changed it before (it may have fewer images)."""

    document: Document
    drop: Drop
    detail: str = ""
