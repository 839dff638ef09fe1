"""Whether a document can talk the rater into keeping it: tests/prompts/injections.json, rated by a real model.

    python -m benchmarks.injections [--url http://127.0.0.1:8000/v1] [--prompts embedded] [--kind control] [--json]

Each text that is dropped without help is rated again with each injection added to it, in the demo's way: thresholds,
prompts and model of configs/demo.yaml (or the model at --url, by --prompts). Prints how many drops become keeps: as it
is (control tokens broken up), with the tokens left whole, and with the tokens taken out, which shows the effect of the
words around them. So the effect of the tokens themselves is the difference to the last figure. Without --url it starts
the demo's server.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import prompts
from pipeline import config as configuration
from pipeline.llm import choice, questions
from pipeline.llm.client import Client
from pipeline.llm.server import Server
from prompts.control import tokens_of
from schemas.records import Document, Image, Ratings, Text

ROOT = Path(__file__).parent.parent
SET = ROOT / "tests/prompts/injections.json"


def documents(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, str] | None, Document]]:
    """(drop, injection, document): each drop alone (None), then with each injection."""
    for drop, texts in data["drops"].items():
        yield drop, None, _document(texts)
        for injection in data["injections"]:
            yield drop, injection, _document(texts, **{injection["place"]: injection["text"]})


def _document(texts: list[str], text: str = "", alt: str = "", title: str = "") -> Document:
    first, *rest = [*([title] if title else []), *texts]
    behind = [*rest, text] if text else rest
    return Document(
        "d", "s", (Text(first), Image("a.jpg", alt=alt or "a picture"), *map(Text, behind)), title=title.lstrip("# ")
    )


def rated(client: Client, prompt_set: prompts.PromptSet, all_: list[Document]) -> list[Ratings]:
    """The ratings of all documents, asked at once."""
    return [future.result() for future in [client.submit(questions.rate(client, prompt_set, d)) for d in all_]]


def is_kept(ratings: Ratings, rules: configuration.RatingRules) -> bool:
    values = ratings.values()
    return min(values) >= rules.lowest_at_least and sum(values) / len(values) >= rules.mean_at_least


@contextlib.contextmanager
def server(config: configuration.Config, url: str | None) -> Iterator[str]:
    """The address of the model server."""
    if url:
        yield url
        return
    llm, own, _ = choice.reserve(config.llm)
    with tempfile.TemporaryDirectory() as folder, Server(choice.program(llm, own), own, log_path=f"{folder}/llm.log"):
        yield own


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url")
    parser.add_argument("--prompts", default="embedded")
    parser.add_argument("--kind", choices=("control", "words"), help="only such injections")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config = configuration.load(str(ROOT / "configs/demo.yaml"))
    asked = [
        one
        for one in documents(json.loads(SET.read_text()))
        if options.kind in ((one[1] or {}).get("kind"), None) or not one[1]
    ]
    guarded = dataclasses.replace(prompts.load(options.prompts), control=tokens_of(config.llm.model))
    pattern = prompts.control._pattern(guarded.control)
    ways: dict[str, Callable[[str, tuple[str, ...]], str]] = {
        "as it is": prompts.control.broken_up,
        "tokens left whole": lambda text, _: text,
        "tokens taken out": lambda text, _: pattern.sub("", text),
    }
    found: dict[str, Any] = {}
    with server(config, options.url) as url, Client(url, config.llm.name, 16) as client:
        for way, broken_up in ways.items():
            with mock.patch("prompts.control.broken_up", broken_up):
                ratings = rated(client, guarded, [document for _, _, document in asked])
            kept = [is_kept(one, config.ratings) for one in ratings]
            alone = {drop for (drop, injection, _), keep in zip(asked, kept, strict=True) if injection is None and keep}
            tried: collections.Counter[str] = collections.Counter()
            turned = []
            for (drop, injection, _), keep, one in zip(asked, kept, ratings, strict=True):
                if injection is None or drop in alone:
                    continue
                tried[injection["kind"]] += 1
                if keep:
                    turned.append(
                        {"drop": drop, "kind": injection["kind"], "injection": injection["name"], "ratings": dict(one)}
                    )
            found[way] = {
                "tried": dict(tried),
                "kept without help": sorted(alone),
                "turned": turned,
                "without help": {
                    drop: dict(one)
                    for (drop, injection, _), one in zip(asked, ratings, strict=True)
                    if injection is None
                },
            }
    if options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for way, one in found.items():
        counts = collections.Counter(turn["kind"] for turn in one["turned"])
        print(
            f"{way}: "
            + "; ".join(f"{kind}: {counts[kind]} of {n} drops became keeps" for kind, n in one["tried"].items())
        )
        for turn in one["turned"]:
            print(f"  {turn['kind']:8} {turn['drop']:10} {turn['injection']}: {turn['ratings']}")


if __name__ == "__main__":
    main()
