"""Images that several documents have: which goes, which stays, and what the ledger says."""

from __future__ import annotations

import dataclasses
import io
import json
import random

import apache_beam as beam
import numpy as np
import PIL.Image
import pytest
from apache_beam.testing.util import assert_that, equal_to

from filters.decontaminate import image_hash
from filters.repeated_images import distance
from pipeline.corpora import parts
from pipeline.graph.repeated_images import CompareImages, RepeatedImages, Seen, look
from pipeline.sources import Corpus, Duplicates
from schemas.records import Drop, DroppedDocument, StoredDocument, StoredImage, Text
from tests.pipeline.runs import a_run


def seen(location, hashed, uri="a.jpg", inner=None):
    """An image whose hash without its edges is far from all others, or as given."""
    inner = random.Random(location).getrandbits(64) if inner is None else inner
    return Seen(location, f"id of {location}", uri, f"sha {location} {uri}", hashed.to_bytes(8), inner.to_bytes(8))


def check(some, bits, in_at_most, expected, disk):
    """`expected`: (location, rule, value, detail) of the images that go."""
    with beam.Pipeline(runner="FnApiRunner") as p:
        found = p | beam.Create(some) | RepeatedImages(bits, in_at_most, disk)
        flat = found | beam.FlatMapTuple(
            lambda at, drops: [(at, drop.rule, drop.value, detail) for drop, detail in drops.values()]
        )
        assert_that(flat, equal_to(expected))


BASE = random.Random(0).getrandbits(64)


@pytest.mark.parametrize("order", [1, -1])
def test_the_first_document_keeps_its_image_and_the_others_name_it(order, disk):
    some = [
        seen("f:10", BASE ^ 0b111),
        seen("f:9", BASE),
        seen("g:1", BASE ^ 0b1111100000),
        seen("g:2", BASE ^ 0b111111 << 20),  # six bits are too many
        seen("g:3", ~BASE & (1 << 64) - 1),
    ]
    detail = "repeats a.jpg of id of f:9"
    expected = [("f:10", "repeated_image", 3.0, detail), ("g:1", "repeated_image", 5.0, detail)]
    check(some[::order], 5, None, expected, disk)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("first", [BASE, ~BASE & (1 << 64) - 1])
def test_a_copy_without_its_edges_is_the_same_image_whichever_comes_first(order, first, disk):
    """Compared are the hash of one and the inner hash of the other; two inner hashes alike say nothing."""
    cut = BASE ^ 0xFFFF0000FFFF
    some = [
        seen("f:1", first, inner=cut ^ 0b11),
        seen("f:2", cut),
        seen("f:3", cut ^ 0xFF << 30, inner=cut ^ 0b1),  # its own hash is far from all of them
    ]
    detail = "repeats a.jpg of id of f:1"
    bits = (first ^ cut).bit_count()
    third = (first ^ cut ^ 0xFF << 30).bit_count()
    expected = [("f:2", "repeated_image", float(bits), detail), ("f:3", "repeated_image", float(third), detail)]
    check(some[::order], 4, None, expected, disk)
    check([some[0], some[2]][::order], 4, None, [], disk)
    check(some[::order], None, 1, [], disk)


def test_equal_images_of_one_document_are_left_to_another_rule(disk):
    check([seen("f:1", BASE, "a.jpg"), seen("f:1", BASE, "b.jpg")], 5, 1, [], disk)


def test_an_image_that_stands_in_too_many_documents_goes_from_all_of_them(disk):
    some = [seen(f"f:{n}", BASE ^ (n == 3)) for n in range(1, 5)] + [
        seen(f"g:{n}", ~BASE & (1 << 64) - 1) for n in (1, 2)
    ]
    detail = "repeats a.jpg of id of f:1"
    everywhere = [(f"f:{n}", "recurring_image", 4.0, detail if n > 1 else "") for n in range(1, 5)]
    check(some, 5, 3, [*everywhere, ("g:2", "repeated_image", 0.0, "repeats a.jpg of id of g:1")], disk)


def test_without_a_distance_only_recurring_images_go_and_only_equal_hashes_count(disk):
    some = [seen(f"f:{n}", BASE) for n in range(1, 4)] + [seen("f:4", BASE ^ 1), seen("f:5", BASE ^ 1)]
    goes = [(f"f:{n}", "recurring_image", 3.0, "repeats a.jpg of id of f:1" * (n > 1)) for n in (1, 2, 3)]
    check(some, None, 2, goes, disk)


