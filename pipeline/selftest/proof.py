"""How far each measure of `leafinstruct score` can be believed: does it notice the damage that it should notice?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.report.scored import Proof
from pipeline.selftest.result import NAMES, auc

PLANTED = {
    "coherence": ("swapped", "other_texts"),
    "margin": ("swapped", "permuted", "other_texts"),
    "recall_at_1": ("swapped", "permuted", "other_texts"),
    "complementarity": ("captions_copied",),
    "mean_rating": ("shuffled",),
}
"""Measure -> the kinds of damage that it should notice (`pipeline.coherence.damage`)."""

SHOWN = NAMES | {"captions_copied": "captions in place of the text", "shuffled": "sentences in another order"}

FEWEST = 20
"""The lowest number of documents for a verdict, as in the self-test."""

WELL = 0.75
"""The AUC (chance is 0.5) from which the value of a single document means something: this project's choice."""

RESAMPLES = 1000

_NOT_TESTED = {
    "complementarity": "No document has an image with a caption, an alternative text or text that was read in it.",
    "mean_rating": "No language model rated the documents (--llm-url).",
}

_LIMITS = {
    "complementarity": "It compares words: a text that says the same as the captions in other words is not noticed."
}
"""What a proof does not say."""


def proof(damage: str, pairs: Sequence[tuple[float, float]]) -> Proof:
    """The AUC of the values of documents against those of their damaged copies.

    pairs: (undamaged, damaged) for each document. The 95 % interval is that of `RESAMPLES` bootstrap samples of the
    documents, which are the same in every run.
    """
    if not pairs:
        return Proof(SHOWN[damage], 0, None, 0.0, 1.0, "")
    values = np.array(pairs, dtype=float)
    samples = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    spread = [auc(values[rows, 0].tolist(), values[rows, 1].tolist()) or 0.0 for rows in samples]
    low, high = (round(float(end), 4) for end in np.percentile(spread, (2.5, 97.5)))
    own, damaged = np.median(values, axis=0)
    found = auc(values[:, 0].tolist(), values[:, 1].tolist())
    return Proof(SHOWN[damage], len(values), found, low, high, f"{own:.3f} and {damaged:.3f}")


def belief(measure: str, proofs: Sequence[Proof], copies: bool = True) -> str:
    """How far to believe a measure on this corpus, in plain words; `copies`: whether any document was taken for a proof."""
    tested = [one for one in proofs if one.documents]
    if not copies:
        return f"{measure} is not proven. No copies of documents were damaged (--proof)."
    if not tested:
        return f"{measure} is not proven. {_NOT_TESTED.get(measure, 'No document could be damaged.')}"
    enough = [one for one in tested if one.documents >= FEWEST]
    if not enough:
        most = max(one.documents for one in tested)
        return f"{measure} is not proven: {most} documents are too few to tell, and {FEWEST} are needed."
    well = _listed(one for one in enough if one.low >= WELL)
    weakly = _listed(one for one in enough if 0.5 < one.low < WELL)
    missed = _listed(one for one in enough if one.low <= 0.5)
    told = []
    if well:
        told.append(f"{measure} notices {well}: the value of a single document means something.")
    if weakly:
        told.append(f"{measure} notices {weakly} weakly: compare the averages of many documents, not single ones.")
    if missed:
        told.append(f"{measure} cannot tell documents with {missed} from undamaged ones on this corpus.")
    if few := [one for one in tested if one.documents < FEWEST]:
        told.append(f"Too few documents to tell: {', '.join(f'{one.damage} ({one.documents})' for one in few)}.")
    if measure in _LIMITS:
        told.append(_LIMITS[measure])
    return " ".join(told)


def _listed(proofs: Iterable[Proof]) -> str:
    return ", ".join(f"{one.damage} (AUC {one.auc:.2f})" for one in proofs)
