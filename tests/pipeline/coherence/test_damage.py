import dataclasses

import pytest

from pipeline.coherence.damage import (
    KINDS,
    captions_copied,
    half_swapped,
    other_texts,
    permuted,
    shuffled,
    swapped,
)
from tests.tiny_clip import document


def page(id_: int, images: int, source: str = "a"):
    segments = [part for k in range(images) for part in (f"Text {id_}.{k}.", 100 * id_ + k)]
    return dataclasses.replace(document("Begin.", *segments, "End.", id=str(id_)), source=source)


PAGES = [*(page(k, 3) for k in range(1, 7)), *(page(k, 2, "b") for k in range(7, 10)), page(10, 1, "alone")]


def hashes(one) -> list[str]:
    return [image.sha256 for image in one.images]


def by_id(copies):
    return {copy.id: copy for copy in copies}


def test_swapped_images_are_distinct_and_of_other_documents_of_the_source():
    copies = by_id(swapped(PAGES))
    assert set(copies) == {str(k) for k in range(1, 10)}  # the tenth is alone in its source
    for original in PAGES[:9]:
        copy = copies[original.id]
        assert copy.texts == original.texts and len(set(hashes(copy))) == len(original.images)
        owners = {int(sha256) // 100 for sha256 in hashes(copy)}
        assert int(original.id) not in owners
        assert owners <= (set(range(1, 7)) if original.source == "a" else set(range(7, 10)))


def test_half_of_the_images_are_rounded_down():
    for copy in half_swapped(PAGES):
        original = by_id(PAGES)[copy.id]
        changed = [a != b for a, b in zip(hashes(copy), hashes(original), strict=True)]
        assert sum(changed) == len(original.images) // 2 > 0


def test_no_image_keeps_its_place_in_another_order():
    copies = by_id(permuted(PAGES))
    assert "10" not in copies and len(copies) == 9
    for original in PAGES[:9]:
        pairs = list(zip(hashes(copies[original.id]), hashes(original), strict=True))
        assert all(a != b for a, b in pairs) and {a for a, _ in pairs} == {b for _, b in pairs}


def test_a_document_that_shows_one_image_twice_cannot_be_permuted():
    assert permuted([document("One.", 5, "Two.", 5)]) == []


@pytest.mark.parametrize("images, texts", [(1, 1), (3, 2), (2, 7), (5, 5)])
def test_other_texts_keep_every_image_and_every_text_in_order(images, texts):
    one, two = page(1, images), document(*(f"Other {k}." for k in range(texts)), 900, id="2")
    (copy,) = (copy for copy in other_texts([one, two]) if copy.id == "1")
    assert hashes(copy) == hashes(one) and copy.texts == two.texts


def test_images_are_spread_over_the_other_texts():
    one, two = page(1, 2), document(*(f"Other {k}." for k in range(6)), 900, id="2")
    (copy,) = (copy for copy in other_texts([one, two]) if copy.id == "1")
    kinds = "".join("T" if hasattr(s, "text") else "i" for s in copy.segments)
    assert kinds == "TTiTTiTT"


def test_the_order_of_the_documents_changes_no_copy():
    for damage in (*KINDS.values(), shuffled, captions_copied):
        assert by_id(damage(PAGES)) == by_id(damage(PAGES[::-1]))


def test_shuffled_sentences_stay_between_the_same_headings_and_images():
    original = document("## Tea", "Boil water. Wait a minute.\n- Pour it.", 5, "Serve the tea.", id="t")
    (copy,) = shuffled([original])
    assert [type(s) for s in copy.segments] == [type(s) for s in original.segments]
    first, second, last = copy.texts
    assert first == "## Tea" and last != "Serve the tea." and second.count("\n") == 1
    everything = f"{second}\n{last}"
    assert all(s in everything for s in ("Boil water.", "Wait a minute.", "- Pour it.", "Serve the tea."))
    assert not second.startswith("Boil water.") and hashes(copy) == hashes(original)


@pytest.mark.parametrize("texts", [("One sentence.",), ("The same.", "The same."), ("## A", "## B"), ()])
def test_a_text_without_two_different_sentences_has_no_other_order(texts):
    assert shuffled([document(*texts, 5)]) == []


def test_documents_without_captions_have_no_copy_with_captions():
    assert captions_copied([document("Text.", 5)]) == []
