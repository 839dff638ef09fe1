"""The two questions about a document: how good is its text, and which instruction does it answer?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from filters import instruction, quality
from pipeline.llm.client import Client
from pipeline.llm.responses import Answer
from prompts import Prompt, PromptSet
from schemas.records import Document, Drop, GeneratedInstruction, Ratings

ATTEMPTS = 3                    # the instruction is asked for once, and twice again when it fails its check
TEMPERATURE = 0.5
"""Of instructions. The likeliest wording is much the same for every document ("Write an illustrated lesson on ..."), and
people ask in many ways; so it is drawn at random, with a seed made of the question."""
MAX_TOKENS = 160
ALTERNATIVES = 10               # enough to hold the five grades, also where a server does not leave out other tokens


async def rate(client: Client, prompts: PromptSet, document: Document) -> Ratings:
    """The LLM's ratings of the document. Raises LlmFault."""
    answer = await rating(client, prompts, document)
    return quality.read_ratings(answer.text, prompts.aspects, answer.logprobs)


async def rating(client: Client, prompts: PromptSet, document: Document) -> Answer:
    """The answer that holds the ratings. Raises LlmFault."""
    return await client.ask(
        prompts.rate_prompt(document), max_tokens=MAX_TOKENS, logprobs=ALTERNATIVES,
        validate=lambda answer: quality.read_ratings(answer.text, prompts.aspects, answer.logprobs))


async def write(client: Client, prompts: PromptSet, document: Document,
                domains: Sequence[str]) -> GeneratedInstruction | Drop:
    """The instruction that the document answers and its domain, or the check's Drop after the third try.

    Each try has a seed of its own, and is kept in the cache under its own question. Raises LlmFault.
    """
    prompt = prompts.write_prompt(document, domains)
    attempt = 0
    while True:
        attempt += 1
        found = await instruct(client, prompt, attempt)
        drop = instruction.check(found["instruction"], document)
        if drop is None:
            return GeneratedInstruction(found["instruction"].strip(), found["domain"], attempt)
        if attempt == ATTEMPTS:
            return drop


async def instruct(client: Client, prompt: Prompt, attempt: int) -> dict[str, str]:
    """The instruction and domain that the LLM gives at this attempt, unchecked. Raises LlmFault."""
    digest = hashlib.blake2b(f"{attempt} {prompt.messages[-1]['content']}".encode(), digest_size=4).digest()
    answer = await client.ask(prompt, temperature=TEMPERATURE, seed=int.from_bytes(digest) >> 1, max_tokens=MAX_TOKENS)
    found: dict[str, str] = json.loads(answer.text)
    return found
