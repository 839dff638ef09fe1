"""Computes the loss of a step: sums over targets, divided by the counts of the whole step.

A step's targets are in several micro-batches on several processes, with different numbers of text and image targets in
each. So their counts are added up first; every micro-batch then divides its sums by the totals, and the gradients of
the parts add up to that of one large batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from moss.backbones.generalist import TokenScores
from moss.batch import Batch
from moss.settings import Training


class LossSums(NamedTuple):
    """Sums over a micro-batch's targets, each a number: losses, and the squares of log z over text and images."""

    text: Tensor
    image: Tensor
    z: Tensor


def counts(batches: Sequence[Batch]) -> Tensor:
    """The numbers of text and image targets in the batches: int64 (2,), on the batches' device."""
    text = torch.stack([(batch.text_of >= 0).sum() for batch in batches]).sum()
    image = torch.stack([(batch.image_of >= 0).sum() for batch in batches]).sum()
    return torch.stack([text, image])


def sums(scores: TokenScores, batch: Batch) -> LossSums:
    """The sums of a micro-batch, without the surplus targets."""
    text, image = batch.text_of >= 0, batch.image_of >= 0
    return LossSums(
        _sum(scores.text_loss, text),
        _sum(scores.image_loss, image),
        _sum(scores.text_log_z.square(), text) + _sum(scores.image_log_z.square(), image),
    )


def total(parts: LossSums, counted: Tensor, training: Training) -> Tensor:
    """A micro-batch's share of the step's loss.

    `counted` (2,): the text and image targets of all the step's micro-batches on all processes; a modality without any
    adds 0.

    The step's loss is text_weight * (mean over text targets) + image_weight * (mean over image targets)
    + z_loss * (mean of log z squared over both).
    """
    text, image = counted.float().clamp(min=1)
    loss: Tensor = (
        training.text_weight * parts.text / text
        + training.image_weight * parts.image / image
        + training.z_loss * parts.z / counted.sum().float().clamp(min=1)
    )
    return loss


def not_finite(scores: TokenScores, batch: Batch) -> list[str]:
    """The keys of the samples with a loss that is not finite."""
    found = set()
    for loss, of in ((scores.text_loss, batch.text_of), (scores.image_loss, batch.image_of)):
        found |= set(of[~loss.isfinite() & (of >= 0)].tolist())
    return [batch.keys[number] for number in sorted(found)]


def _sum(values: Tensor, counted: Tensor) -> Tensor:
    return torch.where(counted, values, 0.0).sum()
