"""`leafinstruct calibrate`: score a corpus after the first stages, and write thresholds to the configuration."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable

from filters.headings import recurring
from pipeline.coherence.damage import KINDS
from pipeline.coherence.scorer import Scorer
from pipeline.coherence.thresholds import Points, document_thresholds, image_thresholds, write_thresholds
from pipeline.coherence.witness import KEYS as WEIGHTS
from pipeline.coherence.witness import weights
from pipeline.config import CoherenceRules
from pipeline.graph import stages
from pipeline.instances.excerpt import best_excerpt
from pipeline.launch.build import configured
from pipeline.launch.selftest import selftest_of, told
from pipeline.launch.stored import measured, scoring, stored_documents
from pipeline.run import Run, image_store
from pipeline.selftest.result import AT_MOST
from schemas.codec import mean_coherence
from schemas.records import Coherence, ScoredDocument


def calibrate_config(path: str, corpora_: list[str] | None, limit: int | None, work: str) -> str:
    """Write the thresholds of the configuration's model, and the weights of `ocr`, to the file `path`; returns a text.

    At the end the thresholds are tested on the same documents (`selftest`), without ratings. `work` is a folder for
    caches. Raises UserError as `build` does.
    """
    config = configured(path, corpora_, limit)
    config = dataclasses.replace(config, llm=dataclasses.replace(config.llm, url=None))
    run = measured(config, work)
    scorer = Scorer(config.clip.model, config.clip.pretrained, config.clip.dtype)
    documents, open_image = stored_documents(run), image_store(run).open
    print(f"scoring {len(documents)} documents", file=sys.stderr)
    if config.ocr:
        scorer.ocr = weights(scorer.measure(documents, open_image), config.ocr)
        run = _with(run, config.coherence, scorer)
    score = scoring(run, scorer)
    images = image_thresholds(documents, lambda those: [one.coherence for one in score(those)], scorer, open_image)
    rules = CoherenceRules(images.matched_at_least, -1.0, -2.0, images.similarity_at_most)
    points = _points(_with(run, rules, scorer), recurring(documents))
    damaged = {kind: [points(one) for one in score(KINDS[kind](documents))] for kind in AT_MOST}
    found = document_thresholds([points(one) for one in score(documents)], damaged, AT_MOST)
    rules = dataclasses.replace(rules, mean_at_least=found.mean_at_least, margin_at_least=found.margin_at_least)
    run = _with(run, rules, scorer)
    write_thresholds(path, rules, run.config.ocr)
    lines = [
        f"  {key}: {value:.4f}"
        + (f"   rejects {images.caught[key]:.1%} of the mismatches" if key in images.caught else "")
        for key, value in dataclasses.asdict(rules).items()
    ]
    if run.config.ocr:
        lines += [f"  ocr.{key}: {getattr(run.config.ocr, key):.4f}" for key in WEIGHTS]
    tested = selftest_of(run, documents, scorer)
    return "\n".join([f"{path}: thresholds of {run.provenance.clip}", *lines, "", told(tested, work, as_json=False)])


def _points(run: Run, headings: frozenset[bytes]) -> Callable[[ScoredDocument], Points]:
    """A function that gives what a document's thresholds are compared with: of the document and of each excerpt."""
    filter_images, limits = stages.filter_images(run), dataclasses.asdict(run.config.excerpt)

    def points(document: ScoredDocument) -> Points:
        found: list[tuple[float, float]] = []
        if not document.coherence.matched:
            return found
        mean, margin = _values(document.coherence)

        def noted(excerpt: ScoredDocument) -> bool:
            own_mean, own_margin = _values(excerpt.coherence)
            found.append((min(mean, own_mean), min(margin, own_margin)))
            return False

        with_images = filter_images(document)
        if isinstance(with_images, ScoredDocument):
            best_excerpt(with_images, recurring=headings, fits=noted, **limits)
        return found

    return points


def _values(coherence: Coherence) -> tuple[float, float]:
    return mean_coherence(coherence.matched), math.inf if coherence.margin is None else coherence.margin


def _with(run: Run, rules: CoherenceRules, scorer: Scorer) -> Run:
    """The run with other thresholds, and with the scorer's weights of text in images."""
    return dataclasses.replace(run, config=dataclasses.replace(run.config, coherence=rules, ocr=scorer.ocr))
