"""Paired bootstrap over instances: how much a value, or a difference of two methods, would change with other instances.

A value is a ratio of sums, such as loss over tokens. Every draw takes N of the N instances with replacement (Efron,
"Bootstrap methods: another look at the jackknife", 1979) and the interval is the middle 95 % of the draws' values. The
same draws are used for two methods, so that what makes an instance hard for both cancels in their difference. The
intervals do not include the effect of another training seed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DRAWS = 2000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A value and the ends of its interval: None if nothing was counted; without ends if only one instance was."""

    value: float | None
    low: float | None
    high: float | None


def draws(instances: int, seed: int = 0) -> np.ndarray:
    """How often each draw takes each instance, int64 (DRAWS, instances)."""
    return np.random.default_rng(seed).multinomial(instances, np.full(instances, 1 / instances), DRAWS)


def estimate(
    total: np.ndarray, count: np.ndarray, drawn: np.ndarray, transform: Callable[[np.ndarray], np.ndarray] = lambda x: x
) -> Estimate:
    """The estimate of transform(sum of `total` / sum of `count`), each (N,); `drawn` is from `draws`."""
    return _middle(
        transform(_ratio(total, count, np.ones((1, len(total))))),
        transform(_ratio(total, count, drawn)),
        int(np.count_nonzero(count)),
    )


def difference(
    total: np.ndarray,
    count: np.ndarray,
    other_total: np.ndarray,
    other_count: np.ndarray,
    drawn: np.ndarray,
    transform: Callable[[np.ndarray], np.ndarray] = lambda x: x,
) -> Estimate:
    """The estimate of the first method's value minus the other's; all (N,), of the same instances in the same order."""

    def less(drawn: np.ndarray) -> np.ndarray:
        found: np.ndarray = transform(_ratio(total, count, drawn)) - transform(_ratio(other_total, other_count, drawn))
        return found

    return _middle(less(np.ones((1, len(total)))), less(drawn), int(np.count_nonzero(np.minimum(count, other_count))))


def _ratio(total: np.ndarray, count: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The ratio for each draw, (draws,); nan if a draw counts nothing."""
    with np.errstate(invalid="ignore", divide="ignore"):
        counted = drawn @ count
        return np.where(counted > 0, drawn @ total / counted, np.nan)


def _middle(value: np.ndarray, drawn: np.ndarray, counted: int) -> Estimate:
    if np.isnan(value[0]):
        return Estimate(None, None, None)
    if counted < 2:
        return Estimate(float(value[0]), None, None)
    low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value[0]), float(low), float(high))
