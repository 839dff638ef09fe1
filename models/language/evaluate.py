"""Measures the language model on held-out sources through running vLLM servers, and writes docs/models.md.

    python -m models.language.evaluate --corpus HOWTO.tar \\
        --url http://127.0.0.1:8000/v1 --untrained http://127.0.0.1:8001/v1

The first server has the trained model, the second the packaged one (`build(..., adapters=None)`); both answer the same
questions. Without `--untrained` the figures are only printed.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import dataclasses
import json
import pathlib
import random
import statistics
from typing import Any

from filters.instruction import check
from filters.words import plain, sentences, words
from models import HELD_OUT
from models.figures import write_block
from models.language import measures
from models.language.damage import ASPECT, can_shuffle, damage
from models.language.data import DOMAINS, PROMPTS, documents, pick, sections
from pipeline.config import Instructions
from pipeline.llm.client import Client
from pipeline.llm.faults import LlmFault
from pipeline.llm.probe import check_server
from pipeline.llm.questions import Candidate, judged, of_title, rate, taken
from prompts.shown import shown_text
from prompts.titles import clean, instruction
from prompts.wordings import Wording
from schemas.records import Document, Ratings

RATED, WRITTEN, WORDS = 120, 250, 240
"""The number of sections to rate (each undamaged and with each kind of damage), the number of sections to write
instructions for, and the most words of a section."""
WANTED = Instructions()
"""How instructions are asked for: a configuration's default."""
NOTES = pathlib.Path(__file__).parent / "notes.md"
"""How the weights were trained and what was tried: the part of the page that no script can write."""
RIGHT_DOMAINS = {
    "learnosm": {"Travel and maps"},
    "iot": {"Electronics and making", "Programming"},
    "openstax-introduction-anthropology": {"History and culture", "Society and law"},
}
"""Domains that a section of a held-out source may have; the fourth source, on drones, fits several and is left out."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """The figures of a model. The writer does not know the titles; `with_titles`: where one names a subject, it is used.

    `auc`: kind of damage -> AUC of its own aspect. `means`: kind or "undamaged" -> mean rating of each aspect.
    """

    auc: dict[str, float]
    means: dict[str, dict[str, float]]
    passed: float
    reasons: dict[str, int]
    parroted: float
    repeated: float
    beginning: float
    first_found: float
    first_found_by_meaning: float
    title_found: float
    title_found_by_meaning: float
    text_found: float
    text_found_with_titles: float
    text_found_by_meaning: float
    text_found_by_meaning_with_titles: float
    from_title: float
    domain_right: float
    rated: int
    written: int
    samples: list[tuple[str, str]]


def held_out(corpus: pathlib.Path) -> list[Document]:
    """The held-out sections in a fixed random order."""
    found = sections((d for d in documents(corpus) if d.source in HELD_OUT), lengths=(WORDS,))
    return sorted(found, key=lambda d: pick(d.source, d.title, d.segments[0]))


def wish(section: Document) -> str | None:
    """The instruction made from the section's title; None if the title names no subject."""
    text = shown_text(section, PROMPTS.shown)
    return instruction(section.title, text, PROMPTS.wordings.answers, pick(section.title, section.source))


def measure(url: str, found: list[Document]) -> Figures:
    """Ask one server all questions. Raises UserError if it does not answer, LlmFault if an answer stays invalid."""
    with Client(url, check_server(url, None), concurrency=32) as client:
        return dataclasses.replace(_writer(client, [s for s in found if wish(s)][:WRITTEN]), **_rater(client, found))


def _rater(client: Client, found: list[Document]) -> dict[str, Any]:
    """The figures of the ratings, by their names in `Figures`."""
    found = [s for s in found if can_shuffle(s)][:RATED]
    ratings = {"undamaged": _rate(client, found)}
    for kind in ASPECT:
        spoiled = [
            damage(s, kind, rng := random.Random(pick(s.id, s.title, kind)), strength=rng.random(), unseen=True)
            for s in found
        ]
        ratings[kind] = _rate(client, spoiled)
    means = {kind: {a: statistics.mean(r[a] for r in rs) for a in PROMPTS.aspect_names} for kind, rs in ratings.items()}
    return {
        "means": means,
        "rated": len(found),
        "auc": {
            kind: measures.auc(*([r[aspect] for r in ratings[k]] for k in ("undamaged", kind)))
            for kind, aspect in ASPECT.items()
        },
    }


