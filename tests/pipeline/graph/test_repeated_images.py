"""Images that several documents have: which goes, which stays, and what the ledger says."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import shutil

import apache_beam as beam
import numpy as np
import PIL.Image
import pytest
from apache_beam.testing.util import assert_that, equal_to

from filters.decontaminate import image_hash
from filters.repeated_images import distance, inner_thumbnail
from filters.thumbnails import BYTES, alike, thumbnail, values
from pipeline.corpora import parts
from pipeline.graph.repeated_images import CompareImages, RepeatedImages, Seen, _judged, _seen, look
from pipeline.sources import Corpus, Duplicates
from schemas.errors import RecordFault, ServiceError
from schemas.records import Drop, DroppedDocument, StoredDocument, StoredImage, Text
from tests.pipeline.runs import a_run


def seen(location, hashed, uri="a.jpg", inner=None, grey=100, inner_grey=None):
    """A grey image whose hash without its edges is far from all others, or as given."""
    inner = random.Random(location).getrandbits(64) if inner is None else inner
    small = bytes([grey]) * BYTES, bytes([grey if inner_grey is None else inner_grey]) * BYTES
    sha = f"sha {location} {uri}"
    return Seen(location, f"id of {location}", uri, sha, hashed.to_bytes(8), inner.to_bytes(8), *small)


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
def test_the_corpus_named_first_keeps_the_image(order, disk):
    some = [seen("a:1", BASE), dataclasses.replace(seen("b:1", BASE), corpus=0)]
    some[0] = dataclasses.replace(some[0], corpus=1)
    check(some[::order], 5, None, [("a:1", "repeated_image", 0.0, "repeats a.jpg of id of b:1")], disk)


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


@pytest.mark.parametrize("bits", [4, 0, None])
@pytest.mark.parametrize("order", [1, -1])
def test_hashes_propose_and_thumbnails_confirm(order, bits, disk):
    """Equal hashes of other pictures are not the same image, neither for one document nor among those of many."""
    some = [seen("f:1", BASE), seen("f:2", BASE, grey=160), seen("f:3", BASE, grey=104), seen("f:4", BASE, grey=162)]
    pairs = [("f:3", "repeated_image", 0.0, "repeats a.jpg of id of f:1")]
    pairs.append(("f:4", "repeated_image", 0.0, "repeats a.jpg of id of f:2"))
    check(some[::order], bits, 2, [] if bits is None else pairs, disk)
    check(some[::order], bits, None, [] if bits is None else pairs, disk)
    both = [(f"f:{n}", "recurring_image", 2.0, f"repeats a.jpg of id of f:{n - 2}" * (n > 2)) for n in range(1, 5)]
    check(some[::order], bits, 1, both, disk)


@pytest.mark.parametrize("order", [1, -1])
def test_a_link_that_thumbnails_do_not_confirm_connects_nothing(order, disk):
    """The one in the middle is near both by its hash, and another picture; so are seven screens of one program."""
    some = [seen("f:1", BASE), seen("f:2", BASE ^ 0b111, grey=200), seen("f:3", BASE ^ 0b111111)]
    check(some[::order], 4, None, [], disk)
    screens = [seen(f"g:{n}", BASE ^ (n & 1), grey=30 * n) for n in range(1, 8)]
    check(screens[::order], 4, 2, [], disk)
    steps = [seen("f:1", BASE), seen("f:2", BASE ^ 0b111, grey=106), seen("f:3", BASE ^ 0b111111, grey=112)]
    detail = "repeats a.jpg of id of f:1"  # but a copy of a copy is one
    goes = [("f:2", "repeated_image", 3.0, detail), ("f:3", "repeated_image", 6.0, detail)]
    check(steps[::order], 4, None, goes, disk)


def test_a_cut_copy_is_confirmed_by_the_thumbnail_without_edges(disk):
    cut = BASE ^ 0xFFFF0000FFFF
    whole = seen("f:1", BASE, inner=cut, grey=100, inner_grey=140)
    bits = float((BASE ^ cut).bit_count())
    goes = [("f:2", "repeated_image", bits, "repeats a.jpg of id of f:1")]
    check([whole, seen("f:2", cut, grey=150)], 4, None, goes, disk)  # by as much as only a cut may be
    check([whole, seen("f:2", cut, grey=100)], 4, None, [], disk)
    check([whole, seen("f:2", BASE, inner=0, grey=110)], 4, None, [], disk)


def test_of_an_image_that_a_part_has_again_one_thumbnail_is_enough(disk):
    again = dataclasses.replace(seen("f:1", BASE), thumbnail=b"", inner_thumbnail=b"", location="f:2")
    once = dataclasses.replace(again, location="f:3", uri="b.jpg")
    goes = [(at, "repeated_image", 0.0, "repeats a.jpg of id of f:1") for at in ("f:2", "f:3")]
    check([once, again, seen("f:1", BASE)], 4, None, goes, disk)


def test_equal_images_of_one_document_are_left_to_another_rule(disk):
    check([seen("f:1", BASE, "a.jpg"), seen("f:1", BASE, "b.jpg")], 5, 1, [], disk)


def test_a_document_that_has_the_image_twice_keeps_both_where_it_is_the_first():
    """What goes is named by its hash, so that of the other copy would take this one, too."""
    some = [seen("f:1", BASE), dataclasses.replace(seen("f:1", BASE), uri="b.jpg"), seen("f:2", BASE)]
    assert [at for at, _ in _judged((b"", some), 5, None)] == ["f:2"]


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
    own = values([thumbnail(photo(0)), inner_thumbnail(photo(0))])
    assert alike(values([whole.thumbnail])[0], own).tolist() == [True, False]
    assert alike(values([whole.inner_thumbnail])[0], own).tolist() == [False, True]
    location = next(s.location for s in found if s.id == "b")
    assert {s.id for s in look(part, run, {location: object()})} == {"a", "c", "d"}


def test_what_is_no_documents_fault_stops_the_pass():
    with pytest.raises(ServiceError, match="away"):
        list(_seen(ServiceError("the store is away"), 0, None, True, {}))
    assert list(_seen(RecordFault("http_404", "gone"), 0, None, True, {})) == []


def test_a_file_that_a_part_has_again_is_placed_again_without_its_thumbnails(run):
    [part] = parts("native", run.config.corpora[0].path)
    folder = f"{run.config.corpora[0].path}/images"
    shutil.copy(f"{folder}/a0.jpg", f"{folder}/d0.jpg")
    first, again = (s for s in look(part, run, {}) if s.uri.endswith(("a0.jpg", "d0.jpg")))  # whichever is stored first
    assert {first.id, again.id} == {"a", "d"} and (first.sha256, first.hashed) == (again.sha256, again.hashed)
    later = first if first.id == "d" else again
    assert later.uri.endswith("d0.jpg") and later.location.endswith(":4") and again.inner == first.inner
    assert first.thumbnail and first.inner_thumbnail and not again.thumbnail + again.inner_thumbnail


def test_without_a_distance_there_is_no_second_hash(run):
    config = dataclasses.replace(run.config, duplicates=Duplicates(images_in_at_most=2))
    [part] = parts("native", run.config.corpora[0].path)
    found = list(look(part, dataclasses.replace(run, config=config), {}))
    assert found and {s.inner for s in found} == {b""} and all(s.inner for s in look(part, run, {}))
    assert {s.inner_thumbnail for s in found} == {b""} and all(s.thumbnail for s in found)


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
