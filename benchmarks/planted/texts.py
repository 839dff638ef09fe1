"""Damage to the texts of documents. What is changed follows from the documents' ids; headings and images stay."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmarks.injections import SET
from filters.words import is_heading, sentences
from pipeline.coherence.damage import Damage, other_texts
from schemas.records import StoredDocument, StoredImage, StoredSegment, Text

SENTENCES, IN_A_PARAGRAPH = 18, 3
"""Of a document that is made of sentences of `sentences.py`: with half of the 36 that there are, two such documents
share a third of their words."""
MISSING, CHANGED, NOISE = 0.35, 0.02, 0.12
"""The shares of words that are missing or changed, and of letters that are replaced: this project's choice."""
DOMAIN, EXCHANGE = "leafinstruct-planted.net", "(212) 555-01"
"""What all planted personal data have in common: a domain that nobody has, and numbers kept free for fiction."""


def each_text(change: Callable[[str, random.Random], str]) -> Damage:
    """Every text but headings is changed by the function; documents that stay as they are have no copy."""
    return _each(lambda text, draw: (change(text, draw),))


def before_images(lines: Callable[[random.Random], Sequence[str]]) -> Damage:
    """Texts are put before every image, where the excerpt cannot do without them."""

    def rewrite(segment: StoredSegment, draw: random.Random) -> list[StoredSegment]:
        added = lines(draw) if isinstance(segment, StoredImage) else ()
        return [*map(Text, added), segment]

    return _rewritten(rewrite)


def made_of(lines: str) -> Damage:
    """The document's images, evenly distributed over paragraphs of sentences drawn from these lines."""

    def damage(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
        copies = []
        for document in documents:
            drawn = random.Random(document.id).sample(lines.strip().split("\n"), SENTENCES)
            paragraphs = (drawn[at : at + IN_A_PARAGRAPH] for at in range(0, SENTENCES, IN_A_PARAGRAPH))
            page = StoredDocument("", "", tuple(Text(" ".join(paragraph)) for paragraph in paragraphs))
            copies += [copy for copy in other_texts([document, page]) if copy.id == document.id]
        return copies

    return damage


def in_turn(first: Damage, then: Damage) -> Damage:
    """Two kinds of damage to one document."""
    return lambda documents: then(first(documents))


def words_shuffled(text: str, draw: random.Random) -> str:
    """The words of each sentence in another order; what ends the sentence stays at its end."""
    return "\n".join(" ".join(_shuffled(one, draw) for one in sentences(line)) for line in text.split("\n"))


def words_missing(text: str, draw: random.Random) -> str:
    """The text without a share of its words, one at least being left."""
    found = text.split(" ")
    return " ".join([word for word in found if draw.random() >= MISSING] or found[:1])


def words_changed(text: str, draw: random.Random) -> str:
    """The text with a few of its words replaced by others of its words."""
    found = text.split(" ")
    return " ".join(draw.choice(found) if draw.random() < CHANGED else word for word in found)


def cut(text: str, _: random.Random) -> str:
    """The first half of the text's words, without what would look like an end."""
    found = text.split()
    return " ".join(found[: (len(found) + 1) // 2]).rstrip(".!?:;,") or found[0]


def noise(text: str, draw: random.Random) -> str:
    """Letters replaced by others, as where a scan was read badly."""
    return "".join(
        draw.choice(string.ascii_lowercase) if letter.isalpha() and draw.random() < NOISE else letter for letter in text
    )


def pasted_twice(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """Every text but headings stands twice, one behind the other."""
    return _each(lambda text, _: (text, text))(documents)


def clutter(lines: str) -> Damage:
    """Two lines of web pages before every image."""
    return before_images(lambda draw: draw.sample(lines.strip().split("\n"), 2))


def injections(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """What a stranger adds to a text to have it kept, before every image: another one each time."""
    pleas = [one["text"] for one in json.loads(SET.read_text())["injections"] if one["place"] == "text"]
    return before_images(lambda draw: [draw.choice(pleas)])(documents)


def personal_data(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """A person with mail address and phone number before every image."""
    return before_images(
        lambda draw: [
            f"This was tried by Jo Reed (jo.{draw.randrange(10_000)}@{DOMAIN}, {EXCHANGE}{draw.randrange(10, 99)})."
        ]
    )(documents)


def is_personal(text: str) -> bool:
    """Whether planted personal data are still in a text."""
    return DOMAIN in text or EXCHANGE in text


def _each(change: Callable[[str, random.Random], Sequence[str]]) -> Damage:
    """Every text but headings replaced by one or more."""

    def rewrite(segment: StoredSegment, draw: random.Random) -> list[StoredSegment]:
        if isinstance(segment, Text) and not is_heading(segment.text):
            return [*map(Text, change(segment.text, draw))]
        return [segment]

    return _rewritten(rewrite)


def _rewritten(rewrite: Callable[[StoredSegment, random.Random], Sequence[StoredSegment]]) -> Damage:
    """Every segment replaced by one or more; documents that stay as they are have no copy."""

    def damage(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
        copies = []
        for document in documents:
            draw = random.Random(document.id)
            segments = tuple(new for segment in document.segments for new in rewrite(segment, draw))
            if segments != document.segments:
                copies.append(replace(document, segments=segments))
        return copies

    return damage


def _shuffled(sentence: str, draw: random.Random) -> str:
    body = sentence.rstrip(".!?:")
    found = body.split()
    draw.shuffle(found)
    return " ".join(found) + sentence[len(body) :]
