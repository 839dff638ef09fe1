"""The page of `leafinstruct score`: the scores of a corpus, and how far they can be trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from pipeline.report.render import render

SHARES = (5, 25, 50, 75, 95)
EXPLANATIONS = {
    "coherence": "How well the pictures match the text next to them: mean cosine of the CLIP model.",
    "margin": "How much better they match their own text than the text next to the document's other pictures.",
    "recall_at_1": "Share of pictures that match their own text best. Chance is 1 in the number of pictures.",
    "mean_rating": "The mean of the language model's ratings of an excerpt, from 1 (bad) to 5 (good).",
}


@dataclasses.dataclass(frozen=True)
class Control:
    """One kind of damage on a sample: by measure, the values (undamaged, damaged) of every document."""

    name: str
    pairs: dict[str, list[tuple[float, float]]]


def page(
    corpus: str,
    models: Sequence[str],
    counts: dict[str, int],
    values: dict[str, list[float]],
    faults: dict[str, int],
    controls: Sequence[Control],
    extremes: Sequence[tuple[str, Sequence[tuple[float, str, str]]]],
) -> str:
    """The page as HTML.

    values: measure -> its value for every document that has one. extremes: (heading, rows of coherence, id and title).
    """
    rows = [
        {
            "name": name,
            "explanation": EXPLANATIONS[name],
            "documents": len(found),
            "shares": [f"{value:.3f}" for value in np.percentile(found, SHARES)] if found else [],
        }
        for name, found in values.items()
    ]
    told = [
        {"damage": control.name, "measure": measure, **_told(pairs)}
        for control in controls
        for measure, pairs in control.pairs.items()
        if pairs
    ]
    return render(
        "scored.html.jinja",
        corpus=corpus,
        models=models,
        counts=counts,
        rows=rows,
        shares=SHARES,
        faults=sorted(faults.items(), key=lambda item: (-item[1], item[0])),
        told=told,
        extremes=extremes,
    )


def _told(pairs: list[tuple[float, float]]) -> dict[str, str]:
    """How often the undamaged document has the higher value, with its interval, and the conclusion.

    A tie counts half.
    """
    wins = [1.0 if own > damaged else 0.5 if own == damaged else 0.0 for own, damaged in pairs]
    share, error = float(np.mean(wins)), 1.96 * float(np.std(wins)) / len(wins) ** 0.5
    low = share - error
    verdict = "detects it" if low > 0.75 else "detects it weakly" if low > 0.5 else "does not detect it"
    own, damaged = (float(np.median(side)) for side in zip(*pairs, strict=True))
    return {
        "documents": str(len(pairs)),
        "share": f"{share:.0%} ± {error:.0%}",
        "medians": f"{own:.3f} and {damaged:.3f}",
        "verdict": verdict,
    }
