"""Signatures of texts: what makes no difference, and how well two of them estimate what the texts share."""

from __future__ import annotations

import hashlib
import random

import pytest

from filters.near_duplicates import bands, signature, similarity
from schemas.records import Document, Image, Text

WORDS = [f"word{i}" for i in range(5000)]


def signed(*paragraphs: str) -> bytes:
    return signature(Document("d", "s", tuple(map(Text, paragraphs))))


def changed(words, share):
    """The words with this share of them replaced."""
    chance = random.Random(1)
    return [chance.choice(WORDS) if chance.random() < share else word for word in words]


def jaccard(one, other):
    one, other = ({tuple(w[i : i + 5]) for i in range(len(w) - 4)} for w in (one, other))
    return len(one & other) / len(one | other)


def test_similarity_estimates_the_jaccard_of_five_word_runs():
    for share in (0.01, 0.03, 0.06, 0.1, 0.2):
        one = random.Random(share).choices(WORDS, k=2000)
        other = changed(one, share)
        estimate = similarity(signed(" ".join(one)), signed(" ".join(other)))
        assert estimate == pytest.approx(jaccard(one, other), abs=0.13)  # three standard errors


def test_similarity_is_the_share_of_equal_values():
    one = signed("Only five words are here.")
    assert similarity(one, one) == 1.0
    other = bytes(byte ^ 1 for byte in one[:128]) + one[128:]  # 32 of 128 values differ
    assert similarity(one, other) == 0.75


def test_case_marks_and_white_space_make_no_difference():
    one = signed("## Cut the *four* boards", "to length, then plane.")
    assert one == signed("CUT the ｆour\n boards to length then plane") != b""


def test_titles_and_images_make_no_difference():
    """The same text under another title is the usual near-duplicate."""
    text = Text("Only five words are here.")
    assert signature(Document("d", "s", (Image("a.jpg", alt="a saw"), text), title="A saw")) == signed(text.text)


def test_five_words_are_needed():
    assert signed("Only four words here.") == b""
    assert len(signed("Only five words are here.")) == 4 * 128


def test_a_signature_never_changes():
    digest = hashlib.sha256(signed("Cut the four boards to length, then plane them.")).hexdigest()
    assert digest == "644ce03f483cd38710b8a46524cd65a9d0b76c6c2aff568d57142fdcab57e29a"


def test_there_are_25_bands_of_five_values_each_with_its_number():
    one = signed("Only five words are here.")
    assert list(bands(one)) == [bytes([n]) + one[20 * n : 20 * n + 20] for n in range(25)]
    assert list(bands(b"")) == []
