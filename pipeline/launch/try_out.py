"""`leafinstruct try`: what a language model is asked about a few documents, what it answers, and what follows from it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import textwrap
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TypeVar

from filters import quality
from filters.headings import recurring
from pipeline.config import Config, preset
from pipeline.dataset.wording import count, number, reason
from pipeline.graph import asking
from pipeline.graph.stages import filter_ratings
from pipeline.instances.excerpt import best_excerpt
from pipeline.launch.build import configured, served_model
from pipeline.launch.stored import stored_documents
from pipeline.llm import choice, keys, on_demand, questions
from pipeline.llm.client import Client
from pipeline.llm.faults import LlmFault
from pipeline.llm.probe import probe
from pipeline.llm.questions import Candidate
from pipeline.run import Run
from pipeline.storage import packs
from prompts import Prompt, load
from prompts.control import tokens_of
from schemas.errors import ServiceError, UserError
from schemas.printable import line
from schemas.records import Coherence, Drop, Provenance, RatedDocument, StoredDocument

T = TypeVar("T")
NO_SCORES = Coherence((), (), (), None, None, "")


def try_out(
    path: str,
    corpora: list[str] | None,
    documents: int,
    *,
    limit: int | None,
    llm_url: str | None,
    llm_server: str | None,
) -> Iterator[str]:
    """The questions about excerpts of so many documents, the answers and the verdicts, as texts, one document at a time.

    The documents are those with the smallest hashes among the first `limit` records that pass the text and image rules;
    they are not scored. Nothing is kept: images and answers are in a temporary folder. Raises UserError as `build` does.
    """
    if documents < 1:
        raise UserError(f"--documents must be at least 1, not {documents}")
    config = configured(path, corpora, limit, llm_url, llm_server)
    with packs.temporary() as work, contextlib.ExitStack() as stack:
        run = _prepared(config, work, stack)
        excerpts = _excerpts(run, documents)
        client = asking.connect(run)[0]
        stack.callback(client.close)
        yield f"{count(len(excerpts), 'document')}, model {run.llm_name}, prompts {run.prompts.name}"
        verdicts = []
        for place, excerpt in enumerate(excerpts, 1):
            heading = f"=== {place} of {len(excerpts)}: {excerpt.id} ({excerpt.title or 'without a title'}) ==="
            text, kept = client.submit(_document(client, run, excerpt)).result()
            verdicts.append(kept)
            yield f"\n{heading}\n{text}"
        totals = client.counts()
        tokens = f"{totals.get('prompt_tokens', 0):,} tokens read and {totals.get('completion_tokens', 0):,} written"
        yield f"\n{sum(verdicts)} of {count(len(verdicts), 'document')} would be kept; {tokens}"


def _prepared(config: Config, work: str, stack: contextlib.ExitStack) -> Run:
    """The run, with a model server that answers; one of the pipeline starts at the first question."""
    prompts = dataclasses.replace(load(config.prompts), control=tokens_of(config.llm.model))
    wanted = ""
    if url := config.llm.url:
        name = served_model(config.llm)
        probe(url, name, prompts, keys.of(config.llm))
    else:
        llm, url, _ = choice.reserve(config.llm)
        config, name, wanted = dataclasses.replace(config, llm=llm), llm.name, f"{work}/llm"
        stack.enter_context(on_demand.when_wanted(llm, url, wanted, Path(work) / "llm.log", prompts))
    provenance = Provenance("", "", "", name, "", "")
    return Run(config, preset(config), prompts, "", work, url, name, wanted, provenance)


def _excerpts(run: Run, documents: int) -> list[StoredDocument]:
    found = stored_documents(run, documents)
    if not found:
        raise UserError("no document passes the rules: give more with --corpus or --limit")
    limits, headings = dataclasses.asdict(run.config.excerpt), recurring(found)
    excerpts = (best_excerpt(document, recurring=headings, **limits) for document in found)
    return [excerpt for excerpt in excerpts if excerpt]


async def _document(client: Client, run: Run, excerpt: StoredDocument) -> tuple[str, bool]:
    """Both questions with their answers and verdicts, as text; whether the document would be kept."""
    config, prompts = run.config, run.prompts
    wordings = asking.wordings(run, excerpt)
    rate = prompts.rate_prompt(excerpt)
    write = prompts.write_prompt(excerpt, config.domains, wordings[0].ask if wordings else "")
    rating, passed = await _rated(client, run, excerpt)
    candidates = await _or_fault(
        client, questions.judged(client, prompts, excerpt, config.domains, wordings, config.instructions.candidates)
    )
    best = None if isinstance(candidates, LlmFault) else questions.taken(candidates)
    kind = f"{wordings[0].kind}, {'with' if wordings[0].pictures else 'without'} pictures" if wordings else "any"
    parts = [
        ("SYSTEM", rate.messages[0]["content"]),
        ("RATINGS: THE QUESTION", _question(rate)),
        ("RATINGS: THE ANSWER", rating),
        (f"INSTRUCTION: THE QUESTION (kind: {kind})", _end(write, rate)),
        ("INSTRUCTION: THE ANSWERS", _candidates(candidates, best)),
        ("VERDICT", f"kept: {best.instruction}" if passed and best else "dropped"),
    ]
    return "\n".join(f"{title}\n{textwrap.indent(text, '  ')}" for title, text in parts), passed and best is not None


async def _rated(client: Client, run: Run, excerpt: StoredDocument) -> tuple[str, bool]:
    """The answer with the ratings and what the rules say of it, and whether they let the document pass."""
    answer = await _or_fault(client, questions.rating(client, run.prompts, excerpt))
    if isinstance(answer, LlmFault):
        return f"none: {answer}", False
    ratings = quality.read_ratings(answer.text, run.prompts.aspects, answer.logprobs)
    found = filter_ratings(run)(RatedDocument.of(excerpt, coherence=NO_SCORES, ratings=ratings))
    said = f"dropped: {reason(found.rule, found.value, found.threshold)}" if isinstance(found, Drop) else "passes"
    grades = ", ".join(f"{name} {number(value)}" for name, value in ratings.items())
    return f"{answer.text}\n{grades}\n{said}", not isinstance(found, Drop)


async def _or_fault(client: Client, question: Awaitable[T]) -> T | LlmFault:
    """What the question comes to, or its fault. Raises ServiceError where no other question could be answered either."""
    try:
        return await question
    except LlmFault as fault:
        if fault.kind == "unreachable":
            raise ServiceError(f"the model server at {client.shown} stopped answering ({fault.detail})") from None
        return fault


def _question(prompt: Prompt) -> str:
    pictures = f"[{count(len(prompt.pictures), 'picture')}]\n" if prompt.pictures else ""
    return pictures + prompt.messages[-1]["content"]


def _end(prompt: Prompt, shown: Prompt) -> str:
    """The question, without the beginning that a question that was shown has too."""
    lines, before = (one.messages[-1]["content"].splitlines() for one in (prompt, shown))
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(lines, before, strict=False)))
    return "\n".join(["[the same text]", *lines[same:]])


def _candidates(candidates: list[Candidate] | LlmFault, best: Candidate | None) -> str:
    """A line or two for each candidate: its number, its words, and why it is taken or not."""
    if isinstance(candidates, LlmFault):
        return f"none: {candidates}"
    lines = []
    for one in candidates:
        drop = one.drop
        verdict = reason(drop.rule, drop.value, drop.threshold) if drop else f"tells {number(one.tells)}"
        lines.append(
            f"{one.number or 'title'}. {line(one.answer)} [{one.domain}; {verdict}]{' <- taken' if one is best else ''}"
        )
        if one.instruction != one.answer:
            lines.append(f"   worded: {line(one.instruction)}")
    return "\n".join(lines)
