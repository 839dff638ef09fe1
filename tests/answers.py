"""A language model for tests: a loopback server whose answers depend on the question alone, and are good enough.

It rates every text 5, but one that holds the word SHODDY 1; its instruction is made of the text's own longest words.
"""

from __future__ import annotations

import json
import re

from tests.fake_openai import FakeOpenAI

MODEL = "fake"


def answer(body: dict) -> str:
    properties = body["response_format"]["json_schema"]["schema"]["properties"]
    content = body["messages"][-1]["content"]
    content = content[-1]["text"] if isinstance(content, list) else content  # pictures come before the text
    text = content.rsplit("---", 1)[0]
    if "fluency" in properties:
        return json.dumps(dict.fromkeys(properties, 1 if "SHODDY" in text else 5))
    words = sorted(
        {w.lower() for w in re.findall(r"[A-Za-z]{4,}", re.sub(r"\[image[^\]]*\]", "", text))},
        key=lambda w: (-len(w), w),
    )[:3]
    domains = properties["domain"]["enum"]
    return json.dumps(
        {
            "instruction": f"Explain step by step how to work with {', '.join(words[:-1])} and {words[-1]}.",
            "domain": domains[len(text) % len(domains)],
        }
    )


def server(model: str = MODEL, **options) -> FakeOpenAI:
    return FakeOpenAI(model, reply=answer, **options)
