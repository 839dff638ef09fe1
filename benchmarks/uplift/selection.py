"""What each stage keeps if no other stage is there, as the excerpts that are trained on."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from benchmarks.uplift.documents import excerpt_of, without_rules
from filters import presets
from filters.drop_images import AnyDocument
from pipeline.coherence.damage import order
from pipeline.config import CoherenceRules
from pipeline.graph import asking, stages
from pipeline.launch.stored import read, scoring
from pipeline.launch.try_out import NO_SCORES
from pipeline.llm import questions
from pipeline.llm.faults import LlmFault
from pipeline.llm.questions import Candidate
from pipeline.run import Run
from schemas.codec import mean_coherence
from schemas.records import Coherence, RatedDocument, ScoredDocument, StoredDocument

RANDOM, DRAWN = "random", "drawn instructions"
TEXT, IMAGES, COHERENCE, OCR, RATINGS = "text rules", "picture rules", "coherence", "coherence with OCR", "ratings"
RANKED = "ranked instructions"
BASELINES = {TEXT: RANDOM, IMAGES: RANDOM, COHERENCE: RANDOM, OCR: RANDOM, RATINGS: RANDOM, RANKED: DRAWN}
"""Stage -> the subset that it is compared with."""

Excerpts = list[StoredDocument]
Answer = TypeVar("Answer")


def selected(run: Run, documents: Sequence[StoredDocument]) -> dict[str, Excerpts]:
    """The excerpts of all documents (`RANDOM`), and of what each stage that filters documents leaves of them.

    Both kinds of coherence have its rules about documents and images; without OCR, the thresholds are those of equal
    strictness (`equally_strict`).
    """
    print(f"reading the text in the images of {len(documents)} documents, and scoring them", file=sys.stderr)
    free = without_rules(run)
    documents = read(run, list(documents))
    clip = dataclasses.replace(free, config=dataclasses.replace(run.config, ocr=None))
    with_text, alone = scoring(free)(documents), scoring(clip)(documents)
    rules = equally_strict(run.config.coherence, with_text, alone)
    clip = dataclasses.replace(clip, config=dataclasses.replace(clip.config, coherence=rules))
    left = {
        RANDOM: documents,
        TEXT: _left(stages.filter_text(run), documents),
        IMAGES: _left(
            lambda d: stages.if_enough_images(run, presets.filter_images(d, run.preset.image_rules)), documents
        ),
        COHERENCE: _left(_coherent(clip), alone),
        OCR: _left(_coherent(free), with_text),
    }
    excerpts = {name: list(_excerpts(run, some)) for name, some in left.items()}
    return excerpts | {RATINGS: _well_rated(run, excerpts[RANDOM])}


def equally_strict(
    rules: CoherenceRules, ours: Sequence[ScoredDocument], others: Sequence[ScoredDocument]
) -> CoherenceRules:
    """The thresholds below which as many of `others` are as of `ours` are below those of `rules`.

    Both are the same documents with scores of two kinds, whose values cannot be compared.
    """

    def moved(threshold: float, values: Callable[[Coherence], Sequence[float | None]]) -> float:
        own, other = (
            np.sort([value for d in scored for value in values(d.coherence) if value is not None])
            for scored in (ours, others)
        )
        below = int(np.searchsorted(own, threshold))
        return float(other[min(below, len(other) - 1)]) if len(other) else threshold

    return dataclasses.replace(
        rules,
        matched_at_least=moved(rules.matched_at_least, lambda found: found.matched),
        mean_at_least=moved(rules.mean_at_least, lambda found: [mean_coherence(found.matched)]),
        margin_at_least=moved(rules.margin_at_least, lambda found: [found.margin]),
    )


def candidates(run: Run, excerpts: Excerpts) -> dict[str, list[Candidate]]:
    """Document id -> the language model's instructions that pass the checks; documents without any are left out.

    The title is taken away: the pipeline would take an instruction made of it without ranking it.
    """
    count, untitled = run.config.instructions.candidates, [dataclasses.replace(one, title="") for one in excerpts]
    with asking.connect(run)[0] as client:
        ask = asking.ask_each(
            [client],
            lambda client, one: questions.judged(
                client, run.prompts, one, run.config.domains, asking.wordings(run, one), count
            ),
        )
        asked = [ask(one) for one in untitled]
        found = {
            excerpt.id: [candidate for candidate in judged if candidate.drop is None]
            for excerpt, judged in _answered("instructions", excerpts, asked)
        }
    return {id: passed for id, passed in found.items() if passed}


def drawn(passed: Sequence[Candidate], id: str, seed: int) -> Candidate:
    """One of a document's candidates, by a hash of its id and the seed."""
    return passed[int.from_bytes(order("instruction", str(seed), id)) % len(passed)]


def _left(step: Callable[[AnyDocument], object], documents: Sequence[AnyDocument]) -> list[StoredDocument]:
    """What a step leaves of the documents; documents that it drops are left out."""
    return [found for found in map(step, documents) if isinstance(found, StoredDocument)]


def _coherent(run: Run) -> Callable[[ScoredDocument], object]:
    """The rules of coherence about documents, then those about images, as one step."""
    filter_documents, filter_images = stages.filter_coherence(run), stages.filter_images(run)

    def step(document: ScoredDocument) -> object:
        found = filter_documents(document)
        return filter_images(found) if isinstance(found, ScoredDocument) else found

    return step


def _excerpts(run: Run, documents: Sequence[StoredDocument]) -> Iterator[StoredDocument]:
    for document in documents:
        if excerpt := excerpt_of(document, run.config.excerpt):
            yield excerpt


def _well_rated(run: Run, excerpts: Excerpts) -> Excerpts:
    """The excerpts with sufficient ratings."""
    rate, filter_ratings = asking.rate_text(run), stages.filter_ratings(run)
    try:
        asked = [rate(ScoredDocument.of(excerpt, coherence=NO_SCORES)) for excerpt in excerpts]
        return [
            excerpt
            for excerpt, rated in _answered("ratings", excerpts, asked)
            if isinstance(filter_ratings(rated), RatedDocument)
        ]
    finally:
        rate.close()


def _answered(
    what: str, excerpts: Excerpts, asked: Sequence[Future[Answer]]
) -> Iterator[tuple[StoredDocument, Answer]]:
    """The excerpts with a valid answer, and the answers; says how many have none."""
    missing = 0
    for excerpt, future in zip(excerpts, tqdm(asked, what, unit=" documents"), strict=True):
        try:
            answer = future.result()
        except LlmFault:
            missing += 1
            continue
        yield excerpt, answer
    if missing:
        print(f"{what}: {missing} of {len(asked)} documents are left out for want of a valid answer", file=sys.stderr)
