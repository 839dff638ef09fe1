"""What two texts, ids or images must have in common to count as the same item of a benchmark."""

from __future__ import annotations

import hashlib

import imagehash
import numpy as np
import PIL.Image
import pytest

from filters.decontaminate import benchmark_ids, image_hash, nearest, runs, source_ids
from schemas.records import Document, Image, Text


def test_a_run_is_twelve_words_without_case_or_marks():
    found = list(runs(["A, b C **D** e ｆ g h i j k l-m n"]))
    assert [run for _, run in found] == ["a b c d e f g h i j k l-m", "b c d e f g h i j k l-m n"]
    for hashed, run in found:  # indexes on disk hold these numbers
        assert hashed == int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest(), "big")


def test_a_run_goes_on_in_the_next_text():
    whole = "Grease the tin. Mix flour with sugar. Add four eggs. Stir it until smooth."
    steps = [f"{step.strip()}." for step in whole.split(".")]
    assert list(runs(steps)) == list(runs([whole])) and len(list(runs(steps))) == 3
    assert [run for _, run in runs(["a b c d e f g h i j to", "tin"])] == ["a b c d e f g h i j to tin"]


def test_eleven_words_are_no_run():
    assert list(runs(["a b c d e f g h i j k"])) == []
    assert len(list(runs(["a b c d e f g h i j k l"]))) == 1


@pytest.mark.parametrize(
    "id_, url, known",
    [
        ("77_501", "https://a.example/77", {"77_501", "77", "https://a.example/77"}),
        ("a_b_3", "", {"a_b_3", "a_b"}),
        ("77", "", {"77"}),
        ("_1", "", {"_1"}),
    ],
)
def test_a_source_is_known_by_its_id_its_whole_and_its_address(id_, url, known):
    assert source_ids(Document(id_, "s", (Text("Text."),), url=url)) == known


@pytest.mark.parametrize(
    "id_, url, images, held_out",
    [
        ("next_step_12345", "", [], {"next_step_12345", "12345"}),
        ("next_step_1234", "", [], {"next_step_1234"}),
        ("a-98765-b-1234567", "u", [], {"a-98765-b-1234567", "98765", "1234567", "u"}),
        ("x", "", ["wikihow/70000001_0_0.png", "wikihow/70000002_3_14.jpg"], {"x", "70000001", "70000002"}),
        ("x", "", ["70000001_0_0.png", "wikihow/70000001_0.png", "wikihow/a70000001_0_0.png"], {"x"}),
    ],
)
def test_an_item_holds_out_its_numbers_and_the_articles_of_its_step_images(id_, url, images, held_out):
    assert benchmark_ids(Document(id_, "s", tuple(map(Image, images)), url=url)) == held_out


def test_an_image_s_hash_is_the_eight_bytes_of_its_phash():
    for seed in range(3):
        small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
        picture = PIL.Image.fromarray(small).resize((96, 64), PIL.Image.Resampling.BICUBIC)
        assert image_hash(picture).hex() == str(imagehash.phash(picture))
        assert len(image_hash(picture)) == 8


def test_the_nearest_hash_is_the_first_of_those_with_the_fewest_other_bits():
    known = np.array([0xFF, 0x0101, 0x0100, 0x80 << 56], np.uint64)
    assert nearest((0x0103).to_bytes(8, "big"), known) == (1, 1)
    assert nearest((0).to_bytes(8, "big"), known) == (2, 1)
    assert nearest((0x81 << 56).to_bytes(8, "big"), known) == (3, 1)
    assert nearest(bytes(8), known[:0]) == (-1, 64)
