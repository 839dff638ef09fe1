from __future__ import annotations

import dataclasses
import math
import pathlib

import numpy as np
import pytest

from pipeline.coherence.places import places
from pipeline.coherence.scorer import coherence
from pipeline.coherence.thresholds import (
    COPIES,
    document_thresholds,
    image_thresholds,
    with_strangers,
    write_thresholds,
)
from pipeline.config import CoherenceRules, Ocr
from pipeline.selftest.result import AT_MOST
from schemas.errors import UserError
from tests.tiny_clip import document, picture

FOUND = CoherenceRules(0.1234, 0.2, -0.01, 0.95)
CONFIG = """\
# a config
clip:
  model: m           # which

coherence:           # written by calibrate
  matched_at_least: 0.0  # an image below goes

  # a remark
  mean_at_least: 0
  margin_at_least: 0.00001   # kept in its column
  similarity_at_most: 0.99

other:
  matched_at_least: 7    # another block's
"""


class Known:
    """A scorer that knows: a picture (number) and the sentence that names it have the cosine 0.9 less noise, others
    0.1 plus noise; a changed copy of a picture has 0.97, another picture 0.3."""

    def image_vectors(self, hashes, open_image):
        vectors = {}
        for key in hashes:
            open_image(key)
            sha256, _, copy = key.partition(" ")
            vector = np.zeros(500, np.float32)
            vector[int(sha256)] = 1.0 if not copy else 0.97
            vectors[key] = vector
        return vectors

    def score(self, documents, open_image):
        def score(document):
            images, slots = [image.sha256 for image in document.images], places(document)
            scores = np.array(
                [[max((self.cosine(i, s) for s in slot.sentences), default=0) for slot in slots] for i in images]
            )
            apart = np.array([[a.sentences != b.sentences for b in slots] for a in slots])
            alike = np.array([[1.0 if a == b else 0.3 for b in images] for a in images])
            return coherence(scores, alike, apart, "known")

        return [score(document) for document in documents]

    def cosine(self, sha256, sentence):
        noise = np.random.default_rng(int(sha256)).random() / 10
        return 0.9 - noise if sentence == f"Picture {sha256} here." else 0.1 + noise


def scored(scorer):
    return lambda documents: scorer.score(documents, picture)


def pages(count=30):
    between = " ".join(f"This is sentence number {i}." for i in range(10))
    return [
        document(f"Picture {k} here.", k, between, f"Picture {k + 200} here.", k + 200, "End.", id=str(k))
        for k in range(count)
    ]


def test_a_model_that_can_tell_loses_one_image_in_twenty_and_catches_the_rest():
    found = image_thresholds(pages(), scored(Known()), Known(), picture)
    right = sorted(0.9 - np.random.default_rng(k).random() / 10 for k in [*range(30), *range(200, 230)])
    assert found.matched_at_least == pytest.approx(right[2], abs=1e-4)  # the 5th percentile of 60
    assert found.similarity_at_most == 0.97
    assert found.caught == {"matched_at_least": 1.0, "similarity_at_most": 1.0}


def documents(rows) -> list[list[tuple[float, float]]]:
    """Documents with one point each."""
    return [[row] for row in rows]


def test_as_many_true_documents_pass_as_the_limits_for_damaged_ones_allow():
    true = documents((k / 100, 0.5) for k in range(100))
    swapped = documents((k / 200, 0.5) for k in range(100))  # 10 % have 0.45 or more
    permuted = documents((k / 100, -0.5) for k in range(100))
    found = document_thresholds(true, {"swapped": swapped, "permuted": permuted}, AT_MOST)
    assert found.mean_at_least == 0.45 and found.margin_at_least == 0.5
    assert found.passing == {"true": 0.55, "swapped": 0.1, "permuted": 0.0}


def test_a_document_passes_by_one_of_its_excerpts_and_never_without_one():
    true = [[(0.1, 0.2), (0.9, 0.2)]] * 8 + [[]] * 2
    found = document_thresholds(true, {"swapped": [[(0.1, math.inf)]] * 10, "permuted": []}, AT_MOST)
    assert found.passing == {"true": 0.8, "swapped": 0.0, "permuted": 0.0} and found.mean_at_least == 0.9


