"""The page of `leafinstruct score`: the scores of a corpus, and how far to believe them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.report.render import render

SHARES = (5, 25, 50, 75, 95)
EXPLANATIONS = {
    "coherence": "How well the pictures match the text next to them: mean of their matched scores.",
    "margin": "How much better they match their own text than the text next to the document's other pictures.",
    "recall_at_1": "Share of pictures that match their own text best. Chance is 1 in the number of pictures.",
    "complementarity": "Do text and pictures add to each other? 0 if the text only repeats captions, 1 if they share no "
    "word. Pictures and text that have nothing to do with each other are near 1 too: read it together with coherence.",
    "mean_rating": "The mean of the language model's ratings of an excerpt, from 1 (bad) to 5 (good).",
}


@dataclasses.dataclass(frozen=True)
class Proof:
    """One measure on undamaged documents and on copies of them with one kind of damage.

    damage: the kind, in words. documents: how many were damaged. auc: the probability that an undamaged document has a
    higher value than a damaged one; None without documents. low, high: its 95 % interval. medians: in words.
    """

    damage: str
    documents: int
    auc: float | None
    low: float
    high: float
    medians: str


def page(
    corpus: str,
    models: Sequence[str],
    counts: dict[str, int],
    values: dict[str, list[float]],
    faults: dict[str, int],
    proofs: Mapping[str, tuple[str, Sequence[Proof]]],
    extremes: Sequence[tuple[str, Sequence[tuple[float, str, str]]]],
) -> str:
    """The page as HTML.

    values: measure -> its value for every document that has one. proofs: measure -> how far to believe it, and why.
    extremes: (heading, rows of coherence, id and title).
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
    return render(
        "scored.html.jinja",
        corpus=corpus,
        models=models,
        counts=counts,
        rows=rows,
        shares=SHARES,
        faults=sorted(faults.items(), key=lambda item: (-item[1], item[0])),
        proofs=proofs,
        extremes=extremes,
    )
