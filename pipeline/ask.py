"""The two questions about a document: how good is its text, and which instruction does it answer?"""

from __future__ import annotations

import json
from collections.abc import Sequence

from filters import instruction, quality
from pipeline.llm import Answer, Client
from prompts import render
from schemas.records import Document, Drop, Ratings, Written

ATTEMPTS = 3                    # the instruction is asked for once, and twice again when it fails its check
AGAIN_TEMPERATURE = 0.7
MAX_TOKENS = 160
ALTERNATIVES = 10               # enough to hold the five grades, also where a server does not leave out other tokens


async def rate(client: Client, document: Document) -> Ratings:
    """The LLM's ratings of the document. Raises LlmFault."""
    def read(answer: Answer) -> Ratings:
        return quality.read_ratings(answer.text, answer.logprobs)
    answer = await client.ask(render("rate", document), max_tokens=MAX_TOKENS, logprobs=ALTERNATIVES, validate=read)
    return read(answer)


async def write(client: Client, document: Document, domains: Sequence[str]) -> Written | Drop:
    """The instruction that the document answers and its domain, or the check's Drop after the third try.

    The first try is the LLM's likeliest answer; later ones are drawn at random, each with a seed of its own, and each
    is kept in the cache under its own question. Raises LlmFault.
    """
    prompt = render("write", document, domains=domains)
    for attempt in range(1, ATTEMPTS + 1):
        answer = await client.ask(prompt, temperature=AGAIN_TEMPERATURE if attempt > 1 else 0.0, seed=attempt,
                                  max_tokens=MAX_TOKENS)
        found = json.loads(answer.text)
        drop = instruction.check(found["instruction"], document)
        if drop is None:
            return Written(found["instruction"].strip(), found["domain"], attempt)
    return drop
