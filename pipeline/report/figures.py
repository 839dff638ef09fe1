"""The geometry of a histogram; `parts.html.jinja` draws it."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable

WIDTH, TOP, BASE = 340, 26, 128
"""The drawing's width, and the y of the highest bar's top and of the axis, in SVG units."""


@dataclasses.dataclass(frozen=True)
class Bar:
    """One bin: two rectangles in SVG units, kept documents below and others on top, and their label."""

    x: float
    width: float
    kept_y: float
    kept_height: float
    other_y: float
    other_height: float
    label: str


@dataclasses.dataclass(frozen=True)
class Histogram:
    """The layout of a histogram; `ticks`, `threshold`: (x, label); `medians`: of kept and of others, None if empty."""

    name: str
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    threshold: tuple[float, str] | None
    kept: int
    others: int
    medians: tuple[float | None, float | None]


def histogram(
    name: str,
    kept: Counter[float],
    others: Counter[float],
    threshold: float | None = None,
    span: tuple[float, float] | None = None,
    bins: int = 24,
    names: tuple[str, str] = ("kept", "not kept"),
) -> Histogram:
    """Lay out the values of kept documents and of others (value -> number of documents) in about `bins` equal bins.

    The threshold is an edge of a bin, so that no bar has values of both sides. The axis includes at least `span`.
    `names` are what the labels call the two kinds.
    """
    values = [*kept, *others, *(span or ())] + ([threshold] if threshold is not None else [])
    step = nice_step((max(values) - min(values)) / bins)
    origin = threshold if threshold is not None else 0.0

    def bin_of(value: float) -> int:
        return math.floor((value - origin) / step + 1e-6)

    below, above = _binned(kept, bin_of), _binned(others, bin_of)
    first, last = min(map(bin_of, values)), max(map(bin_of, values)) + 1
    highest = max(below[i] + above[i] for i in range(first, last))
    scale, room = (BASE - TOP) / highest, WIDTH / (last - first)

    def x(value: float) -> float:
        return round(((value - origin) / step - first) * room, 2)

    bars = []
    for i in range(first, last):
        if below[i] + above[i]:
            low, high = below[i] * scale, above[i] * scale
            bars.append(
                Bar(
                    x(origin + i * step),
                    round(max(room - 1, 1), 2),
                    round(BASE - low, 2),
                    round(low, 2),
                    round(BASE - low - high, 2),
                    round(high, 2),
                    f"{_short(origin + i * step)} to {_short(origin + (i + 1) * step)}: "
                    f"{below[i]:,} {names[0]}, {above[i]:,} {names[1]}",
                )
            )
    start, stop = origin + first * step, origin + last * step
    gap = nice_step((stop - start) / 5)
    ticks = tuple((x(t), _short(t)) for t in _multiples(start, stop, gap) if 8 <= x(t) <= WIDTH - 8)
    return Histogram(
        name,
        tuple(bars),
        ticks,
        None if threshold is None else (x(threshold), _short(threshold)),
        kept.total(),
        others.total(),
        (median(kept), median(others)),
    )


def median(values: Counter[float]) -> float | None:
    """The lower median of counted values."""
    if not values:
        return None
    ordered = sorted(values)
    seen = itertools.accumulate(values[value] for value in ordered)
    return next(value for value, up_to in zip(ordered, seen, strict=True) if up_to >= (values.total() + 1) // 2)


def nice_step(step: float) -> float:
    """The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least `step`; 1 if `step` is not positive.

    >>> nice_step(0.03), nice_step(7)
    (0.05, 10.0)
    """
    if step <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * (1 - 1e-9))


def _binned(values: Counter[float], bin_of: Callable[[float], int]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for value, count in values.items():
        counts[bin_of(value)] += count
    return counts


def _multiples(start: float, stop: float, step: float) -> list[float]:
    return [i * step for i in range(math.ceil(start / step), math.floor(stop / step) + 1)]


def _short(value: float) -> str:
    return f"{value + 0.0:.4f}".rstrip("0").rstrip(".").replace("-0", "0" if round(value, 4) == 0 else "-0")
