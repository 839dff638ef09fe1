"""Coherence of answers by an open_clip model: of images with the text next to them, and of images with each other.

The pipeline scores documents in the same way (docs/format.md): an image's *matched* score is its best cosine with a
sentence next to it, the *mismatched* one the mean of its best cosines with the text next to the answer's other images.
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
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


@dataclasses.dataclass(frozen=True)
class Coherence:
    """The coherence of one answer with P images.

    matched: float64 (P,), nan for an image without any text next to it. margin: matched minus mismatched, None for
    fewer than two images with text. between: the mean cosine of its images with each other, None for fewer than two.
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
        sentences = [s for some in beside for s in some]
        matched, margin = np.full(len(own), np.nan), None
        if sentences:
            of = np.repeat(np.arange(len(own)), [len(some) for some in beside])
            cosines = vectors @ self.texts(sentences).T
            best = np.stack(
                [cosines[:, of == n].max(1) if (of == n).any() else np.full(len(own), np.nan) for n in range(len(own))],
                axis=1,
            )  # (picture, the picture whose text it is)
            matched = np.diag(best).copy()
            written = [n for n in range(len(own)) if beside[n]]
            if len(written) > 1:
                others = [best[n, [m for m in written if m != n]].mean() for n in written]
                margin = float((matched[written] - np.array(others)).mean())
        pairs = between[np.triu_indices(len(own), 1)]
        return Coherence(
            matched, margin, float(pairs.mean()) if len(pairs) else None, copies, int(earlier.any(1).sum())
        )


def neighbours(segments: Segments) -> list[list[str]]:
    """For every image, the sentences of the text next to it: up to NEAREST before and after, the nearest first.

    Images that follow each other share the text around them; the text of an image ends at the next image.

    >>> neighbours([Text("One. Two."), PIL.Image.new("RGB", (1, 1)), Text("Three.")])
    [['Two.', 'One.', 'Three.']]
    """
    return [
        [*_beside(segments[:n][::-1], -1), *_beside(segments[n + 1 :], 1)]
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
