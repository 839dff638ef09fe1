"""Near repeats: which are found, which document stays, and what the ledger says of the others."""

from __future__ import annotations

import random

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from filters.near_duplicates import signature
from pipeline.graph.repeats import Identity, Repeats, place_order
from pipeline.graph.union import Components
from schemas.records import Document, Text

WORDS = [f"word{i}" for i in range(5000)]


def text(seed, length=300):
    return random.Random(seed).choices(WORDS, k=length)


def changed(words, share, seed=1):
    """The words with this share of them replaced."""
    chance = random.Random(seed)
    return [chance.choice(WORDS) if chance.random() < share else word for word in words]


def identity(id_, location, words, corpus=0):
    document = Document(id_, "s", (Text(" ".join(words)),))
    return Identity(id_, location, f"digest of {' '.join(words)}", signature(document), corpus)


@pytest.mark.parametrize("order", [1, -1])
def test_the_first_of_near_repeats_stays_and_the_others_name_it(order, disk):
    base = text(0)
    documents = [
        identity("a", "f:10", changed(base, 0.02)),
        identity("b", "f:9", base),
        identity("c", "g:1", changed(base, 0.02, 2)),
        identity("d", "f:1", text(1)),
        identity("e", "f:2", text(2)[:4]),
        identity("f", "f:3", text(2)[:3]),
    ]
    with beam.Pipeline(runner="FnApiRunner") as p:
        found = p | beam.Create(documents[::order]) | Repeats(0.7, disk)
        assert_that(
            found | beam.MapTuple(lambda at, r: (at, r.rule, r.first, r.threshold, 0.7 <= r.value < 1)),
            equal_to([("f:10", "near_duplicate_text", "b", 0.7, True), ("g:1", "near_duplicate_text", "b", 0.7, True)]),
        )


@pytest.mark.parametrize("order", [1, -1])
def test_the_near_repeat_of_the_corpus_that_is_named_first_stays(order, disk):
    base = text(0)
    documents = [
        identity("a", "a:1", base, 1),
        identity("z", "z:2", changed(base, 0.02), 0),
        identity("y", "b:1", changed(base, 0.02, 2), 2),
    ]
    with beam.Pipeline(runner="FnApiRunner") as p:
        found = p | beam.Create(documents[::order]) | Repeats(0.7, disk)
        assert_that(found | beam.MapTuple(lambda at, r: (at, r.first)), equal_to([("a:1", "z"), ("b:1", "z")]))


def test_equal_texts_go_first_and_the_setting_is_off_by_default(disk):
    base = text(0)
    documents = [identity("a", "f:1", base), identity("b", "f:2", base), identity("c", "f:3", changed(base, 0.02))]
    with beam.Pipeline(runner="FnApiRunner") as p:
        rows = beam.MapTuple(lambda at, r: (at, r.rule, r.first))
        given = p | beam.Create(documents)
        assert_that(
            given | "exact" >> Repeats(disk=disk) | "e" >> rows, equal_to([("f:2", "duplicate_text", "a")]), "1"
        )
        assert_that(
            given | "near" >> Repeats(0.7, disk) | "n" >> rows,
            equal_to([("f:2", "duplicate_text", "a"), ("f:3", "near_duplicate_text", "a")]),
            "2",
        )


def test_what_hangs_together_by_others_has_one_first():
    links = [
        ("f:3", "f:2", 0.8, "two"),
        ("f:2", "f:1", 0.7, "one"),
        ("g:9", "g:8", 0.9, "eight"),
        ("f:4", "f:2", 1.0, "two"),
    ]
    for seed in range(5):
        random.Random(seed).shuffle(links)
        combine = Components(place_order)
        parts = [combine.add_input(combine.create_accumulator(), link) for link in links]
        assert combine.extract_output(combine.merge_accumulators(parts)) == {
            "f:2": ("f:1", 1.0, "one"),
            "f:3": ("f:1", 0.8, "one"),
            "f:4": ("f:1", 1.0, "one"),
            "g:9": ("g:8", 0.9, "eight"),
        }
