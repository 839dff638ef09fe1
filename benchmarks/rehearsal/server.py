"""The stand-in for a language model: an OpenAI-compatible server whose answers follow the mark in the text.

As a program it prints its port, and ends when its standard input is closed. It keeps nothing, so that its memory does
not grow with the corpus.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from benchmarks.rehearsal.texts import marked_for

MODEL = "rehearsal"
ALTERNATIVES = [{"token": f"word{n}", "logprob": -5.0 - n} for n in range(9)]
"""What each token might have been: as many as the pipeline asks for, because reading them takes time."""


def answer(body: dict[str, Any]) -> str:
    """The text of the answer to a question of the pipeline."""
    properties = body["response_format"]["json_schema"]["schema"]["properties"]
    question = body["messages"][-1]["content"]
    fence = re.search(r"between the two marks (\w+)\.", question)
    text = question.split(fence[1])[2] if fence else question
    kind = marked_for(text)
    if "domain" in properties:
        return json.dumps({"instruction": _instruction(kind, text), "domain": properties["domain"]["enum"][0]})
    if kind == "no_rating":
        return "It is good."
    grades = dict.fromkeys(properties, 2 if kind == "low_ratings" else 5)
    return json.dumps(grades | ({"fluency": 1} if kind == "one_bad_rating" else {}))


def _instruction(kind: str, text: str) -> str:
    sentence = re.split(r"(?<=[.])\s", text.strip())[0]
    one, two, three = sorted({w.lower() for w in re.findall(r"[A-Za-z]{6,}", text)}, key=lambda w: (-len(w), w))[:3]
    answers = {
        "asks_for_else": "Explain how to fold a paper boat from a newspaper.",
        "asks_nothing": f"{one.capitalize()} and {two} for {three}",
        "asks_in_a_word": f"Explain {one}.",
        "asks_of_a_text": f"Explain the given text about {one} and {two}.",
        "asks_in_its_words": f"Explain {sentence}",
        "asks_too_much": "Explain to me how and when and where and why and by whom and for whom and with what it is "
        f"done that {sentence}",
    }
    return answers.get(kind, f"Explain how to work with {one}, {two} and {three}.")


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """The whole response."""
    text = answer(body)
    tokens = re.findall(r"\s*\w{1,5}|\W", text)
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    if body.get("logprobs"):
        one = [
            {"token": t, "logprob": -0.1, "top_logprobs": [{"token": t, "logprob": -0.1}, *ALTERNATIVES]}
            for t in tokens
        ]
        choice["logprobs"] = {"content": one}
    usage = {"prompt_tokens": sum(len(m["content"]) for m in body["messages"]) // 4, "completion_tokens": len(tokens)}
    return {"id": "1", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}


async def serve(delay: float) -> None:
    """Serve until standard input ends; each answer comes after `delay` seconds."""

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(delay)
        return web.json_response(completion(body))

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    app = web.Application(client_max_size=1 << 24)
    app.add_routes([web.get("/v1/models", models), web.post("/v1/chat/completions", complete)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


@contextlib.contextmanager
def running(delay: float) -> Iterator[str]:
    """The address of such a server in a process of its own, which ends with the block."""
    command = [sys.executable, "-m", "benchmarks.rehearsal.server", "--delay", str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    asyncio.run(serve(parser.parse_args().delay))


if __name__ == "__main__":
    main()
