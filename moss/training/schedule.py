"""The learning rate: a linear warmup, then half a cosine."""

from __future__ import annotations

import math

from moss.settings import Training


def learning_rate(step: int, training: Training) -> float:
    """The rate of step 0, 1, ..., steps - 1: it reaches its full value with the last step of the warmup, and falls
    from there along half a cosine that would be 0 at `steps`."""
    if step < training.warmup:
        return training.learning_rate * (step + 1) / training.warmup
    done = (step - training.warmup) / (training.steps - training.warmup)
    return training.learning_rate * (1 + math.cos(math.pi * done)) / 2
