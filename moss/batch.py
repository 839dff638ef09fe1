"""The input of training and measuring: packed token ids, and the positions of the targets."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch


@dataclasses.dataclass(frozen=True)
class Sample:
    """One instance as n tokens.

    ids: int64 (n,). trained: bool (n,), true for a token that is a target. image_number: int64 (n,), at the image
    tokens of the output's images 1, 2, ...; 0 elsewhere. vectors: float32 (image tokens, c), the image tokens' vectors
    in reading order, for a continuous backbone; else None.
    """

    key: str
    ids: np.ndarray
    trained: np.ndarray
    image_number: np.ndarray
    vectors: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Batch:
    """B rows of L tokens, several samples packed into a row.

    ids, positions: int64 (B, L); positions start at 0 with every sample (and with the padding), which is also what
    keeps attention inside a sample. A target is predicted at the token before it:
    text_at (T,) are indices into the B * L flattened tokens, text_target (T,) the ids to predict there, text_of (T,)
    the number of the sample in `keys`; image_at, image_of and image_number (I,) likewise, image_target (I,) the codes
    (id - low), or (I, c) vectors for a continuous backbone. T and I are rounded up; the surplus has `*_of` = -1,
    `*_at` = 0 and a target of 0. vectors: float32 (image tokens in ids, c) in reading order, or None.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    text_at: torch.Tensor
    text_target: torch.Tensor
    text_of: torch.Tensor
    image_at: torch.Tensor
    image_target: torch.Tensor
    image_of: torch.Tensor
    image_number: torch.Tensor
    vectors: torch.Tensor | None
    keys: tuple[str, ...]

    def to(self, device: torch.device | str) -> Batch:
        moved = {
            f.name: getattr(self, f.name).to(device, non_blocking=True)
            for f in dataclasses.fields(self)
            if isinstance(getattr(self, f.name), torch.Tensor)
        }
        return dataclasses.replace(self, **moved)
