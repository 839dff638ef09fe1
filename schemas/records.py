"""The records that travel through the pipeline, as frozen dataclasses.

A document keeps its type from the reader to the shard; each stage returns a copy with one more field known.
The JSON Schema and the Arrow schema of an instance are in `instance.schema.json` and `arrow.py`; a test holds the
three together.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Text:
    """One paragraph, heading or list, as the source gives it (Markdown is allowed)."""

    text: str


@dataclasses.dataclass(frozen=True)
class Image:
    """One picture in its place among the paragraphs.

    `uri` says where the bytes are: a path, `archive.tar!/member`, an object-store URL or http(s). `width` and
    `height` are pixels: the source's claim until the picture is stored, then the stored picture's. `sha256` is the
    hash of the stored (normalised) file, None until then.
    """

    uri: str
    alt: str = ""
    caption: str = ""
    width: int | None = None
    height: int | None = None
    sha256: str | None = None


Segment = Text | Image


@dataclasses.dataclass(frozen=True)
class Drop:
    """A rule's no: the value that it measured and the threshold that the value missed."""

    rule: str
    value: float
    threshold: float


@dataclasses.dataclass(frozen=True)
class ImageDrop:
    """A picture that was taken out of a document which itself went on. `index` counts the document's images from 0
    as they were read."""

    index: int
    uri: str
    stage: str
    drop: Drop


@dataclasses.dataclass(frozen=True)
class Coherence:
    """Text-image coherence of one document; one entry an image in reading order, cosines rounded to 4 decimals.

    own: the image with the sentences next to it (best of them). other: the mean over the text next to the document's
    other images (nan-free: equal to `own` - 0 when there is no other; see `margin`). similar: the highest similarity
    to an earlier image of the document (-1 for the first). margin: mean(own) - mean(other); None for fewer than two
    images. recall_at_1: share of images whose own text scores highest; None likewise.
    """

    own: tuple[float, ...]
    other: tuple[float, ...]
    similar: tuple[float, ...]
    margin: float | None
    recall_at_1: float | None
    model: str


@dataclasses.dataclass(frozen=True)
class Ratings:
    """The LLM's judgment of the text, each from 1 (bad) to 5 (good), rounded to 2 decimals."""

    fluency: float
    coherence: float
    completeness: float
    usefulness: float


@dataclasses.dataclass(frozen=True)
class Written:
    """What the LLM wrote for a document: the instruction, its domain, and how many tries that took (1 to 3)."""

    instruction: str
    domain: str
    attempts: int


@dataclasses.dataclass(frozen=True)
class Document:
    """One interleaved document. `location` is `file:line` (or `file:row`) for error messages."""

    id: str
    source: str
    segments: tuple[Segment, ...]
    title: str = ""
    url: str = ""
    license: str = ""
    location: str = ""
    dropped_images: tuple[ImageDrop, ...] = ()
    coherence: Coherence | None = None
    ratings: Ratings | None = None
    written: Written | None = None

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(s for s in self.segments if isinstance(s, Image))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(s.text for s in self.segments if isinstance(s, Text))


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
    """What made an instance. Prompt versions are content hashes; `config` is the hash of the whole configuration."""

    pipeline: str
    config: str
    clip: str
    llm: str
    rate_prompt: str
    write_prompt: str


@dataclasses.dataclass(frozen=True)
class Instance:
    """One training example. Images in `context` and `output` are in reading order and carry their sha256."""

    id: str
    key: str
    instruction: str
    context: tuple[Segment, ...]
    output: tuple[Segment, ...]
    domain: str
    title: str
    source: str
    url: str
    license: str
    coherence: Coherence
    ratings: Ratings
    provenance: Provenance


KEPT, DROPPED, FAILED = "kept", "dropped", "failed"

STAGES = ("read", "duplicates", "text", "image_rules", "images", "picture_fit", "excerpt", "coherence", "quality",
          "instruction", "assemble")
"""Where a document can end, in the order of the flow; `Outcome.stage` and `ImageDrop.stage` are one of these."""


@dataclasses.dataclass(frozen=True)
class LastState:
    """A document that a rule ended, as the step had left it by then, with fewer pictures perhaps."""

    document: Document
    drop: Drop


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The ledger's one row for an input document.

    kept: `shard` and `key` say where. dropped: `stage`, `rule`, `value`, `threshold` say why. failed: `stage`, `error`
    (its kind) and `detail`. `scores` holds whatever was measured before the end (name -> value).
    """

    id: str
    source: str
    location: str
    status: str
    stage: str = ""
    rule: str = ""
    value: float | None = None
    threshold: float | None = None
    error: str = ""
    detail: str = ""
    shard: str = ""
    key: str = ""
    images: int = 0
    dropped_images: tuple[ImageDrop, ...] = ()
    scores: tuple[tuple[str, float], ...] = ()
    title: str = ""
