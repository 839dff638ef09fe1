"""What the check of the index says of a row's values, one by one, and of a file that is no index."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.dataset import shards
from schemas.checks import index
from schemas.folder import LocalFolder
from tests.schemas import example

MANIFEST = {"rating_aspects": example.ASPECTS, "salt": example.SALT, "domains": example.CONFIG["domains"]}


@pytest.fixture(scope="module")
def row(good):
    """A row with three images."""
    return next(row for row in shards.read_index(f"{good}/index.parquet") if len(row.images) == 3)


def faults(row, config=None, **fields):
    found = index._values(dataclasses.replace(row, **fields), config or {})
    return [(defect.kind, defect.message, defect.pointer) for defect in found]


def value(message, pointer):
    return [("index-value", message, pointer)]


def test_counts_and_names_of_images(row):
    assert faults(row) == []
    text = value("counts an output without a text or without an image", "/n_output_texts")
    assert faults(row, n_output_texts=0) == faults(row, n_context_texts=-1) == text
    assert faults(row, n_context_images=3, n_output_images=0) == text
    names = value("names other images than 00 to 02", "/images")
    assert faults(row, images=row.images[:2]) == faults(row, images=row.images[::-1]) == names
    assert faults(row, n_context_images=row.n_context_images + 1) == value(
        "names other images than 00 to 03", "/images"
    )


@pytest.mark.parametrize("name,low,high", [("coherence", -1, 1), ("margin", -2, 2), ("recall_at_1", 0, 1)])
def test_scores_are_in_their_ranges(row, name, low, high):
    assert faults(row, **{name: float(low)}) == faults(row, **{name: float(high)}) == []
    for wrong in (low - 0.0001, high + 0.0001, 0.12345):
        assert faults(row, **{name: wrong}) == value(
            f"is {wrong}; it is from {low} to {high}, with 4 decimals", f"/{name}"
        )


def test_scores_that_compare_images_are_there_together(row):
    apart = value("margin and recall_at_1 are null together", "/margin")
    assert faults(row, margin=None) == faults(row, recall_at_1=None) == apart
    assert faults(row, margin=None, recall_at_1=None) == []


def test_ratings_and_thresholds(row):
    wrong = value("a rating is from 1 to 5, with 4 decimals", "/ratings")
    for rating in (0.9999, 5.0001, 4.12345):
        assert faults(row, ratings=row.ratings | {"fluency": rating}) == wrong
    for section, name, least, pointer in (
        ("coherence", "mean_at_least", row.coherence, "/coherence"),
        ("coherence", "margin_at_least", row.margin, "/margin"),
        ("ratings", "lowest_at_least", 3.5, "/ratings"),
        ("ratings", "mean_at_least", 4.1875, "/ratings"),
    ):
        assert faults(row, {section: {name: least}}) == []
        more = round(least + 0.0001, 4)
        assert faults(row, {section: {name: more}}) == [
            ("threshold", f"is {least}; the configuration keeps from {more} on", pointer)
        ]
    assert faults(row, {"excerpt": {"max_images": 3}}) == []
    assert faults(row, {"excerpt": {"max_images": 2}}) == [
        ("threshold", "has 3 images; the configuration allows 2", "/images")
    ]


def test_a_file_that_is_no_index(tmp_path):
    (tmp_path / "index.parquet").write_bytes(b"PAR1 and not more")
    [defect] = index.read(LocalFolder(tmp_path), MANIFEST)
    assert (defect.kind, defect.file) == ("index-unreadable", "index.parquet")
    assert defect.message.startswith("cannot be read as Parquet: ")
    assert index.rows_of(LocalFolder(tmp_path), MANIFEST, "s") is None
    (tmp_path / "index.parquet").unlink()
    [defect] = index.read(LocalFolder(tmp_path), MANIFEST)
    assert defect.kind == "index-unreadable"
