"""Whether a stage helps: differences to its baseline over seeds, their intervals, and the table."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks.uplift.exam import BETTER, CHANCE
from benchmarks.uplift.selection import BASELINES

T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The 97.5 % quantiles of Student's t with 1 to 9 degrees of freedom: for 2 to 10 seeds."""
HELPS, HARMS, SAME = "helps", "harms", "no difference seen"
BACKBONE = "backbone alone"

Figures = Mapping[str, Mapping[int, Mapping[str, float]]]
"""Subset -> seed -> figure -> value."""


class Difference(NamedTuple):
    """A mean difference over seeds and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Row:
    """What is known of one stage.

    documents: the number that it keeps. values: means over seeds. verdicts: by figure, and in words over all figures.
    default: whether it may be one by this: it helps by some figure, and harms by none.
    """

    stage: str
    baseline: str
    documents: int
    values: Mapping[str, float]
    differences: Mapping[str, Difference]
    verdicts: Mapping[str, str]
    verdict: str
    default: bool


def difference(values: Sequence[float], others: Sequence[float]) -> Difference:
    """The mean of the paired differences with its t-interval; for 2 to 10 pairs.

    >>> [round(value, 3) for value in difference([1.1, 1.2, 1.3], [1.0, 1.0, 1.0])]
    [0.2, -0.048, 0.448]
    """
    found = [value - other for value, other in zip(values, others, strict=True)]
    mean, half = statistics.mean(found), T[len(found) - 2] * statistics.stdev(found) / math.sqrt(len(found))
    return Difference(mean, mean - half, mean + half)


def verdict(found: Difference, better: int) -> str:
    """What a difference says; `better` is 1 if a higher value is better, -1 if a lower one is."""
    if found.low <= 0 <= found.high:
        return SAME
    return HELPS if found.mean * better > 0 else HARMS


def in_words(verdicts: Mapping[str, str]) -> str:
    """The verdict on a stage, from those on its figures.

    >>> in_words({"text loss": HARMS, "image loss": HELPS, "right of 10": SAME, "reciprocal rank": HELPS})
    'helps (image loss, reciprocal rank), harms (text loss)'
    """
    by_word = {word: [figure for figure, said in verdicts.items() if said == word] for word in (HELPS, HARMS)}
    return ", ".join(f"{word} ({', '.join(some)})" for word, some in by_word.items() if some) or SAME


def rows(figures: Figures, documents: Mapping[str, int]) -> list[Row]:
    """One row for each stage; `documents` is the number of documents from which each subset was drawn."""
    found = []
    for stage, baseline in BASELINES.items():
        own, other = figures[stage], figures[baseline]
        differences = {
            figure: difference([own[seed][figure] for seed in own], [other[seed][figure] for seed in own])
            for figure in BETTER
        }
        verdicts = {figure: verdict(differences[figure], better) for figure, better in BETTER.items()}
        default = HELPS in verdicts.values() and HARMS not in verdicts.values()
        values, said = _means(own), in_words(verdicts)
        found.append(Row(stage, baseline, documents[stage], values, differences, verdicts, said, default))
    return found


def table(found: Sequence[Row], figures: Figures, documents: Mapping[str, int]) -> str:
    """The rows in Markdown, each under its baseline, and what follows from them."""
    lines = [
        f"| subset | documents | {' | '.join(f'{figure} | to baseline' for figure in BETTER)} | verdict |",
        "| :-- | --: |" + " --: | --: |" * len(BETTER) + " :-- |",
        _line("chance", "", CHANCE),
        _line(BACKBONE, "", _means(figures[BACKBONE])),
    ]
    for baseline in dict.fromkeys(BASELINES.values()):
        lines.append(_line(baseline, str(documents[baseline]), _means(figures[baseline])))
        own = [row for row in found if row.baseline == baseline]
        lines += [_line(row.stage, str(row.documents), row.values, row.differences, row.verdict) for row in own]
    idle = ", ".join(row.stage for row in found if not row.default) or "none"
    intervals = len(found) * len(BETTER)
    chance = f"Of {intervals} intervals, about {intervals * 0.05:.0f} leaves out 0 by chance."
    return "\n".join([*lines, "", f"By this no defaults: {idle}. {chance}"])


def _line(
    name: str, documents: str, values: Mapping[str, float], differences: Mapping[str, Difference] = {}, said: str = ""
) -> str:
    cells = [name, documents]
    for figure in BETTER:
        cells.append(f"{values[figure]:.4f}" if figure in values else "")
        cells.append("{:+.4f} [{:+.4f}, {:+.4f}]".format(*differences[figure]) if figure in differences else "")
    return f"| {' | '.join([*cells, said])} |"


def _means(by_seed: Mapping[int, Mapping[str, float]]) -> dict[str, float]:
    return {figure: statistics.mean(values[figure] for values in by_seed.values()) for figure in BETTER}
