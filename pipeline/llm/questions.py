"""The two questions about a document: the ratings of its text, and the instruction that it answers."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import Sequence

from filters import instruction, quality
from filters.words import words
from pipeline.llm import ranking
from pipeline.llm.client import Client
from pipeline.llm.responses import Answer
from prompts import Prompt, PromptSet, titles
from prompts.shown import shown_text
from prompts.wordings import Wording
from schemas.records import Document, Drop, GeneratedInstruction, Ratings

TEMPERATURE = 0.5
"""For instructions: greedy decoding gives the same candidate each time. The seed is a hash of the question."""
PASSING = ("invalid_answer",)
"""Kinds of fault that leave the other candidates as they are; a slow server must not decide which is taken."""
MAX_TOKENS = 160
SHARED = 1 / 3
"""The share of a title's longer words that the text must have: this project's choice. Of the demo's 19 titles one has less
("Tell the time of the month from the moon")."""
ALTERNATIVES = 10  # enough for the five grades, even if a server includes other tokens


async def rate(client: Client, prompts: PromptSet, document: Document) -> Ratings:
    """The LLM's ratings of the document. Raises LlmFault."""
    answer = await rating(client, prompts, document)
    return quality.read_ratings(answer.text, prompts.aspects, answer.logprobs)


async def rating(client: Client, prompts: PromptSet, document: Document) -> Answer:
    """The answer with the ratings. Raises LlmFault."""
    return await client.ask(
        prompts.rate_prompt(document),
        max_tokens=MAX_TOKENS,
        logprobs=ALTERNATIVES,
        validate=lambda answer: quality.read_ratings(answer.text, prompts.aspects, answer.logprobs),
    )


async def write(
    client: Client,
    prompts: PromptSet,
    document: Document,
    domains: Sequence[str],
    wordings: Sequence[Wording] = (),
    candidates: int = 1,
) -> GeneratedInstruction | Drop:
    """The best instruction that the document answers and its domain, or the Drop of the checks if none passes.

    wordings: how it is worded, by preference (`Wordings.choose`). candidates: how many instructions are asked for; each
    has its own seed and its own key in the cache. With a prompt set that has frames, a title that names a subject is put
    into one of them and taken if it passes the checks; then one answer is asked for, for the domain. Raises LlmFault if no
    answer is valid.
    """
    found = await judged(client, prompts, document, domains, wordings, candidates)
    if best := taken(found):
        return GeneratedInstruction(best.instruction, best.domain, best.number)
    return next(one.drop for one in found if one.drop)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One instruction for a document.

    number: from 1; 0 for the one made of the document's title. answer: in the model's words. instruction: as it is worded. drop: why it is none for the document.
    tells: how well it tells the document from others (`ranking.tells`).
    """

    number: int
    answer: str
    instruction: str
    domain: str
    drop: Drop | None
    tells: float


def taken(candidates: Sequence[Candidate]) -> Candidate | None:
    """Of the candidates that pass the checks, that of the title, or the first that tells the document best; or None."""
    passed = (one for one in candidates if one.drop is None)
    return max(passed, key=lambda one: (one.number == 0, one.tells), default=None)


async def judged(
    client: Client,
    prompts: PromptSet,
    document: Document,
    domains: Sequence[str],
    wordings: Sequence[Wording],
    candidates: int,
) -> list[Candidate]:
    """Every valid answer, as `write` asks for them. Raises LlmFault if there is none, and if the server is away."""
    prompt = prompts.write_prompt(document, domains, wordings[0].ask if wordings else "")
    titled = of_title(prompts, document, wordings)
    if titled and titled.drop is None:
        candidates = 1
    numbers = range(1, candidates + 1)
    answers = await asyncio.gather(*(instruct(client, prompt, n) for n in numbers), return_exceptions=True)
    for fault in answers:
        if isinstance(fault, BaseException) and getattr(fault, "kind", "") not in PASSING:
            raise fault
    found = []
    for number, one in zip(numbers, answers, strict=True):
        if not isinstance(one, BaseException):
            answer = one["instruction"].strip()
            found.append(_candidate(number, answer, one["domain"], prompts, document, wordings))
    if not found and isinstance(fault := answers[0], BaseException):
        raise fault
    return [*found, dataclasses.replace(titled, domain=found[0].domain)] if titled else found


def of_title(prompts: PromptSet, document: Document, wordings: Sequence[Wording]) -> Candidate | None:
    """The candidate made of the document's title, without a domain.

    None if the title names no subject of the text in at least two words, or the prompt set has no frames: of "Corridor"
    a model says more. A title with a colon names the whole first: "The Hadza: Gathering as a Way of Life".
    """
    text = shown_text(document, prompts.shown)
    whole, title = titles.halves(document.title)
    for named in (title, whole):
        answer = titles.instruction(named, text, prompts.wordings.answers, at_least=SHARED)
        if answer and len(instruction.subject_words(answer)) >= 2:
            within = whole if whole and named == title else document.part_of
            return _candidate(0, answer, "", prompts, dataclasses.replace(document, part_of=within), wordings)
    return None


def with_topic(prompts: PromptSet, document: Document, asked: str, wordings: Sequence[Wording]) -> str:
    """The instruction with a sentence that names the subject of the whole document, where the text is a part of it.

    Not if an excerpt with a context is continued, which shows its subject, or if the instruction names it already.
    """
    wholes = prompts.wordings.wholes
    if not wholes or not document.part_of or not wordings or wordings[0].kind == "continuation":
        return asked
    topic = titles.topic(document.part_of, shown_text(document, prompts.shown), prompts.wordings)
    if set(map(instruction.stem, instruction.subject_words(topic))) <= set(map(instruction.stem, words(asked))):
        return asked
    made = f"{asked} {wholes[len(asked) % len(wholes)].replace('{}', topic)}"
    return asked if instruction.length(made) or instruction.placeholder(made) else made


def _candidate(
    number: int, answer: str, domain: str, prompts: PromptSet, document: Document, wordings: Sequence[Wording]
) -> Candidate:
    drop = instruction.check(answer, document)
    asked = answer
    if drop is None:
        asked = with_topic(prompts, document, prompts.wordings.reworded(answer, document, wordings), wordings)
    return Candidate(number, answer, asked, domain, drop, ranking.tells(answer, document))


async def instruct(client: Client, prompt: Prompt, attempt: int) -> dict[str, str]:
    """The instruction and domain that the LLM returns at this attempt, not checked yet. Raises LlmFault."""
    digest = hashlib.blake2b(f"{attempt} {prompt.messages[-1]['content']}".encode(), digest_size=4).digest()
    answer = await client.ask(prompt, temperature=TEMPERATURE, seed=int.from_bytes(digest) >> 1, max_tokens=MAX_TOKENS)
    found: dict[str, str] = json.loads(answer.text)
    return found
