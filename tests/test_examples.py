"""The corpus that the project ships: well formed but for the faults planted in it, with every picture credited."""

from __future__ import annotations

import collections
import io
import json
import re
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from filters.words import words

EXAMPLES = Path(__file__).parent.parent / "examples"
IMAGES = EXAMPLES / "corpus" / "images"
PLANTED = ("bad-", "odd-")  # ids of documents with something wrong


def documents() -> list[dict]:
    lines = (EXAMPLES / "corpus" / "docs.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines[:-2]]


def pictures(document: dict) -> list[dict]:
    return [s for s in document["segments"] if "image" in s]


def texts(document: dict) -> list[str]:
    return [s["text"] for s in document["segments"] if "text" in s]


def listed(file: str) -> set[str]:
    """What stands in backquotes in the first column of the tables of a Markdown file."""
    return set(re.findall(r"^\| `([^`]+)` \|", (EXAMPLES / file).read_text(), re.M))


GOOD = [d for d in documents() if not d["id"].startswith("bad-")]


def test_the_last_two_lines_are_the_faults_of_the_reader():
    missing_field, broken = (EXAMPLES / "corpus" / "docs.jsonl").read_text().splitlines()[-2:]
    assert json.loads(missing_field)["id"] == "bad-missing-field" and "segments" not in json.loads(missing_field)
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)


def test_every_other_record_is_well_formed():
    for document in documents():
        assert list(document) == ["id", "source", "url", "license", "title", "segments"]
        assert document["source"].startswith("leafinstruct-") and document["license"] == "CC0-1.0"
        assert texts(document)[0] == f"# {document['title']}"
        for segment in document["segments"]:
            assert list(segment) in (["text"], ["image", "alt", "caption", "width", "height"])


def test_there_are_enough_documents_and_one_id_comes_twice():
    counts = collections.Counter(d["id"] for d in documents())
    assert [i for i, n in counts.items() if n > 1] == ["odd-duplicate-id"]
    assert len(counts) >= 48
    assert len([i for i in counts if not i.startswith(PLANTED)]) >= 32


@pytest.mark.parametrize("document", [d for d in GOOD if d["id"] != "odd-duplicate-id"], ids=lambda d: d["id"])
def test_good_documents_have_room_for_an_instance(document):
    assert 90 <= sum(len(words(text)) for text in texts(document)) <= 400
    assert 5 <= len(texts(document)) <= 12 and 2 <= len(pictures(document)) <= 5
    for before, segment in zip(document["segments"], document["segments"][1:], strict=False):
        if "image" in segment:  # each picture stands after the paragraph that it belongs to
            assert "text" in before and not before["text"].startswith("#")
            assert segment["alt"] and segment["caption"]


def test_pictures_exist_with_the_stated_size():
    for document in documents():
        for picture in pictures(document):
            if picture["image"] == "no-such-file.jpg":
                assert document["id"] == "bad-missing-picture" and not (IMAGES / picture["image"]).exists()
                continue
            with PIL.Image.open(IMAGES / picture["image"]) as image:
                assert image.size == (picture["width"], picture["height"]), picture["image"]
                assert max(image.size) <= 640 or document["id"] == "bad-endless-picture"


def test_every_file_is_used_and_credited():
    files = {path.name for path in IMAGES.iterdir()}
    assert files == {p["image"] for d in documents() for p in pictures(d)} - {"no-such-file.jpg"}
    assert files == listed("ATTRIBUTION.md")
    assert sum(path.stat().st_size for path in (EXAMPLES / "corpus").rglob("*") if path.is_file()) < 6_000_000


def test_the_readme_explains_every_planted_fault():
    planted = {d["id"] for d in documents() if d["id"].startswith(PLANTED)}
    assert listed("README.md") == planted | {"bad-missing-field", "bad-json"}


def test_odd_files_are_as_odd_as_they_should_be():
    def opened(name):
        return PIL.Image.open(io.BytesIO((IMAGES / name).read_bytes()))

    assert opened("life-3-glider.gif").n_frames == 9
    assert opened("halftone-1-cmyk.jpg").mode == "CMYK"
    assert opened("contours-1-heights.png").mode == "I;16"
    assert opened("quality-3-portrait.png").format == "JPEG"
    with pytest.raises(OSError, match="truncated"):
        opened("truncated.jpg").load()
    assert max(opened("tiny-1.png").size) < 64
    assert max(opened("strip-3-earth.png").size) > 20_000
    for name in ("strip-1-ruler.png", "strip-2-tape.png", "thirds-3-banner.jpg"):
        assert max(opened(name).size) > 5 * min(opened(name).size)


def test_the_exact_duplicate_is_one():
    by_id = {d["id"]: d for d in documents()}
    assert by_id["bad-exact-duplicate"]["segments"] == by_id["kitchen-lemonade"]["segments"]


@pytest.mark.parametrize(
    "name",
    [
        "photographs.edges",
        "photographs.galaxies",
        "drawings.koch",
        "drawings.life",
        "fields.contours",
        "fields.moon",
        "faults.strips",
        "faults.endless",
    ],
)
def test_the_script_makes_the_same_pictures(name, tmp_path):
    pytest.importorskip("skimage", reason="scikit-image makes the pictures of examples/")
    from examples import make_pictures

    module, function = name.split(".")
    made = getattr(getattr(make_pictures, module), function)()
    make_pictures.write(made, tmp_path)
    for file in made:
        with PIL.Image.open(tmp_path / file) as new, PIL.Image.open(IMAGES / file) as kept:
            assert (new.mode, new.size, new.format) == (kept.mode, kept.size, kept.format)
            scale = 257 if new.mode == "I;16" else 1
            difference = np.abs(np.asarray(new, float) - np.asarray(kept, float)).mean() / scale
        assert difference < 1, file  # of 255: room for another version of a JPEG or font library
