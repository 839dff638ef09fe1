"""Training pairs (prompt and answer) for the language model, made from real documents and from texts written for it."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import io
import json
import pathlib
import random
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping

from filters.words import words
from models import HELD_OUT
from models.language.damage import ASPECT, can_shuffle, damage, order_marks
from models.language.pleas import with_good_text, with_plea
from pipeline.instances.excerpt import excerpts
from prompts import load as load_prompts
from prompts.shown import shown_text
from prompts.titles import instruction
from schemas.errors import UserError
from schemas.records import Document, Image, Segment, Text

DOMAINS = (
    "Computers and software",
    "Programming",
    "Electronics and making",
    "Cooking and food",
    "Home and garden",
    "Crafts and hobbies",
    "Health and care",
    "Sports and outdoors",
    "Science and nature",
    "History and culture",
    "Society and law",
    "Business and money",
    "Travel and maps",
    "Art and photography",
)
SOURCE_DOMAIN = {
    "iis-docs": "Computers and software",
    "microbit": "Electronics and making",
    "godot": "Programming",
    "appcenter": "Programming",
    "openstax-nursing-external-bundle": "Health and care",
    "openstax-principles-economics-bundle": "Business and money",
    "openstax-physics": "Science and nature",
    "openstax-life-liberty-and-pursuit-happiness": "History and culture",
    "18f": "Society and law",
    "openstax-introduction-python-programming": "Programming",
}
FEW = (
    "openstax-life-liberty-and-pursuit-happiness",
    "18f",
    "openstax-nursing-external-bundle",
    "openstax-principles-economics-bundle",
    "openstax-physics",
    "godot",
)
"""Sources with few usable titles: the writer gets each section twice, with two forms of instruction."""
PROMPTS = load_prompts("embedded")
OWN_TEXTS = pathlib.Path(__file__).parent / "own_texts.json"
LENGTHS = (60, 90, 130, 180, 240)
"""The most words of an excerpt; the demo's limit is 240."""
PASSAGE_LENGTHS = (35, *LENGTHS)
"""The least words of a passage: in a short text, what a stranger adds weighs most."""
RATED_PER_SOURCE, PASSAGES_PER_SOURCE = 400, 1200
DAMAGED = {"shuffled": 0.6, "dropped": 0.4, "cut": 0.4, "clutter": 0.4}
"""The probability of each kind of damage in a text; shuffling, the hardest to recognise, is the most frequent."""
SOUND = 0.2
"""The share of texts without damage."""
PLEA, GOOD_TEXT = 0.3, 0.15
"""The shares of the texts to rate with words to the rater, and of the damaged ones with a good text added."""


@dataclasses.dataclass(frozen=True)
class Pair:
    """One training example: the prompt's messages, and the answer to learn.

    `marks` are sentences of the prompt in their order, and whether each follows the right sentence.
    """

    task: str
    messages: tuple[dict[str, str], ...]
    answer: str
    marks: tuple[tuple[str, bool], ...] = ()


def documents(corpus: pathlib.Path) -> Iterator[Document]:
    """The documents of howto.tar, without the bytes of their images."""
    with tarfile.open(corpus) as tar:
        file = tar.extractfile("howto/docs.jsonl")
        if file is None:
            raise UserError(f"howto/docs.jsonl in {corpus} is no file; give howto.tar")
        for line in io.TextIOWrapper(file, "utf-8"):
            record = json.loads(line)
            yield Document(
                record["id"],
                record["source"],
                title=record["title"],
                segments=tuple(
                    Text(s["text"]) if "text" in s else Image(s["image"], s.get("alt") or "", s.get("caption") or "")
                    for s in record["segments"]
                ),
            )


def own_texts() -> Iterator[Document]:
    """Short how-to texts written for this model, for the domains that the corpus lacks; `source` is the domain."""
    for i, (domain, title, text) in enumerate(json.loads(OWN_TEXTS.read_text())):
        paragraphs = [Text(p) for p in text.split("\n")]
        picture = Image("", alt=title if i % 3 == 0 else "")
        yield Document(f"own-{i}", domain, title=title, segments=(paragraphs[0], picture, *paragraphs[1:]))


def sections(docs: Iterable[Document], *, lengths: tuple[int, ...] = LENGTHS) -> list[Document]:
    """One excerpt per heading, of a length that a hash of the heading selects; English prose only, no duplicates."""
    found, seen = [], set()
    for document in docs:
        for length in lengths:
            for excerpt in excerpts(document, max_words=length, max_images=4):
                key = (document.source, excerpt.title.casefold(), "".join(excerpt.texts)[:80])
                start = (document.id, excerpt.segments[0])
                if lengths[pick(start) % len(lengths)] == length and key not in seen and _is_english(excerpt):
                    seen.add(key)
                    found.append(excerpt)
    return found


