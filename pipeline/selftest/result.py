"""How many true documents and damaged copies were kept, with intervals, and what follows from that."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from schemas.codec import Json, mean_coherence
from schemas.records import Coherence

TRUE = "true"
NAMES = {
    TRUE: "as they are",
    "swapped": "all images swapped within the source",
    "permuted": "images in another order",
    "other_texts": "texts of another document",
    "half_swapped": "half of the images swapped",
}

TRUE_AT_LEAST, AT_MOST = 0.65, {"swapped": 0.10, "permuted": 0.25}
"""The shares kept at which the filter counts as good: this project's choice."""


@dataclasses.dataclass(frozen=True)
class Judged:
    """The outcome of one document: the rule that dropped it ("" if it was kept), and the scores of all its images."""

    id: str
    rule: str
    coherence: Coherence

    @property
    def mean(self) -> float | None:
        """The mean of the images' matched scores; None without images."""
        return mean_coherence(self.coherence.matched) if self.coherence.matched else None


@dataclasses.dataclass(frozen=True)
class Share:
    """A share of documents, and its 95 % interval."""

    kept: int
    of: int
    low: float
    high: float


def wilson(kept: int, of: int) -> Share:
    """The share with the interval of Wilson (1927), which holds for small numbers and near 0 and 1.

    >>> share = wilson(82, 120)
    >>> round(share.low, 3), round(share.high, 3)
    (0.596, 0.76)
    """
    if not of:
        return Share(0, 0, 0.0, 1.0)
    z, p = 1.959964, kept / of
    centre, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return Share(
        kept,
        of,
        round(max(0.0, (centre - half) / (1 + z * z / of)), 4),
        round(min(1.0, (centre + half) / (1 + z * z / of)), 4),
    )


def auc(right: Sequence[float], wrong: Sequence[float]) -> float | None:
    """The probability that one of `right` is above one of `wrong`, ties as half; None if one of them is empty.

    >>> auc([3, 2], [1, 2])
    0.875
    """
    if not right or not wrong:
        return None
    low, high = (np.searchsorted(np.sort(wrong), right, side=side).mean() for side in ("left", "right"))
    return round(float(low + high) / 2 / len(wrong), 4)


def summary(judged: Mapping[str, Sequence[Judged]], model: str) -> Json:
    """The result as JSON: for each kind, documents kept with interval, rules, and the AUC of the scores.

    `judged` has the kind `TRUE` and kinds of `pipeline.coherence.damage.KINDS`. The AUC is that of a true document's
    mean score (or margin) against a copy's.
    """
    kinds = {}
    true = judged[TRUE]
    for kind, copies in judged.items():
        share = wilson(sum(not copy.rule for copy in copies), len(copies))
        kinds[kind] = dataclasses.asdict(share) | {
            "rules": dict(sorted(Counter(copy.rule for copy in copies if copy.rule).items()))
        }
        if kind != TRUE:
            kinds[kind] |= {
                "auc_mean": auc(means(true), means(copies)),
                "auc_margin": auc(margins(true), margins(copies)),
            }
    word, sentence = verdict({kind: wilson(value["kept"], value["of"]) for kind, value in kinds.items()})
    return {"model": model, "kinds": kinds, "verdict": word, "says": sentence}


def verdict(shares: Mapping[str, Share]) -> tuple[str, str]:
    """One of `selects`, `weak`, `does_not_select`, `too_few`, and what to tell the user.

    The filter does not select if the intervals of true documents and of those with swapped images overlap. It is weak
    if they do not, but a share misses `TRUE_AT_LEAST` or `AT_MOST`.
    """
    true, swapped = shares[TRUE], shares["swapped"]
    if min(true.of, swapped.of) < 20:
        return "too_few", f"{min(true.of, swapped.of)} documents are too few for a verdict; give at least 20."
    told = f"it keeps {_percent(true)} of the true documents and {_percent(swapped)} of those with swapped images"
    if swapped.high >= true.low:
        return "does_not_select", f"With this model and these thresholds the filter does not select: {told}."
    missed = [f"{NAMES[TRUE]} {_percent(true)} (at least {TRUE_AT_LEAST:.0%})"] * (true.kept < TRUE_AT_LEAST * true.of)
    for kind, most in AT_MOST.items():
        if shares[kind].kept > most * shares[kind].of:
            missed.append(f"{NAMES[kind]} {_percent(shares[kind])} (at most {most:.0%})")
    if missed:
        return "weak", f"The filter selects, but weakly: {told}. Missed: {'; '.join(missed)}."
    return "selects", f"The filter selects: {told}."


def text(result: Json) -> str:
    """The result as a table for the terminal, with the verdict at the end."""
    lines = [f"{'kept, of documents':<38}{'':>11}{'share':>8}  {'95 % interval':<15}{'AUC of mean, margin':>20}"]
    for kind, value in result["kinds"].items():
        share = f"{value['kept'] / value['of']:.1%}" if value["of"] else "-"
        aucs = ", ".join("-" if value.get(key) is None else f"{value[key]:.2f}" for key in ("auc_mean", "auc_margin"))
        counts = f"{value['kept']} of {value['of']}"
        lines.append(
            f"{NAMES[kind]:<38}{counts:>11}{share:>8}  {value['low']:.1%} to {value['high']:.1%}".ljust(74)
            + ("" if kind == TRUE else aucs.rjust(20))
        )
    return "\n".join([*(line.rstrip() for line in lines), result["says"]])


def means(judged: Sequence[Judged]) -> list[float]:
    """The mean scores of the documents that have one."""
    return [one.mean for one in judged if one.mean is not None]


def margins(judged: Sequence[Judged]) -> list[float]:
    """The margins of the documents that have one (two images or more)."""
    return [one.coherence.margin for one in judged if one.coherence.margin is not None]


def _percent(share: Share) -> str:
    return f"{share.kept / share.of:.1%}" if share.of else "none"  # 64.5 % are not "65 %, of at least 65 %"
