"""Derives the coherence thresholds of a model from its scores for a corpus and for copies of it with planted damage."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import PIL.Image

from pipeline.coherence.scorer import Scorer
from pipeline.coherence.witness import KEYS as WEIGHTS
from pipeline.config import CoherenceRules, Ocr
from pipeline.storage.files import write_bytes
from schemas.errors import UserError
from schemas.records import Coherence, StoredDocument, StoredImage, Text

COST = 0.05
"""The share of matching images that each rule about one image may drop: this project's choice.

Most images of a corpus match their text (an audit of MMC4 found 77.6 % of its images aligned, arXiv 2304.06939). With a
weak model, the threshold that best separates equal numbers of matching and mismatched images would drop far more good
images than bad ones. With a fixed cost, a weak model drops little, and a strong one drops what it can distinguish;
`caught` says how much that is.
"""

WORTH = 0.5
"""The share of the true documents below which the limits for damaged ones are given up: the model is too weak."""

STEPS = 100
"""The number of values of each threshold that are tried: percentiles of the true documents."""

COPIED = 200
"""The most images of which modified copies are made."""

_LINE = re.compile(r"(?P<head> +(?P<key>\w+): *)(?P<old>[^\s#]+)(?P<gap> *)(?P<comment>(?:(?<= )#.*)?)(?P<end>\s*)$")


@dataclasses.dataclass(frozen=True)
class ImageThresholds:
    """The two cosines for each image; `caught` is the share of mismatches that each rejects.

    Mismatches are the images of another document (matched), and modified copies of an image (similarity).
    """

    matched_at_least: float
    similarity_at_most: float
    caught: dict[str, float]


@dataclasses.dataclass(frozen=True)
class DocumentThresholds:
    """The two values for a document; `passing` is the share of each kind of document that passes both."""

    mean_at_least: float
    margin_at_least: float
    passing: dict[str, float]


Points = Sequence[tuple[float, float]]
"""A document as pairs of mean and margin; it passes if one pair does. A single image has a margin of infinity."""


def image_thresholds(
    documents: list[StoredDocument],
    score: Callable[[list[StoredDocument]], Sequence[Coherence]],
    scorer: Scorer,
    open_image: Callable[[str], PIL.Image.Image],
) -> ImageThresholds:
    """Thresholds that each drop at most 5 % (`COST`) of the images of a corpus whose images are assumed to match.

    matched_at_least: the 5th percentile of the images' matched scores. similarity_at_most: the 5th percentile of the
    cosines of an image with a copy of it (recompressed, smaller, cropped), but not below the 95th percentile of the
    cosines between different images of one document. Raises UserError for fewer than 20 documents with at least two
    images.
    """
    documents = [d for d in documents if d.images]
    several = [d for d in documents if len({image.sha256 for image in d.images}) > 1]
    if len(several) < 20:
        raise UserError(
            f"calibration needs at least 20 documents with two or more images, and found {len(several)}: "
            "give it more with --corpus."
        )
    right, strangers = score(documents), score(with_strangers(documents))
    own = _low([value for one in right for value in one.matched])
    different = [value for document, one in zip(documents, right, strict=True) for value in _different(document, one)]
    copies = copy_cosines(documents, scorer, open_image)
    similar = max(_low(copies), -_low([-value for value in different]))
    return ImageThresholds(
        own,
        similar,
        caught={
            "matched_at_least": _share(value < own for one in strangers for value in one.matched),
            "similarity_at_most": _share(value > similar for value in copies),
        },
    )


def document_thresholds(
    true: Sequence[Points], damaged: Mapping[str, Sequence[Points]], at_most: Mapping[str, float]
) -> DocumentThresholds:
    """The thresholds with which most of the true documents pass, and of each kind of damaged ones a share `at_most`.

    If fewer than `WORTH` of the true documents would pass, the thresholds with the greatest difference between the
    shares of true and of swapped documents are taken instead. Ties go to those with fewer damaged documents.
    """
    kinds = {"true": _Table.of(true)} | {kind: _Table.of(documents) for kind, documents in damaged.items()}
    means, margins = kinds["true"].mean, kinds["true"].margin
    found = [
        ({kind: table.passing(mean, margin) for kind, table in kinds.items()}, mean, margin)
        for mean in _steps(means)
        for margin in _steps(margins[np.isfinite(margins)])
    ]
    within = [one for one in found if all(one[0][kind] <= most for kind, most in at_most.items())]

    def most_true(one: tuple[dict[str, float], float, float]) -> tuple[float, float]:
        return one[0]["true"], -sum(one[0][kind] for kind in at_most)

    best = max(within, key=most_true, default=None)
    if best is None or best[0]["true"] < WORTH:
        best = max(found, key=lambda one: (one[0]["true"] - one[0]["swapped"], *most_true(one)))
    return DocumentThresholds(best[1], best[2], {kind: round(share, 4) for kind, share in best[0].items()})


@dataclasses.dataclass(frozen=True)
class _Table:
    """The points of all documents: means, margins, and the number of each one's document."""

    mean: np.ndarray
    margin: np.ndarray
    document: np.ndarray
    documents: int

    @classmethod
    def of(cls, documents: Sequence[Points]) -> _Table:
        rows = [(mean, margin, at) for at, points in enumerate(documents) for mean, margin in points]
        mean, margin, document = np.array(rows, dtype=float).reshape(-1, 3).T
        return cls(mean, margin, document.astype(int), len(documents))

    def passing(self, mean: float, margin: float) -> float:
        """The share of documents with a point at or above both thresholds."""
        some = self.document[(self.mean >= mean) & (self.margin >= margin)]
        return len(np.unique(some)) / max(1, self.documents)