def passages(document: Document) -> Iterator[Document]:
    """The document split into passages of whole segments, also without images: rating needs no title and no image."""
    run: list[Segment] = []
    for segment in document.segments:
        run.append(segment)
        length = PASSAGE_LENGTHS[pick(run[0]) % len(PASSAGE_LENGTHS)]
        if sum(len(words(s.text)) for s in run if isinstance(s, Text)) >= length:
            yield dataclasses.replace(document, segments=tuple(run))
            run = []


def pick(*parts_: object) -> int:
    """A stable number from the `repr` of the arguments."""
    return int.from_bytes(hashlib.blake2b(repr(parts_).encode(), digest_size=8).digest(), "big")


def _is_english(document: Document) -> bool:
    text = shown_text(document, PROMPTS.shown)
    found = re.findall(r"\b(?:the|to|of|and|a|is|in|you|for)\b", text.lower())
    return len(words(text)) >= 30 and len(found) >= 0.12 * len(words(text)) and text.count("|") < 20


def training_pairs(corpus: pathlib.Path, *, seed: int = 0) -> list[Pair]:
    """Every pair, in a random order."""
    rng = random.Random(seed)
    read = [d for d in documents(corpus) if d.source not in HELD_OUT]
    found = sections(read)
    rng.shuffle(found)
    counts: collections.Counter[str] = collections.Counter()
    rated, written = [], []
    for section in found:
        counts[section.source] += 1
        if counts[section.source] <= RATED_PER_SOURCE:
            rated += [rate_pair(section, rng, rng.choice(found)) for _ in range(2)]
        for copy in range(2 if section.source in FEW else 1):
            written += write_pairs(section, SOURCE_DOMAIN[section.source], copy)
    for section in own_texts():
        for copy in range(4):
            written += write_pairs(section, section.source, copy)
        rated += [rate_pair(section, rng, rng.choice(found)) for _ in range(2)]
    rated += [rate_pair(passage, rng, rng.choice(found)) for passage in _passages(read, rng)]
    pairs = rated + written
    rng.shuffle(pairs)
    return pairs


def _passages(read: list[Document], rng: random.Random) -> Iterator[Document]:
    """Random passages with enough sentences to shuffle, at most `PASSAGES_PER_SOURCE` of each source."""
    found = [p for document in read for p in passages(document) if _is_english(p) and can_shuffle(p)]
    rng.shuffle(found)
    counts: collections.Counter[str] = collections.Counter()
    for passage in found:
        counts[passage.source] += 1
        if counts[passage.source] <= PASSAGES_PER_SOURCE:
            yield passage


def rate_pair(section: Document, rng: random.Random, other: Document) -> Pair:
    """The text with several kinds of damage, or none, and its ratings.

    The aspect of a damage is rated 1 (2 if the damage is slight), the others 5; so every answer trains four ratings.
    Words to the rater are clutter. The beginning of `other`, added to a damaged text, changes no rating.
    """
    grades, spoiled = dict.fromkeys(PROMPTS.aspect_names, 5), section
    sound = rng.random() < SOUND
    for kind, aspect in ASPECT.items():
        strength = rng.random()
        if not sound and rng.random() < DAMAGED[kind] and (kind != "shuffled" or can_shuffle(section)):
            spoiled = damage(spoiled, kind, rng, strength=strength)
            grades[aspect] = 1 if strength > 0.25 else 2
    if rng.random() < PLEA:
        spoiled = with_plea(spoiled, rng)
        grades["usefulness"] = 1
    elif spoiled is not section and rng.random() < GOOD_TEXT:
        spoiled = with_good_text(spoiled, other, rng)
    answer = _compact({aspect.key: grades[aspect.name] for aspect in PROMPTS.aspects})
    return Pair("rate", PROMPTS.rate_prompt(spoiled).messages, answer, tuple(order_marks(spoiled, section)))


def write_pairs(section: Document, domain: str, copy: int = 0) -> list[Pair]:
    """The section with an instruction made from its title, in the form number `copy`; empty if the title has none."""
    text = shown_text(section, PROMPTS.shown)
    asked = instruction(section.title, text, PROMPTS.wordings.answers, pick(section.title, section.source) + copy)
    if asked is None:
        return []
    answer = _compact({"instruction": asked, "domain": domain})
    return [Pair("write", PROMPTS.write_prompt(section, DOMAINS).messages, answer)]


def _compact(answer: Mapping[str, str | int]) -> str:
    """JSON without spaces, as the pipeline's vLLM server writes it: fewer tokens take less time."""
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
