"""What is measured of a trained generalist on held-out documents: its losses, and its retrieval of pictures by text."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import torch

from benchmarks.uplift.examples import LENGTH, Codes, fitting, instance_of, sample_of
from moss.backbones.generalist import Generalist
from moss.batch import Sample
from moss.data import collate
from moss.data.packing import pack
from moss.evaluation import metrics
from moss.evaluation.metrics import COUNT, LOSS, InstanceSums
from pipeline.coherence.damage import order
from pipeline.run import Run
from schemas.errors import UserError
from schemas.records import StoredDocument, StoredImage, Text

AMONG = 10
"""The number of pictures of which one belongs to a text."""
MOST_PICTURES = 100
"""The most pictures that are looked for; each has to be measured after `AMONG` texts."""
WORDS = 40
"""The most words above a picture by which it is looked for."""
ROWS = 3
"""The number of rows that are measured at a time."""

BETTER = {"text loss": -1, "image loss": -1, "right of 10": 1, "reciprocal rank": 1}
"""Figure -> 1 if a higher value is better, -1 if a lower one is. Losses are nats a token."""
CHANCE = {"right of 10": 1 / AMONG, "reciprocal rank": sum(1 / rank for rank in range(1, AMONG + 1)) / AMONG}
"""The figures of retrieval at random."""


@dataclasses.dataclass(frozen=True)
class Exam:
    """Held-out documents, and each picture of a group of `AMONG` after each of the group's texts.

    pairs: samples whose only image is the picture, group by group, text by text, picture by picture.
    """

    documents: tuple[Sample, ...]
    pairs: tuple[Sample, ...]

    def measure(self, generalist: Generalist) -> dict[str, float]:
        """The figures of `BETTER`."""
        sums = _sums(generalist, self.documents)
        text, image = sums.text.sum(0), sums.image.sum((0, 1))
        ranks = ranked(_sums(generalist, self.pairs).image[:, 0, LOSS].reshape(-1, AMONG, AMONG))
        values = (text[LOSS] / text[COUNT], image[LOSS] / image[COUNT], (ranks == 1).mean(), (1 / ranks).mean())
        return dict(zip(BETTER, map(float, values), strict=True))


def exam_of(run: Run, excerpts: Sequence[StoredDocument], codes: Codes, generalist: Generalist) -> Exam:
    """The exam on these excerpts. Raises UserError if they have fewer than `AMONG` different first pictures."""
    first: dict[str, tuple[StoredDocument, Text, StoredImage]] = {}
    for excerpt in sorted(excerpts, key=lambda excerpt: order(excerpt.id)):
        segments = instance_of(run, excerpt, excerpt.title).output
        at = next(at for at, segment in enumerate(segments) if isinstance(segment, StoredImage))
        picture, above = segments[at], segments[at - 1]
        if at and isinstance(picture, StoredImage) and isinstance(above, Text):
            text = Text(" ".join(above.text.split()[-WORDS:]))
            first.setdefault(picture.sha256, (excerpt, text, picture))
    chosen = list(first.values())[:MOST_PICTURES]
    if len(chosen) < AMONG:
        raise UserError(f"retrieval needs {AMONG} different held-out pictures, and there are {len(chosen)}")
    groups = [chosen[at : at + AMONG] for at in range(0, len(chosen) - AMONG + 1, AMONG)]

    def pair(excerpt: StoredDocument, text: Text, picture: StoredImage) -> Sample:
        both = dataclasses.replace(excerpt, segments=(text, picture))
        return sample_of(instance_of(run, both, excerpt.title), codes, generalist)

    pairs = [pair(excerpt, text, picture) for group in groups for excerpt, text, _ in group for _, _, picture in group]
    return Exam(tuple(fitting(run, excerpts, {}, codes, generalist).values()), tuple(pairs))


def ranked(losses: np.ndarray) -> np.ndarray:
    """The rank, from 1, of each text's own picture; `losses` (groups, texts, pictures) has own pairs on the diagonals.

    A picture's loss counts less its mean after the group's texts, because plain pictures are likely after any text.
    Ties count half.
    """
    relative = losses - losses.mean(1, keepdims=True)
    own = np.diagonal(relative, axis1=1, axis2=2)[..., None]
    ranks: np.ndarray = 0.5 + (relative < own).sum(2) + 0.5 * (relative == own).sum(2)
    return ranks.ravel()


@torch.no_grad()
def _sums(generalist: Generalist, samples: Iterable[Sample]) -> InstanceSums:
    """The sums of each sample, in the order of the samples."""
    named = [dataclasses.replace(sample, key=f"{number:06d}") for number, sample in enumerate(samples)]
    device = next(generalist.parameters()).device
    rows = pack([len(sample.ids) for sample in named], LENGTH, 0, 0)
    parts = []
    for at in range(0, len(rows), ROWS):
        some = [[named[number] for number in row] for row in rows[at : at + ROWS]]
        batch = collate(some, LENGTH, generalist.layout, generalist.tokenizer.pad).to(device)
        parts.append(metrics.instance_sums(generalist(batch), batch, generalist.layout))
    return metrics.joined(parts)
