"""Coherence of answers by an open_clip model: of images with the text next to them, and of images with each other.

The pipeline scores documents in the same way (docs/format.md): an image's *matched* score is a mean of its cosines with
the sentences next to it, in which the best and the nearest count most; the *mismatched* one is the mean of the same for
the texts next to the answer's other images.
`moss/` must not import the pipeline, so this is a small separate implementation, without batches and caches; a test
compares both. It differs where a text has Markdown or abbreviations, of which the pipeline's sentences know, and an
image without any text beside it has no score here, and 0 there.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import torch_compat  # noqa: F401 - before open_clip, which imports torchvision

# isort: split
import numpy as np
import open_clip
import PIL.Image
import torch

from moss.answers.folder import Answered, Segments, opened
from schemas.errors import UserError
from schemas.records import Text
from schemas.words import words

COPY = 0.95
"""The cosine from which an image counts as a copy of another."""
BATCH = 16
NEAREST = 6
"""The number of sentences on each side of an image that count as its own text, as in the pipeline."""
NEXT = 0.75
"""How much a sentence counts beside the one that matches next best, as in the pipeline."""
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


@dataclasses.dataclass(frozen=True)
class Coherence:
    """The coherence of one answer with P images.

    matched: float64 (P,), nan for an image without any text next to it. margin: matched minus mismatched, None for
    fewer than two different texts next to images. between: the mean cosine of its images with each other, None for fewer than two.
    copies: how many images are copies of one in the context. repeated: how many are copies of an earlier one in the
    answer.
    """

    matched: np.ndarray
    margin: float | None
    between: float | None
    copies: int
    repeated: int


class Clip:
    """An open_clip model, on the GPU if there is one.

    name: `local-dir:FOLDER`, or open_clip's name of a model with the weights `weights`. Raises UserError if it or its
    weights cannot be loaded.
    """

    def __init__(self, name: str, weights: str | None = None) -> None:
        try:
            made, preprocess = open_clip.create_model_from_pretrained(name, pretrained=weights)
            self.tokenizer = open_clip.get_tokenizer(name)
        except (OSError, ValueError, RuntimeError, AssertionError) as error:
            raise UserError(f"--clip: open_clip cannot load {name} with --clip-weights {weights}: {error}") from error
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model: Any = made.eval().requires_grad_(False).to(self.device)
        self.preprocess: Any = preprocess

    @torch.no_grad()
    def pictures(self, pictures: Sequence[PIL.Image.Image]) -> np.ndarray:
        """The unit vectors (N, d) of images; at least one."""
        found = []
        for at in range(0, len(pictures), BATCH):
            batch = torch.stack([self.preprocess(picture) for picture in pictures[at : at + BATCH]])
            found.append(self.model.encode_image(batch.to(self.device), normalize=True).float().cpu())
        return np.asarray(torch.cat(found), dtype=np.float64)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """The unit vectors (N, d) of texts; at least one."""
        found = []
        for at in range(0, len(texts), BATCH):
            tokens = self.tokenizer(list(texts[at : at + BATCH]))
            found.append(self.model.encode_text(tokens.to(self.device), normalize=True).float().cpu())
        return np.asarray(torch.cat(found), dtype=np.float64)

    def coherence(self, answer: Answered) -> Coherence:
        """The coherence of an answer's images."""
        own = answer.pictures
        if not own:
            return Coherence(np.zeros(0), None, None, 0, 0)
        vectors = self.pictures([opened(picture) for picture in own])
        given = [opened(s) for s in answer.context if not isinstance(s, Text)]
        copies = int((vectors @ self.pictures(given).T > COPY).any(1).sum()) if given else 0
        between = vectors @ vectors.T
        earlier = np.tril(between, -1) > COPY
        beside = neighbours(answer.output)
        sentences = [s for some in beside for s, _ in some]
        matched, margin = np.full(len(own), np.nan), None
        if sentences:
            of = np.repeat(np.arange(len(own)), [len(some) for some in beside])
            cosines = vectors @ self.texts(sentences).T
            # (picture, the picture whose text it is)
            fit = np.stack([_match(cosines[:, of == n], beside[n]) for n in range(len(own))], axis=1)
            matched = np.diag(fit).copy()
            written = [n for n in range(len(own)) if beside[n]]
            others = {n: [m for m in written if beside[m] != beside[n]] for n in written}
            if any(others.values()):
                margin = float(np.mean([matched[n] - fit[n, others[n]].mean() for n in written]))
        pairs = between[np.triu_indices(len(own), 1)]
        return Coherence(
            matched, margin, float(pairs.mean()) if len(pairs) else None, copies, int(earlier.any(1).sum())
        )


def _match(cosines: np.ndarray, beside: list[tuple[str, float]]) -> np.ndarray:
    """How well N images match a text, from their cosines (N, sentences): (N,), nan without a sentence."""
    if not beside:
        return np.full(len(cosines), np.nan)
    order = np.argsort(-cosines, axis=1, kind="stable")
    counts = np.array([weight for _, weight in beside])[order] * NEXT ** np.arange(len(beside))
    matched: np.ndarray = (np.take_along_axis(cosines, order, axis=1) * counts).sum(axis=1) / counts.sum(axis=1)
    return matched


def neighbours(segments: Segments) -> list[list[tuple[str, float]]]:
    """For every image, the sentences of the text next to it with their weights: up to NEAREST before and after.

    The nearest are first, and weigh 1, the next 2/3, then 1/2, 2/5 and so on. Images that follow each other share the
    text around them; the text of an image ends at the next image.

    >>> neighbours([Text("One. Two."), PIL.Image.new("RGB", (1, 1)), Text("Three.")])
    [[('Two.', 1.0), ('One.', 0.6666666666666666), ('Three.', 1.0)]]
    """
    return [
        [
            (sentence, 2 / (2 + k))
            for side in (_beside(segments[:n][::-1], -1), _beside(segments[n + 1 :], 1))
            for k, sentence in enumerate(side)
        ]
        for n, segment in enumerate(segments)
        if not isinstance(segment, Text)
    ]


def _beside(segments: Segments, step: int) -> list[str]:
    """The nearest sentences of segments that begin at an image; step -1: they are in reverse order."""
    found: list[str] = []
    for segment in segments:
        if not isinstance(segment, Text):
            if found:
                break
            continue
        parts = (part.strip() for part in _SENTENCE.split(segment.text))
        found += [part for part in parts if words(part)][::step]
        if len(found) >= NEAREST:
            break
    return found[:NEAREST]
