"""Synthetic damage for training and evaluating the rater; each kind lowers one aspect of an undamaged excerpt."""

from __future__ import annotations

import dataclasses
import itertools
import random
import re
from collections.abc import Callable
from typing import TypeGuard

from filters.words import is_heading, sentences, words
from models.language.clutter import clutter_lines
from schemas.records import Document, Segment, Text

ASPECT = {"shuffled": "text_coherence", "dropped": "fluency", "cut": "completeness", "clutter": "usefulness"}
"""The aspect (its name in prompts/embedded) that each kind of damage lowers."""
_MARKER = re.compile(r"[-*+(]?\s*(\d{1,2}[.)])?[\s*-]*")
MIN_SENTENCES = 5
"""Fewer sentences than this cannot be shuffled noticeably."""


def damage(document: Document, kind: str, rng: random.Random, *, strength: float, unseen: bool = False) -> Document:
    """The document with one kind of damage, of a strength from 0 to 1; `unseen` uses the clutter for evaluation."""
    if kind == "clutter":
        return _clutter(document, rng, strength, unseen)
    return {"shuffled": _shuffle, "dropped": _drop, "cut": _cut}[kind](document, rng, strength)


def can_shuffle(document: Document) -> bool:
    """Whether the document has enough sentences for a change of their order to be noticed."""
    return len(_body_sentences(document)) >= MIN_SENTENCES


def order_marks(spoiled: Document, sound: Document) -> list[tuple[str, bool]]:
    """The sentences of a damaged excerpt that are also in the undamaged one, and whether each follows the right one.

    They are in their current order. Right is the sentence that it follows in the undamaged excerpt. The first sentence
    is left out, and so are sentences next to one that occurs twice.
    """
    order = _body_sentences(sound)
    place = {sentence: i for i, sentence in enumerate(order)}
    known = [sentence for sentence in _body_sentences(spoiled) if sentence in place]
    return [
        (this, place[this] == place[before] + 1)
        for before, this in itertools.pairwise(known)
        if order.count(before) == order.count(this) == 1
    ]


def _body_sentences(document: Document) -> list[str]:
    return [sentence for s in document.segments if _is_body(s) for sentence in _sentences(s.text)]


def _sentences(text: str) -> list[str]:
    """Sentences, each with the number or bullet of its list item."""
    found: list[str] = []
    for sentence in sentences(text):
        if found and _MARKER.fullmatch(found[-1]):
            found[-1] += f" {sentence}"
        else:
            found.append(sentence)
    return found


def _is_body(segment: Segment) -> TypeGuard[Text]:
    return isinstance(segment, Text) and not is_heading(segment.text)


def _shuffle(document: Document, rng: random.Random, strength: float) -> Document:
    """Sentences change positions over the whole excerpt: half of them at strength 0, all at strength 1."""
    places = [
        (i, j, sentence)
        for i, s in enumerate(document.segments)
        if _is_body(s)
        for j, sentence in enumerate(_sentences(s.text))
    ]
    moving = rng.sample(range(len(places)), max(4, round(len(places) * (0.5 + 0.5 * strength))))
    order = moving[:]
    while order == moving:
        rng.shuffle(order)
    text_at = {places[to][:2]: places[origin][2] for to, origin in zip(moving, order, strict=False)}
    bodies: dict[int, list[str]] = {}
    for i, j, sentence in places:
        bodies.setdefault(i, []).append(text_at.get((i, j), sentence))
    return dataclasses.replace(
        document,
        segments=tuple(
            Text(("\n" if "\n" in s.text else " ").join(bodies[i])) if i in bodies and isinstance(s, Text) else s
            for i, s in enumerate(document.segments)
        ),
    )


def _drop(document: Document, rng: random.Random, strength: float) -> Document:
    """Random words are removed: 8 % of them at strength 0, 35 % at strength 1."""
    share = 0.08 + 0.27 * strength

    def thin(text: str) -> str:
        return "\n".join(" ".join(w for w in line.split(" ") if rng.random() >= share) for line in text.split("\n"))

    return _texts(document, thin)


def _texts(document: Document, change: Callable[[str], str]) -> Document:
    return dataclasses.replace(
        document, segments=tuple(Text(change(s.text)) if _is_body(s) else s for s in document.segments)
    )


def _cut(document: Document, rng: random.Random, strength: float) -> Document:
    """The text ends inside a sentence: near its end at strength 0, before its middle at strength 1."""
    total = sum(len(words(s.text)) for s in document.segments if _is_body(s))
    keep = max(12, round(total * (0.9 - 0.55 * strength) - rng.random() * 0.1 * total))
    kept: list[Segment] = []
    for segment in document.segments:
        if not _is_body(segment):
            kept.append(segment)
            continue
        pieces = segment.text.split(" ")
        if len(pieces) < keep:
            keep -= len(pieces)
            kept.append(segment)
            continue
        head = " ".join(pieces[: max(2, keep)]).rstrip(" .!?:;,)\n")
        if len(head) >= len(segment.text.rstrip(" .!?:;,)\n")):  # a whole sentence must lose a part
            head = head[: max(8, len(head) * 2 // 3)]
        kept.append(Text(head))
        break
    return dataclasses.replace(document, segments=tuple(kept))


def _clutter(document: Document, rng: random.Random, strength: float, unseen: bool) -> Document:
    """Lines of web-page clutter are inserted between the paragraphs: 2 at strength 0, 7 at strength 1."""
    segments = list(document.segments)
    for line in clutter_lines(rng, 2 + round(5 * strength), unseen=unseen):
        segments.insert(rng.randint(1 if len(segments) > 1 else 0, len(segments)), Text(line))
    return dataclasses.replace(document, segments=tuple(segments))
