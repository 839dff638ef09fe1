"""Damages copies of documents and measures them again: what `leafinstruct score` knows about its own measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.coherence.damage import captions_copied, other_texts, permuted, shuffled, swapped
from pipeline.coherence.scorer import Scorer
from pipeline.launch.score_rows import Rate, Row, adds, excerpt_of, matches, rate_all
from pipeline.report.scored import Proof
from pipeline.run import Run, image_store
from pipeline.selftest.proof import PLANTED, belief, proof
from schemas.records import ScoredDocument, StoredDocument


def proofs(
    run: Run, scorer: Scorer, rate: Rate | None, sample: Sequence[tuple[ScoredDocument, Row]]
) -> dict[str, tuple[str, list[Proof]]]:
    """Measure -> how far to believe it, and its proofs, one for each kind of damage that it should notice.

    sample: undamaged documents with their rows. Without `rate`, no ratings are tested.
    """
    documents = [document for document, _ in sample]
    before = {document.id: row for document, row in sample}

    def scored(copies: Sequence[StoredDocument]) -> dict[str, Row]:
        found = scorer.score(copies, image_store(run).open)
        return {copy.id: matches(coherence) for copy, coherence in zip(copies, found, strict=True)}

    after = {
        "swapped": scored(swapped(documents)),
        "permuted": scored(permuted(documents)),
        "other_texts": scored(other_texts(documents)),
        "captions_copied": {copy.id: adds(copy) for copy in captions_copied(documents)},
        "shuffled": _rated(run, rate, documents) if rate else {},
    }
    found = {
        measure: [proof(kind, _pairs(measure, before, after[kind])) for kind in kinds]
        for measure, kinds in PLANTED.items()
    }
    return {measure: (belief(measure, own, bool(documents)), own) for measure, own in found.items()}


def _rated(run: Run, rate: Rate, documents: Sequence[ScoredDocument]) -> dict[str, Row]:
    """The ratings of the documents' excerpts with their sentences in another order, by id."""
    excerpts = [excerpt for document in documents if (excerpt := excerpt_of(run, document))]
    rows: dict[str, Row] = {excerpt.id: {} for excerpt in excerpts}
    rate_all(run, rate, [(copy, rows[copy.id]) for copy in shuffled(excerpts)])
    return rows


def _pairs(measure: str, before: Mapping[str, Row], after: Mapping[str, Row]) -> list[tuple[float, float]]:
    found = [(before[id_].get(measure), row.get(measure)) for id_, row in sorted(after.items())]
    return [(own, damaged) for own, damaged in found if own is not None and damaged is not None]