def _rate(client: Client, found: list[Document]) -> list[Ratings]:
    async def every() -> list[Ratings]:
        return await asyncio.gather(*(rate(client, PROMPTS, d) for d in found))

    return client.submit(every()).result()


def _writer(client: Client, found: list[Document]) -> Figures:
    def wordings(section: Document) -> tuple[Wording, ...]:
        return PROMPTS.wordings.choose(section, WANTED.kinds, WANTED.with_pictures, "leafinstruct", context=False)

    async def one(section: Document) -> list[Candidate]:
        untitled = dataclasses.replace(section, title="")
        try:
            return await judged(client, PROMPTS, untitled, DOMAINS, wordings(section), WANTED.candidates)
        except LlmFault:  # the untrained model may not stop writing: that is a failed answer
            return [Candidate(1, "", "", "", check("", section), 0.0)]

    async def every() -> list[list[Candidate]]:
        return await asyncio.gather(*(one(s) for s in found))

    candidates = client.submit(every()).result()
    first = [c[0] for c in candidates]
    best = [taken(c) or c[0] for c in candidates]
    made = [of_title(PROMPTS, s, wordings(s)) for s in found]
    titled = [t if t and t.drop is None else b for t, b in zip(made, best, strict=True)]
    asked = [c.instruction for c in best]
    drops = [c.drop for c in first]
    titles = [title for s in found if (title := clean(s.title))]  # every one has a title: it has a wish
    texts = [shown_text(s, PROMPTS.shown) for s in found]
    question = PROMPTS.write_prompt(found[0], DOMAINS).messages[-1]["content"].rpartition("---")[2]
    counted = [
        (c.domain, RIGHT_DOMAINS[s.source]) for c, s in zip(best, found, strict=True) if s.source in RIGHT_DOMAINS
    ]
    seen = collections.Counter(asked)
    beginnings = collections.Counter(" ".join(a.split()[:3]) for a in asked)
    answers = [c.answer for c in first]
    return Figures(
        auc={},
        means={},
        rated=0,
        written=len(found),
        passed=statistics.mean(d is None for d in drops),
        reasons=dict(collections.Counter(d.rule for d in drops if d).most_common()),
        parroted=statistics.mean(measures.parrots(a, question) for a in asked),
        repeated=statistics.mean(seen[a] > 1 for a in asked),
        beginning=beginnings.most_common(1)[0][1] / len(asked),
        first_found=measures.titles_found(answers, titles, measures.by_words),
        first_found_by_meaning=measures.titles_found(answers, titles, measures.by_meaning),
        title_found=measures.titles_found(asked, titles, measures.by_words),
        title_found_by_meaning=measures.titles_found(asked, titles, measures.by_meaning),
        text_found=measures.titles_found(asked, texts, measures.by_words),
        text_found_with_titles=measures.titles_found([c.instruction for c in titled], texts, measures.by_words),
        text_found_by_meaning=measures.titles_found(asked, texts, measures.by_meaning),
        text_found_by_meaning_with_titles=measures.titles_found(
            [c.instruction for c in titled], texts, measures.by_meaning
        ),
        from_title=statistics.mean(c.number == 0 for c in titled),
        domain_right=statistics.mean(domain in right for domain, right in counted),
        samples=[(s.title, c.instruction) for s, c in list(zip(found, titled, strict=True))[:12]],
    )


def checker_shares(found: list[Document]) -> dict[str, float]:
    """The shares of texts that pass the checks: a section's own instruction, another section's, its sentences."""
    pairs = [(s, own) for s in found if (own := wish(s))]
    others = random.Random(0).sample(pairs, len(pairs))
    lines = [
        (s, line) for s, _ in pairs for text in s.texts for line in sentences(plain(text)) if len(words(line)) >= 5
    ]
    return {
        "title": statistics.mean(check(w, s) is None for s, w in pairs),
        "other": statistics.mean(
            check(w, s) is None for (s, own), (_, w) in zip(pairs, others, strict=False) if w != own
        ),
        "sentence": statistics.mean(check(line, s) is None for s, line in lines),
    }


