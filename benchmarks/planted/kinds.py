"""The kinds of planted documents: what each is, and what should become of it.

The kinds that models have to judge come first, because the documents of held-out sources are given out first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

from benchmarks.planted import pictures, texts
from benchmarks.planted.sentences import CLUTTER, FILLER, GERMAN
from pipeline.coherence.damage import (
    Damage,
    captions_copied,
    half_swapped,
    other_texts,
    permuted,
    shuffled,
    swapped,
)
from schemas.records import StoredDocument

TRUE = "true"
SHARE = 0.3
"""The share of documents that are planted as they are; about the same number of each kind of damage is the rest."""


def unchanged(documents: Sequence[StoredDocument]) -> list[StoredDocument]:
    """The documents as they are."""
    return list(documents)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of document.

    about: what it is, for the table. should: what should become of it: `stay`, `lose images` (only planted ones), `go`.
    damage: what is done to texts and to the order of images, and `file` to the file of each image. with_another: the
    damage needs another document to take something from. repeats: it is a copy of a document that is planted as it is.
    least: how many there must be for the damage to be one.
    """

    about: str
    should: Literal["stay", "lose images", "go"]
    damage: Damage = unchanged
    file: Callable[[bytes], bytes] = bytes
    with_another: bool = False
    repeats: bool = False
    least: int = 1


KINDS: dict[str, Kind] = {
    TRUE: Kind("as they are", "stay"),
    "swapped": Kind("all images of another document of the source", "go", swapped, with_another=True),
    "permuted": Kind("images in another order", "go", permuted),
    "other_texts": Kind("texts of another document", "go", other_texts, with_another=True),
    "half_swapped": Kind("half of the images of another document", "lose images", half_swapped, with_another=True),
    "sentences_shuffled": Kind("sentences in another order", "go", shuffled),
    "words_shuffled": Kind("words of each sentence in another order", "go", texts.each_text(texts.words_shuffled)),
    "words_missing": Kind("a third of the words missing", "go", texts.each_text(texts.words_missing)),
    "cut": Kind("each paragraph cut in the middle", "go", texts.each_text(texts.cut)),
    "noise": Kind("one letter in nine is another", "go", texts.each_text(texts.noise)),
    "clutter": Kind("lines of web pages before each image", "go", texts.clutter(CLUTTER)),
    "injection": Kind(
        "words in another order, and pleas to keep the text",
        "go",
        texts.in_turn(texts.each_text(texts.words_shuffled), texts.injections),
    ),
    "filler": Kind("a text that says nothing", "go", texts.made_of(FILLER)),
    "boilerplate": Kind("menus, adverts and teasers in place of the text", "go", texts.made_of(CLUTTER)),
    "captions": Kind("captions in place of the text", "go", captions_copied),
    "personal_data": Kind("with a mail address and a phone number", "stay", texts.personal_data),
    "pasted_twice": Kind("each paragraph twice", "go", texts.pasted_twice),
    "other_language": Kind("a German text", "go", texts.made_of(GERMAN)),
    "flat_images": Kind("all images grey", "go", file=pictures.flat),
    "small_images": Kind("all images too small", "go", file=pictures.small),
    "truncated_images": Kind("all image files cut in the middle", "go", file=pictures.truncated),
    "duplicate": Kind("the same text under another id", "go", repeats=True),
    "near_duplicate": Kind("one word in fifty changed", "go", texts.each_text(texts.words_changed), repeats=True),
    "repeated_image": Kind("one image more, the same in all of these", "lose images", pictures.with_logo, least=11),
}


def counts(documents: int) -> dict[str, int]:
    """How many documents of each kind a corpus of so many has. Raises ValueError if they are too few for all kinds."""
    each = round(documents * (1 - SHARE)) // (len(KINDS) - 1)
    found = {name: max(kind.least, each) for name, kind in KINDS.items() if name != TRUE}
    true = documents - sum(found.values())
    repeats = sum(found[name] for name in found if KINDS[name].repeats)
    if true < repeats:
        raise ValueError(
            f"{documents} documents are too few for all kinds: take at least {sum(found.values()) + repeats}"
        )
    return {TRUE: true} | found
