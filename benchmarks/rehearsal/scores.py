"""Coherence scores without a model: what the alternative text of an image says that they are."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.rehearsal.texts import marked_for
from pipeline.graph import stages
from pipeline.graph.transforms import Step
from pipeline.run import Run
from schemas.codec import mean_margin
from schemas.records import Coherence, ScoredDocument, StoredDocument

SCORES = {"unrelated_image": (0.05, 0.05), "weak_images": (0.12, 0.05), "exchanged_images": (0.3, 0.35)}
"""Kind of document -> (matched, mismatched) of its images, between or beside the thresholds of
configs/leafinstruct.yaml."""
OTHERS = (0.3, 0.1)
_score_coherence = stages.score_coherence


class Scorer:
    """Replaces `pipeline.coherence.scorer.Scorer`."""

    def score(self, documents: Iterable[StoredDocument], open_image: object) -> list[Coherence]:
        """As the real one; no image is opened. Equal images have a similarity of 1, others of 0.2."""
        return list(map(_score, documents))


def _score(document: StoredDocument) -> Coherence:
    found = [SCORES.get(marked_for(image.alt), OTHERS) for image in document.images]
    matched, mismatched = tuple(one for one, _ in found), tuple(other for _, other in found)
    seen = [image.sha256 for image in document.images]
    similar = tuple((1.0 if sha in seen[:at] else 0.2) if at else -1.0 for at, sha in enumerate(seen))
    several = len(found) > 1
    return Coherence(
        matched,
        mismatched,
        similar,
        mean_margin(matched, mismatched) if several else None,
        1.0 if several else None,
        "-",
    )


def score_coherence(run: Run) -> Step[list[StoredDocument], list[ScoredDocument]]:
    """The stage *Score coherence* as it is, but for the scorer, which no worker process loads."""
    return _score_coherence(run, Scorer())  # type: ignore[arg-type]
