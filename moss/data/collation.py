"""Makes a `Batch` of one static shape from rows of samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from moss.batch import Batch, Sample
from moss.layout import ImageLayout

ROUND = 128
"""Numbers of targets are rounded up to a multiple of this, so that compiled code sees few shapes."""


def collate(rows: Sequence[Sequence[Sample]], length: int, layout: ImageLayout, pad_id: int) -> Batch:
    """A batch with each row's samples one after the other, then padding up to `length`.

    The target at a token is the next token of the same sample, if that is trained. Raises ValueError if a row is too
    long, or if there is no target at all.
    """
    ids = np.full((len(rows), length), pad_id, np.int64)
    positions = np.zeros_like(ids)
    places: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    samples: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    vectors: list[np.ndarray] = []
    keys: list[str] = []
    for r, row in enumerate(rows):
        start = 0
        for sample in row:
            end = start + len(sample.ids)
            if end > length:
                raise ValueError(f"a row's samples are longer than its {length} tokens, from {sample.key} on")
            ids[r, start:end] = sample.ids
            positions[r, start:end] = np.arange(end - start)
            trained = 1 + np.flatnonzero(sample.trained[1:])
            places.append(r * length + start + trained - 1)
            targets.append(sample.ids[trained])
            samples.append(np.full(len(trained), len(keys)))
            numbers.append(sample.image_number[trained])
            keys.append(sample.key)
            if sample.vectors is not None:
                vectors.append(sample.vectors)
            start = end
        positions[r, start:] = np.arange(length - start)
    at, target, of, number = map(np.concatenate, (places, targets, samples, numbers))
    if not len(at):
        raise ValueError(f"nothing is trained in {', '.join(keys)}")
    image = (layout.low <= target) & (target < layout.high)
    flat = np.concatenate(vectors) if vectors else None
    if flat is None:
        image_target = target[image] - layout.low
    else:
        is_image = (layout.low <= ids) & (ids < layout.high)
        image_target = flat[np.cumsum(is_image.ravel())[at[image] + 1] - 1]
    made = torch.from_numpy
    return Batch(
        ids=made(ids),
        positions=made(positions),
        text_at=made(_rounded(at[~image])),
        text_target=made(_rounded(target[~image])),
        text_of=made(_rounded(of[~image], -1)),
        image_at=made(_rounded(at[image])),
        image_target=made(_rounded(image_target)),
        image_of=made(_rounded(of[image], -1)),
        image_number=made(_rounded(number[image])),
        vectors=None if flat is None else made(flat),
        keys=tuple(keys),
    )


def _rounded(values: np.ndarray, fill: int = 0) -> np.ndarray:
    """The values, padded to the next multiple of ROUND, and never empty."""
    size = max(1, -(-len(values) // ROUND)) * ROUND
    return np.concatenate([values, np.full((size - len(values), *values.shape[1:]), fill, values.dtype)])
