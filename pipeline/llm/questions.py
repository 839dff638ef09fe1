"""The two questions about a document: the ratings of its text, and the instruction that it answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from filters import instruction, quality
from pipeline.llm.client import Client
from pipeline.llm.responses import Answer
from prompts import Prompt, PromptSet
from schemas.records import Document, Drop, GeneratedInstruction, Ratings

ATTEMPTS = 3  # for an instruction: asked for again if it fails the checks
TEMPERATURE = 0.5
"""For instructions: greedy decoding gives nearly the same wording for every document ("Write an illustrated lesson on
..."), but people ask in many ways. The seed is a hash of the question."""
MAX_TOKENS = 160
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
    client: Client, prompts: PromptSet, document: Document, domains: Sequence[str]
) -> GeneratedInstruction | Drop:
    """The instruction that the document answers and its domain, or the Drop of the checks after the third attempt.

    Each attempt has its own seed and its own key in the cache. Raises LlmFault.
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
    """The instruction and domain that the LLM returns at this attempt, not checked yet. Raises LlmFault."""
    digest = hashlib.blake2b(f"{attempt} {prompt.messages[-1]['content']}".encode(), digest_size=4).digest()
    answer = await client.ask(prompt, temperature=TEMPERATURE, seed=int.from_bytes(digest) >> 1, max_tokens=MAX_TOKENS)
    found: dict[str, str] = json.loads(answer.text)
    return found
