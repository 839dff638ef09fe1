"""The stage *Rate text* against a bare asyncio client of the same model server.

    python -m benchmarks.llm_stage --corpus native:../shared/corpora/howto.tar --questions 192 [--json]

Both ask the same questions ("rate" about the same excerpts) at the same concurrency. The bare client is aiohttp with a
semaphore, and ignores the answers. The stage runs in Beam's local runner: the sliding window, the answer cache (empty),
validation against the schema, and reading the ratings. Every run starts each prompt with a new word, so that vLLM's
prefix cache helps neither. The order alternates; the first pair is a warm-up and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import json
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.steps import CONFIG, a_run, run_step
from pipeline import config as configuration
from pipeline.corpora import parts, read
from pipeline.graph import asking
from pipeline.graph.transforms import InFlight
from pipeline.instances.excerpt import best_excerpt
from pipeline.llm import choice, questions
from pipeline.llm.server import Server
from pipeline.storage import packs
from prompts import load as load_prompts
from schemas.codec import Json
from schemas.records import Coherence, Document, ScoredDocument, Text
from schemas.stage_names import RATE_TEXT


def excerpts(corpus: str, count: int) -> list[Document]:
    """The first `count` documents that have an excerpt of the demo's size (and no table that is mostly marks)."""
    kind, path = corpus.split(":", 1)
    documents = (d for part in parts(kind, path) for d in read(part) if isinstance(d, Document))
    found = (best_excerpt(d, max_words=240, max_images=4) for d in documents)
    return list(itertools.islice((e for e in found if e and sum(map(len, e.texts)) < 2500), count))


def marked(documents: list[Document]) -> list[Document]:
    """The same documents, each starting with a word that no earlier prompt started with."""
    return [dataclasses.replace(d, segments=(Text(uuid.uuid4().hex[:8]), *d.segments)) for d in documents]


def bare(url: str, model: str, documents: list[Document], concurrency: int) -> None:
    """Send the requests that the stage sends, and read the responses."""

    async def run() -> None:
        slots = asyncio.Semaphore(concurrency)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=600)
        ) as http:

            async def one(body: Json) -> Any:
                async with slots, http.post(f"{url}/chat/completions", json=body) as reply:
                    reply.raise_for_status()
                    return (await reply.json())["choices"][0]["message"]["content"]

            await asyncio.gather(*map(one, bodies))

    bodies = []
    for document in documents:
        prompt = load_prompts("embedded").rate_prompt(document)
        bodies.append(
            {
                "model": model,
                "messages": list(prompt.messages),
                "temperature": 0.0,
                "seed": 0,
                "max_tokens": questions.MAX_TOKENS,
                "logprobs": True,
                "top_logprobs": questions.ALTERNATIVES,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": prompt.schema, "strict": True},
                },
            }
        )
    asyncio.run(run())


def stage(url: str, model: str, documents: list[Document], concurrency: int) -> None:
    """The stage *Rate text* in Beam's local runner, with an empty cache."""
    config = configuration.load(str(CONFIG))
    config = dataclasses.replace(config, llm=dataclasses.replace(config.llm, concurrency=concurrency, timeout=600.0))
    with packs.temporary() as folder:
        run = a_run(folder, config, url, model)
        unscored = Coherence((), (), (), None, None, "")
        scored = [ScoredDocument.of(document, coherence=unscored) for document in documents]
        run_step(scored, InFlight(run, RATE_TEXT, asking.rate_text, concurrency))


def compare(url: str, model: str, documents: list[Document], concurrency: int, repeats: int) -> Json:
    """Questions a second of both contenders by repeat, their medians, and the ratios."""
    rates: dict[str, list[float]] = {"bare": [], "stage": []}
    for repeat in range(repeats + 1):
        order = (bare, stage) if repeat % 2 else (stage, bare)
        for run in order:
            fresh = marked(documents)
            started = time.monotonic()
            run(url, model, fresh, concurrency)
            if repeat:
                rates[run.__name__].append(round(len(fresh) / (time.monotonic() - started), 3))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "requests_per_second": rates,
        "median": medians,
        "ratio": round(medians["stage"] / medians["bare"], 3),
        "ratios": [round(s / b, 3) for s, b in zip(rates["stage"], rates["bare"], strict=False)],
        "questions": len(documents),
        "concurrency": concurrency,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", required=True, metavar="FORMAT:PATH")
    parser.add_argument("--model", default="build/models/language", help="the folder to serve")
    parser.add_argument("--server", default="auto", help="vllm, llama.cpp or auto")
    parser.add_argument("--questions", type=int, default=192)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    documents = excerpts(args.corpus, args.questions)
    with tempfile.TemporaryDirectory() as folder:
        llm, url, _ = choice.reserve(
            configuration.Llm(args.model, "benchmark", server=args.server, concurrency=args.concurrency)
        )
        with Server(choice.program(llm, url), url, log_path=Path(folder) / "llm.log") as server:
            result = compare(server.url, "benchmark", documents, args.concurrency, args.repeats)
    if args.json:
        print(json.dumps(result))
    else:
        print(
            f"stage {result['median']['stage']:.2f}, bare {result['median']['bare']:.2f} requests/s "
            f"(medians of {args.repeats}); ratio {result['ratio']:.2f}"
        )


if __name__ == "__main__":
    main()
