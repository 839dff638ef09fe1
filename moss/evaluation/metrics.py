"""The measures of a model: sums over each instance's targets, and the form of its answers."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from moss.backbones.generalist import TokenScores
from moss.batch import Batch
from moss.generation.whole_images import FREE, forced, places
from moss.layout import ImageLayout
from schemas.records import Text

LOSS, HIT, COUNT = range(3)


@dataclasses.dataclass(frozen=True)
class InstanceSums:
    """The sums of N instances, float64.

    The last axis is LOSS (nats, or squared error), HIT (number of right predictions, or sum of cosines) and COUNT
    (number of targets).

    text (N, 3): words and eos. boundary (N, 3): begin, header, row ends, footer and end of images, which a model
    learns soon and which would flatter its perplexity. image (N, M, 3): the image tokens of the output's image 1..M.
    """

    keys: tuple[str, ...]
    text: np.ndarray
    boundary: np.ndarray
    image: np.ndarray


def instance_sums(scores: TokenScores, batch: Batch, layout: ImageLayout) -> InstanceSums:
    """The sums of one batch. Surplus targets (`*_of` = -1) are left out."""
    inside = places(batch.ids, layout).flatten()[batch.text_at] > 0  # the token before the target is in a block
    boundary = inside | (batch.text_target == layout.begin)
    text = _grouped(len(batch.keys), 2, batch.text_of, boundary.long(), scores.text_loss, scores.text_hit)
    most = int(batch.image_number.max()) if len(batch.image_number) else 0
    image = _grouped(len(batch.keys), most, batch.image_of, batch.image_number - 1, scores.image_loss, scores.image_hit)
    return InstanceSums(batch.keys, text[:, 0], text[:, 1], image)


def joined(parts: Iterable[InstanceSums]) -> InstanceSums:
    """The sums of several batches; instances are in the order of their keys, so that two runs' arrays can be paired."""
    parts = list(parts)
    keys = [key for part in parts for key in part.keys]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{len(keys) - len(set(keys))} instances were measured twice")
    most = max((part.image.shape[1] for part in parts), default=0)
    image = [np.pad(part.image, ((0, 0), (0, most - part.image.shape[1]), (0, 0))) for part in parts]
    order = np.argsort(keys)
    return InstanceSums(
        tuple(keys[i] for i in order),
        *(
            np.concatenate(arrays)[order]
            for arrays in ([part.text for part in parts], [part.boundary for part in parts], image)
        ),
    )


def blocks(ids: Sequence[int], layout: ImageLayout) -> tuple[int, int]:
    """The numbers of images begun in a freely drawn answer, and of complete ones.

    An image that is valid up to the end of the ids, but not complete, counts as neither.
    """
    given, begun, whole = forced(layout), 0, 0
    for start in (i for i, id in enumerate(ids) if id == layout.begin):
        block = ids[start : start + layout.block_length]
        right = all(
            layout.low <= id < layout.high if wanted == FREE else id == wanted
            for id, wanted in zip(block, given, strict=False)
        )
        if right and len(block) < layout.block_length:
            continue
        begun, whole = begun + 1, whole + right
    return begun, whole


def images_in(segments: Sequence[object]) -> int:
    """The number of segments that are images."""
    return sum(not isinstance(segment, Text) for segment in segments)


def repetition(segments: Sequence[object]) -> tuple[int, int]:
    """The numbers of an answer's word 4-grams that occurred in it before, and of all."""
    words = " ".join(segment.text for segment in segments if isinstance(segment, Text)).lower().split()
    counts = collections.Counter(zip(*(words[i:] for i in range(4)), strict=False))
    return counts.total() - len(counts), counts.total()


def _grouped(instances: int, groups: int, of: Tensor, group: Tensor, loss: Tensor, hit: Tensor) -> np.ndarray:
    """The sums (instances, groups, 3) of the targets' losses, hits and ones; targets of instance -1 are surplus."""
    real = of >= 0
    values = torch.stack([loss.double(), hit.double(), torch.ones_like(loss, dtype=torch.float64)], 1)[real]
    sums = torch.zeros(instances * groups, 3, dtype=torch.float64, device=of.device)
    sums.index_add_(0, (of * groups + group)[real], values)
    return sums.view(instances, groups, 3).cpu().numpy()