def test_many_flat_images_take_no_more_than_their_number_allows(disk):
    """One key for all: each is compared with two hundred before it at most, and all hang together."""
    some = [seen(f"f:{n}", BASE ^ (n % 4), inner=BASE ^ (n % 8)) for n in range(1, 1500)]
    with beam.Pipeline(runner="FnApiRunner") as p:
        found = p | beam.Create(some) | RepeatedImages(2, 10, disk) | beam.combiners.Count.Globally()
        assert_that(found, equal_to([1499]))


def photo(seed, size=(200, 160)):
    small = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return PIL.Image.fromarray(small).resize(size, PIL.Image.Resampling.BICUBIC)


def data(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


@pytest.fixture
def run(tmp_path):
    """Four documents that share a picture, re-encoded, scaled and cut, and have one each of their own."""
    (tmp_path / "corpus/images").mkdir(parents=True)
    files = {"a0.jpg": data(photo(0)), "b0.jpg": data(photo(0), quality=40), "c0.jpg": data(photo(0, (150, 120)))}
    files["d0.jpg"] = data(photo(0).crop((10, 8, 190, 152)))
    files |= {f"{name}1.jpg": data(photo(seed)) for seed, name in enumerate("abcd", 1)}
    for name, content in files.items():
        (tmp_path / "corpus/images" / name).write_bytes(content)
    words = "The carpenter measures the board twice before the saw cuts it and then the boards are sanded smooth. "
    lines = [
        {
            "id": name,
            "segments": [
                {"text": (words + f"This is the {name} one of them all. ") * 4},
                {"image": f"{name}0.jpg"},
                {"text": f"And then the {name} board is oiled by hand, as it was done in the old days. " * 2},
                {"image": f"{name}1.jpg"},
            ],
        }
        for name in "abcd"
    ]
    (tmp_path / "corpus/docs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = a_run(
        tmp_path,
        corpora=(Corpus("native", f"{tmp_path}/corpus"),),
        duplicates=Duplicates(image_distance=4),
    )
    return dataclasses.replace(run, preset=dataclasses.replace(run.preset, document_rules=()))


def test_looking_stores_the_images_of_documents_that_are_no_repeats(run):
    [part] = parts("native", run.config.corpora[0].path)
    found = list(look(part, run, {}))
    assert {(s.id, s.uri.rpartition("/")[2]) for s in found} == {(n, f"{n}{i}.jpg") for n in "abcd" for i in (0, 1)}
    [whole], [cut] = ([s for s in found if s.uri.endswith(f"{name}0.jpg")] for name in "ad")
    assert whole.hashed == image_hash(photo(0))
    assert distance(whole.inner, cut.hashed) < distance(whole.hashed, cut.hashed)
    location = next(s.location for s in found if s.id == "b")
    assert {s.id for s in look(part, run, {location: object()})} == {"a", "c", "d"}


def test_without_a_distance_there_is_no_second_hash(run):
    config = dataclasses.replace(run.config, duplicates=Duplicates(images_in_at_most=2))
    [part] = parts("native", run.config.corpora[0].path)
    found = list(look(part, dataclasses.replace(run, config=config), {}))
    assert found and {s.inner for s in found} == {b""} and all(s.inner for s in look(part, run, {}))


def stored(id_, *hashes):
    images = tuple(StoredImage(f"{sha}.jpg", sha256=sha, width=9, height=9, extension="jpg") for sha in hashes)
    return StoredDocument(id_, "s", (Text("word " * 100), *images), location="f:1")


def test_the_stage_takes_them_out_and_a_document_without_images_ends(run):
    stage = CompareImages(run)
    one = (Drop("repeated_image", 2.0, 5.0), "repeats x.jpg of x")
    [left] = [stage._without(stored("a", "s1", "s2"), {"s2": one})]
    assert isinstance(left, StoredDocument) and [i.sha256 for i in left.images] == ["s1"]
    [lost] = left.dropped_images
    assert (lost.index, lost.stage, lost.drop, lost.detail) == (1, "compare_images", *one)
    assert isinstance(stage._without(stored("a", "s1"), {"s1": one}), DroppedDocument)
    assert stage._without(stored("a", "s3"), {"s1": one}) == stored("a", "s3")