def block(ours: Figures, plain_: Figures, shares: dict[str, float]) -> str:
    """The Markdown of the `language` block."""
    percent = "{:.0%}".format
    rows = [
        f"| rater, {kind}: AUC of {aspect} | {ours.auc[kind]:.2f} | {plain_.auc[kind]:.2f} | 0.85 |"
        for kind, aspect in ASPECT.items()
    ]
    rows += [
        f"| writer: {name} | {percent(getattr(ours, key))} | {percent(getattr(plain_, key))} | {target} |"
        for name, key, target in (
            ("passes the checks at the first attempt", "passed", "80 %"),
            ("repeats the prompt", "parroted", "0 %"),
            ("same instruction for two texts", "repeated", "0.5 %"),
            ("the most frequent beginning of three words", "beginning", "8 %"),
            ("right title among 20 random ones, by words, first candidate", "first_found", "-"),
            ("the same, the candidate that is taken", "title_found", "80 %"),
            ("right title among 20 random ones, by meaning, first candidate", "first_found_by_meaning", "-"),
            ("the same, the candidate that is taken", "title_found_by_meaning", "90 %"),
            ("own text among 20 random ones, by words", "text_found", "-"),
            ("the same, where possible made of the title", "text_found_with_titles", "-"),
            ("own text among 20 random ones, by meaning", "text_found_by_meaning", "-"),
            ("the same, where possible made of the title", "text_found_by_meaning_with_titles", "-"),
            ("right domain", "domain_right", "-"),
        )
    ]
    means = [
        f"| {kind} | " + " | ".join(f"{ours.means[kind][a]:.2f}" for a in PROMPTS.aspect_names) + " |"
        for kind in ours.means
    ]
    return "\n".join(
        [
            f"Measured by `python -m models.language.evaluate` through vLLM on held-out sources ({', '.join(HELD_OUT)}). "
            f"The rater rated {ours.rated} sections, each undamaged and with each kind of damage. The writer wrote "
            f"instructions for {ours.written} sections whose hidden title names a subject. The untrained model: "
            f"{plain_.rated} and {plain_.written} of them.",
            "",
            "| | trained | untrained | target |",
            "|---|---|---|---|",
            *rows,
            "",
            "The score behind an AUC is the expected rating (`filters.quality.read_ratings`) of the aspect that the damage "
            "lowers; undamaged sections are compared with damaged ones. The strength of the damage is random, and the "
            "clutter lines do not occur in the training data. Titles are compared by TF-IDF of the words' first five letters, and "
            "by the sentence vectors of all-MiniLM-L6-v2, which are similar for synonyms. The right domain is decided by "
            f"source, for {len(RIGHT_DOMAINS)} of them.",
            "",
            "Mean ratings by the trained model:",
            "",
            "| | " + " | ".join(PROMPTS.aspect_names) + " |",
            "|---|---|---|---|---|",
            *means,
            "",
            f"The checks themselves (`filters/instruction.py`), on the same sections: {percent(shares['title'])} of the "
            f"instructions made from the section's own title pass, {percent(shares['other'])} of those made from another "
            f"section's title, and {percent(shares['sentence'])} of the text's own sentences. Instructions of the trained "
            "model that did not pass, by rule: "
            + (", ".join(f"{rule} {n}" for rule, n in ours.reasons.items()) or "nothing")
            + ".",
            "",
            NOTES.read_text(),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=pathlib.Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--untrained")
    options = parser.parse_args()
    found = held_out(options.corpus)
    ours = measure(options.url, found)
    print(json.dumps(dataclasses.asdict(ours), indent=1, ensure_ascii=False), flush=True)
    if options.untrained:
        plain_ = measure(options.untrained, found)
        print(json.dumps(dataclasses.asdict(plain_), indent=1, ensure_ascii=False))
        write_block("language", block(ours, plain_, checker_shares(found)))


if __name__ == "__main__":
    main()
