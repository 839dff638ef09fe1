"""Decides which samples share a row, by a pure function of their lengths, so that every process gets the same
result."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Sequence

import numpy as np

WINDOW = 64
"""The number of samples, in the shuffled order, from which a row is filled."""


def pack(lengths: Sequence[int], length: int, seed: int, epoch: int) -> list[list[int]]:
    """The rows of an epoch: sample numbers, at most `length` tokens a row, every sample in exactly one row.

    The samples are shuffled by numpy's generator of (seed, epoch). A row begins with the sample that has waited
    longest, then takes the longest of the next WINDOW that still fits, until none does; so no sample waits for long,
    and the order stays random. Raises ValueError for a sample longer than a row.
    """
    sizes = np.asarray(lengths).tolist()
    if max(sizes, default=0) > length:
        raise ValueError(f"a sample has {max(sizes)} tokens, a row {length}")
    order = iter(np.random.default_rng((seed, epoch)).permutation(len(sizes)).tolist())
    waiting = collections.deque(itertools.islice(order, WINDOW))
    rows: list[list[int]] = []
    while waiting:
        row: list[int] = []
        pick: int | None = 0
        free = length
        while pick is not None:
            row.append(waiting[pick])
            free -= sizes[waiting[pick]]
            del waiting[pick]
            waiting.extend(itertools.islice(order, 1))
            fitting = [n for n, sample in enumerate(waiting) if sizes[sample] <= free]
            pick = max(fitting, key=lambda n: sizes[waiting[n]], default=None)
        rows.append(row)
    return rows
