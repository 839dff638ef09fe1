"""Measures of answers without a judge, as columns of sums for the bootstrap."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from moss.answers.folder import Answered
from moss.evaluation import metrics
from moss.judging.clip import Coherence
from schemas.records import Text

PLACES = 4
"""The number of first images that have their own columns; later ones are rare."""


@dataclasses.dataclass(frozen=True)
class Column:
    """A figure: the ratio of two sums over N answers; float64 (N,) each."""

    title: str
    total: np.ndarray
    count: np.ndarray


def columns(answers: Sequence[Answered], coherence: Sequence[Coherence] | None) -> list[Column]:
    """The columns of form and repetition; with `coherence` (one for each answer), also CLIP's figures."""
    ones = np.ones(len(answers))
    pictures = np.array([len(a.pictures) for a in answers], dtype=np.float64)
    begun = pictures + [a.missing for a in answers]
    repeated = np.array([metrics.repetition([Text(t) for t in a.texts]) for a in answers], dtype=np.float64)
    found = [
        Column("words", np.array([len(" ".join(a.texts).split()) for a in answers], dtype=np.float64), ones),
        Column("images", pictures, ones),
        Column("images delivered / begun", pictures, begun),
        Column("empty answers", np.array([a.empty for a in answers], dtype=np.float64), ones),
        Column("repeated 4-grams", repeated[:, 0], repeated[:, 1]),
    ]
    if coherence is None:
        return found
    matched = [c.matched for c in coherence]
    found += [
        Column(
            "CLIP text-image",
            *_sums([float(m[~np.isnan(m)].mean()) if (~np.isnan(m)).any() else None for m in matched]),
        ),
        Column("CLIP margin", *_sums([c.margin for c in coherence])),
        Column("CLIP image-image", *_sums([c.between for c in coherence])),
        Column("copies of the context", np.array([c.copies for c in coherence], dtype=np.float64), pictures),
        Column("repeated images", np.array([c.repeated for c in coherence], dtype=np.float64), pictures),
    ]
    most = min(PLACES, max((len(m) for m in matched), default=0))
    for n in range(most):
        values = [None if len(m) <= n or np.isnan(m[n]) else float(m[n]) for m in matched]
        found.append(Column(f"CLIP text-image, image {n + 1}", *_sums(values)))
    return found


def _sums(values: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """The values and counts; None counts nothing."""
    known = np.array([value is not None for value in values], dtype=np.float64)
    return np.array([value or 0.0 for value in values], dtype=np.float64), known
