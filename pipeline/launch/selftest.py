"""`leafinstruct selftest`: does the filter keep documents, and drop copies of them with planted damage?"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from filters.headings import recurring
from pipeline.coherence.damage import KINDS
from pipeline.graph import asking, stages
from pipeline.launch.build import configured
from pipeline.launch.stored import excerpting, measured, scoring, stored_documents
from pipeline.llm import keys
from pipeline.llm.faults import LlmFault
from pipeline.llm.probe import check_server
from pipeline.run import Run
from pipeline.selftest.page import page
from pipeline.selftest.result import TRUE, Judged, summary, text
from pipeline.storage.files import write_bytes
from schemas.codec import Json, json_bytes
from schemas.errors import UserError
from schemas.records import Drop, ScoredDocument, StoredDocument

if TYPE_CHECKING:
    from pipeline.coherence.scorer import Scorer

Judge = Callable[[Sequence[StoredDocument]], list[Judged]]


def selftest(
    path: str, corpora: list[str] | None, documents: int, work: str, *, limit: int | None, llm_url: str | None
) -> Json:
    """Test the configuration `path` on `documents` of the corpora; writes `WORK/selftest.json` and `selftest.html`.

    The documents are those with the smallest hashes among the first `limit` records. They are also rated if the
    configuration or `llm_url` names a server. Raises UserError as `build` does, and for fewer than two documents.
    """
    if documents < 2:
        raise UserError(f"--documents must be at least 2, not {documents}")
    config = configured(path, corpora, limit, llm_url)
    if url := config.llm.url:
        name = check_server(url, config.llm.name, keys.of(config.llm))
        run = measured(config, work, name)
    else:
        run = measured(config, work)
    return selftest_of(run, stored_documents(run, documents))


def selftest_of(run: Run, documents: Sequence[StoredDocument], scorer: Scorer | None = None) -> Json:
    """The self-test on these documents, with a run's configuration; writes the two files to its work folder.

    scorer: a model that is loaded already.
    """
    print(f"self-test on {len(documents)} documents", file=sys.stderr)
    if len(documents) < 2:
        raise UserError(
            f"the self-test found {len(documents)} documents that pass the rules: give it more with --corpus or --limit."
        )
    with contextlib.ExitStack() as stack:
        judge = judging(run, stack, recurring(documents), scorer)
        judged = {TRUE: judge(documents)} | {kind: judge(damage(documents)) for kind, damage in KINDS.items()}
    rules = dataclasses.asdict(run.config.coherence)
    result = summary(judged, run.provenance.clip) | {"documents": len(documents), "rated": bool(run.llm_url)}
    result |= {"coherence": rules, "sources": sorted({document.source for document in documents})}
    write_bytes(f"{run.work}/selftest.json", json_bytes(result))
    write_bytes(f"{run.work}/selftest.html", page(result, judged, rules).encode())
    return result


def judging(run: Run, stack: contextlib.ExitStack, headings: frozenset[bytes], scorer: Scorer | None = None) -> Judge:
    """A function that takes documents through the stages of a build, from scoring to ratings (with a server only).

    headings: the keys of those that recur; a build counts them in the whole corpus.
    """
    score, excerpt_of = scoring(run, scorer), excerpting(run, headings)
    rated = _rating(run, stack) if run.llm_url else _unrated

    def judge(documents: Sequence[StoredDocument]) -> list[Judged]:
        scored = score(documents)
        outcomes = rated([one.rule if isinstance(one, Drop) else one for one in map(excerpt_of, scored)])
        return [
            Judged(document.id, outcome if isinstance(outcome, str) else "", document.coherence)
            for document, outcome in zip(scored, outcomes, strict=True)
        ]

    return judge


Outcomes = list[ScoredDocument | str]


def _unrated(outcomes: Outcomes) -> Outcomes:
    return outcomes


def _rating(run: Run, stack: contextlib.ExitStack) -> Callable[[Outcomes], Outcomes]:
    """The stages *Rate text* and *Filter ratings* for the documents that are left; the others are rules."""
    rate, filter_ratings = asking.rate_text(run), stages.filter_ratings(run)
    stack.callback(rate.close)

    def rated(outcomes: Outcomes) -> Outcomes:
        asked = [one if isinstance(one, str) else rate(one) for one in outcomes]
        answers: Outcomes = []
        for one in asked:
            try:
                found = one if isinstance(one, str) else filter_ratings(one.result())
            except LlmFault as fault:
                found = fault.kind
            answers.append(found.rule if isinstance(found, Drop) else found)
        return answers

    return rated


def told(result: Json, work: str, *, as_json: bool) -> str:
    """What the command prints."""
    if as_json:
        return json.dumps(result, indent=2)
    return f"{result['model']}\n{text(result)}\nScores as a picture: {work.rstrip('/')}/selftest.html"