def _steps(values: np.ndarray) -> list[float]:
    """The values to try: the lowest, and percentiles, rounded down to 4 decimals as the scores are."""
    if not len(values):
        return [-1.0]
    tried = np.quantile(values, np.linspace(0, 1, STEPS + 1), method="lower")
    return sorted({float(np.floor(value * 10_000 + 1e-6) / 10_000) for value in tried})


def with_strangers(documents: list[StoredDocument]) -> list[StoredDocument]:
    """Each document with the images of the next one, in the order of a hash of the id (neighbours may be related)."""
    order = sorted(documents, key=lambda d: hashlib.sha256(d.id.encode()).digest())
    return [
        with_images(document, tuple(itertools.islice(itertools.cycle(other.images), len(document.images))))
        for document, other in zip(order, order[1:] + order[:1], strict=False)
    ]


def with_images(document: StoredDocument, images: tuple[StoredImage, ...]) -> StoredDocument:
    """The document with other images in place of its own."""
    following = iter(images)
    return dataclasses.replace(
        document,
        segments=tuple(segment if isinstance(segment, Text) else next(following) for segment in document.segments),
    )


def copy_cosines(
    documents: list[StoredDocument], scorer: Scorer, open_image: Callable[[str], PIL.Image.Image]
) -> list[float]:
    """The cosines of up to `COPIED` images with three modified copies each, of the kinds that websites make."""
    hashes = sorted({image.sha256 for document in documents for image in document.images})[:COPIED]
    pairs = [(sha256, name) for sha256 in hashes for name in COPIES]

    def open_copy(key: str) -> PIL.Image.Image:
        sha256, _, name = key.partition(" ")
        picture = open_image(sha256).convert("RGB")
        return COPIES[name](picture) if name else picture

    vectors = scorer.image_vectors([*hashes, *(f"{sha256} {name}" for sha256, name in pairs)], open_copy)
    return [float(vectors[sha256] @ vectors[f"{sha256} {name}"]) for sha256, name in pairs]


def recompressed(picture: PIL.Image.Image) -> PIL.Image.Image:
    """As a JPEG of quality 40."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=40)
    return PIL.Image.open(file)


def smaller(picture: PIL.Image.Image) -> PIL.Image.Image:
    """At 60 % of its sides."""
    return picture.resize((max(1, round(picture.width * 0.6)), max(1, round(picture.height * 0.6))))


def cropped(picture: PIL.Image.Image) -> PIL.Image.Image:
    """Without 3 % at each edge."""
    x, y = round(picture.width * 0.03), round(picture.height * 0.03)
    return picture.crop((x, y, picture.width - x, picture.height - y))


COPIES = {"recompressed": recompressed, "smaller": smaller, "cropped": cropped}


def write_thresholds(config_path: str, rules: CoherenceRules, ocr: Ocr | None = None) -> None:
    """Write the four values under `coherence:` of a YAML configuration, and the weights under `ocr:` if they are given.

    No other character of the file changes. Raises UserError if it has no such blocks with these keys, one per line.
    """
    path = pathlib.Path(config_path)
    text = path.read_bytes().decode()  # read_text would make \r\n to \n
    text = _written(text, config_path, "coherence", dataclasses.asdict(rules))
    if ocr:
        text = _written(text, config_path, "ocr", {key: getattr(ocr, key) for key in WEIGHTS})
    write_bytes(str(path), text.encode())


def _written(text: str, path: str, block: str, values: dict[str, float]) -> str:
    """The text of a configuration with other values in a block."""
    lines = text.splitlines(keepends=True)
    missing, inside = set(values), False
    for at, line in enumerate(lines):
        if line[:1] not in ("", " ", "\r", "\n", "#"):  # a key at the top
            inside = line.startswith(f"{block}:")
        if inside and (match := _LINE.match(line)) and match["key"] in missing:
            missing.remove(match["key"])
            lines[at] = _line(match, values[match["key"]])
    if missing:
        raise UserError(
            f"{path} has no line for {', '.join(sorted(missing))} under `{block}:`; "
            f"write the {'four' if block == 'coherence' else 'three'} keys there, one per line, as in "
            f"{'configs/demo.yaml' if block == 'coherence' else 'docs/quality.md'}."
        )
    return "".join(lines)


def _line(match: re.Match[str], value: float) -> str:
    """The line with another value; a comment stays in its column if there is space."""
    head, old, gap, comment, end = match.group("head", "old", "gap", "comment", "end")
    new = f"{value:.4f}"
    return f"{head}{f'{new} '.ljust(len(old + gap)) if comment else new}{comment}{end}"


def _low(values: list[float]) -> float:
    """The 5th percentile, rounded down to 4 decimals as the scores are."""
    return float(np.floor(np.quantile(values, COST, method="lower") * 10_000 + 1e-6) / 10_000)


def _different(document: StoredDocument, score: Coherence) -> list[float]:
    """For each image but the first: the cosine with the most similar earlier one, unless one of them is identical."""
    seen: set[str] = set()
    values: list[float] = []
    for image, value in zip(document.images, score.max_previous_similarity, strict=True):
        if seen and image.sha256 not in seen:
            values.append(value)
        seen.add(image.sha256)
    return values


def _share(hits: Iterable[bool]) -> float:
    found = list(hits)
    return round(sum(found) / len(found), 4)
