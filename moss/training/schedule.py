"""The learning rate: a linear warmup, then half a cosine or a constant."""

from __future__ import annotations

import math

from moss.settings import Training


def learning_rate(step: int, training: Training) -> float:
    """The rate of step 0, 1, ..., steps - 1.

    It reaches its full value with the last step of the warmup, and falls from there along half a cosine that would
    reach its `lowest_share` at `steps`; with `decay` "none" it stays."""
    if step < training.warmup:
        return training.learning_rate * (step + 1) / training.warmup
    done = (step - training.warmup) / (training.steps - training.warmup)
    if training.decay == "none":
        return training.learning_rate
    share = training.lowest_share + (1 - training.lowest_share) * (1 + math.cos(math.pi * done)) / 2
    return training.learning_rate * share
