"""The planted corpus: every kind of damage is in it, the same seed gives the same bytes, and the ledger is counted."""

from __future__ import annotations

import collections
import dataclasses
import io
import json
import pathlib
import random

import PIL.Image
import pytest
import yaml

from benchmarks.injections import SET
from benchmarks.planted import __main__ as command
from benchmarks.planted import corpus, figures, sentences, texts
from benchmarks.planted.kinds import KINDS, TRUE, counts
from benchmarks.planted.pictures import logo
from filters import personal_data
from filters.near_duplicates import signature, similarity
from filters.words import is_heading, words
from models import HELD_OUT
from pipeline.config import load, preset
from pipeline.run import image_store
from pipeline.sources import Corpus
from schemas.outcome import DROPPED, FAILED, KEPT, Outcome
from schemas.records import Drop, Image, ImageDrop, Text
from schemas.stage_names import FILTER_COHERENCE, FILTER_TEXT, STORE_IMAGES
from tests.pipeline.runs import ROOT, a_run, demo_config

TAR = ROOT.parent / "shared/corpora/howto-large.tar"
DOCUMENTS = 44
"""As many as the example corpus has documents for."""


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> str:
    return demo_config(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def planted(config) -> list[corpus.Planted]:
    return command.drawn(config, [f"native:{ROOT / 'examples/corpus'}"], DOCUMENTS, "s")


@pytest.fixture(scope="module")
def written(planted, tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("corpus")
    corpus.write(folder, planted)
    return folder


def of(planted: list[corpus.Planted], kind: str) -> corpus.Planted:
    return next(one for one in planted if one.kind == kind)


def files(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def record(folder: pathlib.Path, kind: str) -> dict:
    lines = (folder / "docs.jsonl").read_text().splitlines()
    return next(one for one in map(json.loads, lines) if one["id"].startswith(f"{kind}-"))


def pictures(folder: pathlib.Path, kind: str) -> list[bytes]:
    names = [s["image"] for s in record(folder, kind)["segments"] if "image" in s]
    assert names
    return [(folder / "images" / name).read_bytes() for name in names]


def hashes(document) -> list[str]:
    return [image.sha256 for image in document.images]


def body(document) -> list[str]:
    return [text for text in document.texts if not is_heading(text)]


# the corpus


def test_there_are_as_many_as_asked_for_each_under_an_id_of_its_own(planted):
    assert collections.Counter(one.kind for one in planted) == counts(DOCUMENTS)
    assert len({one.document.id for one in planted}) == DOCUMENTS
    assert all(one.document.id == f"{one.kind}-{one.original.id}" for one in planted)


def test_no_two_are_made_of_the_same_document_but_repeats_of_earlier_ones(planted):
    assert len({one.original.id for one in planted if not KINDS[one.kind].repeats}) == DOCUMENTS - 2
    seen = set()
    for one in planted:
        assert not KINDS[one.kind].repeats or one.original.id in seen
        seen |= {one.original.id} if one.kind == TRUE else set()
    assert of(planted, "duplicate").original != of(planted, "near_duplicate").original


def test_no_image_is_in_two_documents_but_what_is_planted_so(planted):
    found = collections.Counter(
        sha256 for one in planted if not KINDS[one.kind].repeats for sha256 in set(hashes(one.document))
    )
    [(sha256, count)] = [(sha256, count) for sha256, count in found.items() if count > 1]
    assert sha256 == logo().sha256 and count >= KINDS["repeated_image"].least > 10


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(config, written, tmp_path):
    for name, seed in (("same", "s"), ("other", "t")):
        again = command.drawn(config, [f"native:{ROOT / 'examples/corpus'}"], DOCUMENTS, seed)
        corpus.write(tmp_path / name, again)
    assert files(written) == files(tmp_path / "same") != files(tmp_path / "other")


def test_files_of_images_that_did_not_belong_to_the_document_have_a_name_that_says_so(written):
    for kind, planted in ((TRUE, 0), ("permuted", 0), ("duplicate", 0), ("half_swapped", 1), ("repeated_image", 1)):
        names = [s["image"] for s in record(written, kind)["segments"] if "image" in s]
        assert planted <= sum(name.startswith(corpus.PLANTED) for name in names) <= planted * len(names) / 2, kind
    for kind in ("swapped", "flat_images", "small_images", "truncated_images"):
        names = [s["image"] for s in record(written, kind)["segments"] if "image" in s]
        assert all(name.startswith(corpus.PLANTED) for name in names), kind


def test_what_a_corpus_lacks_is_said(planted):
    assert "too few" not in command.told(planted, DOCUMENTS)
    said = command.told([one for one in planted if one.kind != "swapped"], DOCUMENTS)
    assert said.endswith("too few documents for others: 1 all images of another document of the source")


def test_documents_of_held_out_sources_come_first_in_a_real_corpus(config):
    if not TAR.exists():
        pytest.skip(f"{TAR} is not here")
    planted = command.drawn(str(ROOT / "configs/howto.yaml"), [f"native:{TAR}"], 60, "s")
    assert len(planted) == 60 and {one.original.source for one in planted} <= set(HELD_OUT)


# the kinds


def test_true_documents_and_duplicates_are_as_they_are(planted):
    for kind in (TRUE, "duplicate"):
        one = of(planted, kind)
        assert dataclasses.replace(one.document, id=one.original.id) == one.original


def test_images_come_from_another_document_or_stand_elsewhere(planted):
    swapped, half, moved = (of(planted, kind) for kind in ("swapped", "half_swapped", "permuted"))
    assert set(hashes(swapped.document)).isdisjoint(hashes(swapped.original))
    changed = [a != b for a, b in zip(hashes(half.document), hashes(half.original), strict=True)]
    assert sum(changed) == len(changed) // 2 > 0
    assert sorted(hashes(moved.document)) == sorted(hashes(moved.original))
    assert hashes(moved.document) != hashes(moved.original)
    assert all(one.document.texts == one.original.texts for one in (swapped, half, moved))


def test_texts_come_from_elsewhere_and_the_images_stay(planted):
    for kind in ("other_texts", "filler", "boilerplate", "other_language"):
        one = of(planted, kind)
        assert set(one.document.texts).isdisjoint(one.original.texts), kind
        assert one.document.images == one.original.images, kind


def test_sentences_and_words_are_in_another_order(planted):
    for kind in ("sentences_shuffled", "words_shuffled"):
        one = of(planted, kind)
        before, after = (words("\n".join(d.texts)) for d in (one.original, one.document))
        assert before != after and collections.Counter(before) == collections.Counter(after), kind
    assert texts.words_shuffled("Use it. Go on then!", random.Random(1)).endswith("!")


def test_words_and_letters_are_missing_or_others(planted):
    def sizes(kind: str) -> tuple[int, int]:
        one = of(planted, kind)
        return tuple(len(words("\n".join(d.texts))) for d in (one.document, one.original))

    after, before = sizes("words_missing")
    assert 0.5 < after / before < 0.8
    after, before = sizes("cut")
    assert 0.4 < after / before < 0.65
    assert not any(text.endswith(".") for text in body(of(planted, "cut").document))
    noisy = of(planted, "noise")
    letters = [(a, b) for a, b in zip("".join(body(noisy.document)), "".join(body(noisy.original)), strict=True)]
    assert 0.05 < sum(a != b for a, b in letters) / len(letters) < 0.15


def test_something_stands_before_each_image(planted):
    for kind, fits in (
        ("clutter", lambda text: text in sentences.CLUTTER.split("\n")),
        ("personal_data", texts.is_personal),
        ("injection", {one["text"] for one in json.loads(SET.read_text())["injections"]}.__contains__),
    ):
        one = of(planted, kind)
        segments = one.document.segments
        before = [segments[at - 1] for at, s in enumerate(segments) if not isinstance(s, Text)]
        assert before and all(fits(s.text) for s in before), kind
        assert len(segments) > len(one.original.segments), kind
    assert not set(body(of(planted, "injection").original)) <= set(of(planted, "injection").document.texts)


def test_planted_personal_data_are_such_that_the_rules_replace_them(planted):
    one = of(planted, "personal_data").document
    clean, count = personal_data.replaced(one, personal_data.KINDS)
    assert count == 2 * len(one.images) and not any(map(texts.is_personal, clean.texts))


def test_paragraphs_are_there_twice_and_captions_alone(planted):
    twice, captions = of(planted, "pasted_twice"), of(planted, "captions")
    assert body(twice.document)[::2] == body(twice.document)[1::2] == body(twice.original)
    assert set(captions.document.texts) <= {image.caption or image.alt for image in captions.original.images}


def test_near_duplicates_differ_in_a_few_words(planted):
    one = of(planted, "near_duplicate")
    assert one.document.texts != one.original.texts
    assert similarity(signature(one.document), signature(one.original)) >= 0.7


def test_documents_of_drawn_sentences_are_no_near_duplicates_of_each_other(planted):
    for lines in (sentences.GERMAN, sentences.FILLER, sentences.CLUTTER):
        assert len(set(lines.strip().split("\n"))) == 36
        made = texts.made_of(lines)([one.original for one in planted if one.kind == TRUE])
        signed = list(map(signature, made))
        assert max(similarity(a, b) for i, a in enumerate(signed) for b in signed[:i]) < 0.6


def test_image_files_are_grey_small_or_cut(written, planted):
    for data in pictures(written, "flat_images"):
        assert len(PIL.Image.open(io.BytesIO(data)).getcolors()) == 1
    assert all(max(PIL.Image.open(io.BytesIO(data)).size) < 80 for data in pictures(written, "small_images"))
    for data in pictures(written, "truncated_images"):
        with pytest.raises((OSError, SyntaxError)):
            PIL.Image.open(io.BytesIO(data)).load()


# how many, and the configuration


def test_most_documents_are_damaged_and_each_kind_has_about_as_many():
    found = counts(200)
    assert sum(found.values()) == 200 and found[TRUE] == 57
    assert {count for kind, count in found.items() if kind not in (TRUE, "repeated_image")} == {6}


def test_too_few_documents_are_refused_before_anything_is_read():
    with pytest.raises(ValueError, match="20 documents are too few for all kinds: take at least 35"):
        command.drawn("nowhere.yaml", ["native:nowhere"], 20, "")


def test_the_configuration_looks_for_everything_and_is_else_the_same(config, tmp_path):
    made = load(command.configuration(config, tmp_path))
    given = load(config)
    production = yaml.safe_load(command.PRODUCTION.read_text())["duplicates"]
    assert dataclasses.asdict(made.duplicates) == production
    assert set(preset(made).personal_data) == set(personal_data.KINDS)
    assert [rule.name for rule in preset(made).document_rules] == [rule.name for rule in preset(given).document_rules]
    assert dataclasses.replace(made, preset=given.preset, duplicates=given.duplicates) == given


# the figures


def outcome(id_: str, status: str, stage: str = "", rule: str = "", error: str = "", lost: tuple[str, ...] = ()):
    removed = tuple(ImageDrop(at, uri, FILTER_COHERENCE, Drop("matched", 0, 1)) for at, uri in enumerate(lost))
    return Outcome(id_, "s", f"docs.jsonl:{id_}", status, stage, rule, error=error, dropped_images=removed)


LEDGER = [
    outcome("true-a", KEPT, lost=("c/images/1.jpg",)),
    outcome("true-b-c", KEPT),
    outcome("true-d", DROPPED, FILTER_COHERENCE, "margin"),
    outcome("swapped-e", DROPPED, FILTER_TEXT, "word_count"),
    outcome("swapped-f", DROPPED, FILTER_COHERENCE, "mean_score"),
    outcome("swapped-g", DROPPED, FILTER_COHERENCE, "mean_score"),
    outcome("swapped-h", KEPT),
    outcome("half_swapped-i", KEPT, lost=("c/images/planted-1.jpg", "c/images/2.jpg")),
    outcome("truncated_images-j", FAILED, STORE_IMAGES, error="truncated"),
]


NOTHING = figures.Left({}, 0)


def test_the_ledger_is_counted_by_kind():
    rows = figures.counted(reversed(LEDGER))
    assert list(rows) == [TRUE, "swapped", "half_swapped", "truncated_images"]
    assert rows[TRUE] == figures.Row(3, 2, {"Filter coherence: margin": 1}, 1, 0)
    ends = {"Filter coherence: mean_score": 2, "Filter text: word_count": 1}
    assert rows["swapped"] == figures.Row(4, 1, ends, 0, 0) and list(rows["swapped"].ends) == list(ends)
    assert rows["half_swapped"] == figures.Row(1, 1, {}, 2, 1)
    assert rows["truncated_images"] == figures.Row(1, 0, {"Store images: truncated": 1}, 0, 0)


def test_shares_are_those_of_true_documents_and_of_those_that_should_go():
    rows = figures.counted(LEDGER)
    table = figures.table(rows, NOTHING)
    assert "Kept of the documents as they are: 2 of 3, 66.7 % (95 % interval 20.8 to 93.8 %)." in table
    assert "Kept of those that should go: 1 of 5, 20.0 % (95 % interval 3.6 to 62.5 %)." in table
    found = figures.as_json(rows, NOTHING)
    assert (found["kept"]["true"]["kept"], found["kept"]["should_go"]["of"]) == (2, 5)
    assert found["kinds"]["swapped"] == {
        "about": KINDS["swapped"].about,
        "should": "go",
        **dataclasses.asdict(rows["swapped"]),
        "left": 0,
    }


def test_the_table_has_a_line_for_each_kind_with_the_rules_that_drop_most():
    [line] = [
        line
        for line in figures.table(figures.counted(LEDGER), figures.Left({"swapped": 3}, 0)).split("\n")
        if "all images of another" in line
    ]
    assert line.endswith("| go | 4 | 1 | Filter coherence: mean_score 2, Filter text: word_count 1 | 0 (0) | 3 |")


def test_what_is_left_in_instances_is_counted(monkeypatch):
    wrong, right = {"type": "image", "sha256": "a"}, {"type": "image", "sha256": "b"}
    address, clean = ({"type": "text", "text": f"Write to {to}."} for to in (f"jo.1@{texts.DOMAIN}", "[mail address]"))
    instances = [
        {"id": "half_swapped-1", "context": [wrong], "output": [right, wrong]},
        {"id": "personal_data-1", "context": [], "output": [clean, address]},
        {"id": "personal_data-2", "context": [], "output": [clean, right]},
    ]
    monkeypatch.setattr(figures, "index_rows", lambda output: instances)
    monkeypatch.setattr(figures, "read_instance", lambda output, row: (row, {}))
    found = figures.left("out", {"a"})
    assert found.personal == 1 and {kind: n for kind, n in found.images.items() if n} == {"half_swapped": 2}
    rows = figures.counted([outcome("personal_data-1", KEPT), outcome("personal_data-2", KEPT)])
    assert "Of 2 kept documents with personal data, 1 still have some." in figures.table(rows, found)


def test_planted_images_are_known_by_the_hashes_of_their_stored_files(planted, tmp_path):
    files = corpus.write(tmp_path / "corpus", planted)
    store = image_store(a_run(tmp_path, corpora=(Corpus("native", str(tmp_path / "corpus")),)))
    swapped = of(planted, "swapped")
    names = [s["image"] for s in record(tmp_path / "corpus", "swapped")["segments"] if "image" in s]
    some = [path for path in files if path.name in names]
    assert len(some) == len(set(hashes(swapped.document)))
    assert {store.store(Image(str(path))).sha256 for path in some} == corpus.stored_hashes(store, some)
    assert corpus.stored_hashes(store, [tmp_path / "none.png"]) == frozenset()