def test_a_model_that_can_hardly_tell_does_not_drop_nearly_everything():
    """Within the limits a fifth of the true documents would pass; the greatest difference is taken instead."""
    true = documents((k / 100 + 0.1, 0.0) for k in range(100))
    swapped = documents((k / 100, 0.0) for k in range(100))
    found = document_thresholds(true, {"swapped": swapped, "permuted": true}, AT_MOST)
    assert found.passing["true"] - found.passing["swapped"] == pytest.approx(0.1, abs=0.011)
    assert found.passing["true"] > 0.5


def test_the_duplicate_threshold_spares_different_pictures():
    class Blurred(Known):
        def score(self, documents, open_image):
            return [
                dataclasses.replace(
                    score,
                    max_previous_similarity=tuple(
                        0.99 if value > 0 else value for value in score.max_previous_similarity
                    ),
                )
                for score in super().score(documents, open_image)
            ]

    assert image_thresholds(pages(), scored(Blurred()), Known(), picture).similarity_at_most == 0.99


def test_strangers_are_pictures_of_another_document():
    pages_ = [*pages(5), document("One.", 401, 402, "Two.", 403, id="long")]
    for page in with_strangers(pages_):
        (own,) = (p for p in pages_ if p.id == page.id)
        assert page.texts == own.texts and len(page.images) == len(own.images)
        assert not {i.sha256 for i in page.images} & {i.sha256 for i in own.images}


def test_copies_differ_a_little():
    original = picture("5")
    for name, copy in COPIES.items():
        changed = np.asarray(copy(original).resize(original.size), dtype=float)
        assert 0 < np.abs(changed - np.asarray(original)).mean() < 25, name


def test_too_few_documents():
    with pytest.raises(UserError, match="at least 20 documents .* found 19"):
        image_thresholds([*pages(19), document("Text.", 1), document("Text.")], scored(Known()), Known(), picture)


def test_only_the_four_values_change(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    write_thresholds(str(path), FOUND)
    assert (
        path.read_text()
        == """\
# a config
clip:
  model: m           # which

coherence:           # written by calibrate
  matched_at_least: 0.1234 # an image below goes

  # a remark
  mean_at_least: 0.2000
  margin_at_least: -0.0100   # kept in its column
  similarity_at_most: 0.9500

other:
  matched_at_least: 7    # another block's
"""
    )


def test_weights_are_written_to_their_own_block(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG + "ocr:\n  similarity: 0  # a\n  words: 0\n  neutral: 0\n  side: 480\n")
    write_thresholds(str(path), FOUND, Ocr(0.5, 0.25, 1.0))
    assert path.read_text().endswith(
        "ocr:\n  similarity: 0.5000 # a\n  words: 0.2500\n  neutral: 1.0000\n  side: 480\n"
    )


def test_weights_without_a_block_change_nothing(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    with pytest.raises(UserError, match="neutral, similarity, words under `ocr:`"):
        write_thresholds(str(path), FOUND, Ocr(0.5, 0.25, 1.0))
    assert path.read_text() == CONFIG


def test_the_ends_of_lines_stay(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(CONFIG.replace("\n", "\r\n").encode())
    write_thresholds(str(path), FOUND)
    assert b"  mean_at_least: 0.2000\r\n" in path.read_bytes()
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n") == CONFIG.count("\n")


def test_the_projects_configs_can_be_written(tmp_path):
    from pipeline.config import load

    for name in ("demo", "leafinstruct"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(pathlib.Path(f"configs/{name}.yaml").read_text())
        before = path.read_text()
        write_thresholds(str(path), FOUND)
        rules = load(str(path)).coherence
        assert (rules.matched_at_least, rules.mean_at_least, rules.margin_at_least, rules.similarity_at_most) == (
            0.1234,
            0.2,
            -0.01,
            0.95,
        )
        assert sum(a != b for a, b in zip(before.splitlines(), path.read_text().splitlines(), strict=True)) <= 4


@pytest.mark.parametrize(
    "text", ["clip:\n  model: m\n", "coherence: {matched_at_least: 0}\n", CONFIG.replace("mean", "x")]
)
def test_a_config_without_the_keys_is_the_users_to_mend(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match="mean_at_least.* under `coherence:`"):
        write_thresholds(str(path), FOUND)
    assert path.read_text() == text
