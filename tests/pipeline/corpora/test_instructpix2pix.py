from __future__ import annotations

import tarfile

import pytest

from pipeline.corpora import instructpix2pix
from schemas.records import Image, Text

PROMPT = {"caption": "a red barn", "edit": "make it winter", "output": "a red barn in the snow"}
FILES = {
    "shard-00/0000012/prompt.json": PROMPT,
    **{f"shard-00/0000012/{n}.jpg": b"x" for n in ("7_0", "7_1", "31_0", "31_1")},
}


def test_every_seed_is_a_document(tree, read_all):
    root = tree(**FILES)
    first, second = read_all("instructpix2pix", root)
    assert {first.id, second.id} == {"0000012_31", "0000012_7"}
    folder = f"{root}/shard-00/0000012"
    seven = first if first.id.endswith("_7") else second
    assert seven.segments == (
        Text("a red barn"),
        Image(f"{folder}/7_0.jpg"),
        Text("make it winter"),
        Image(f"{folder}/7_1.jpg"),
    )


def test_a_tar_is_read_in_place(tmp_path, tree, read_all):
    root = tree(**FILES)
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(f"{root}/shard-00", "shard-00")
    found = read_all("instructpix2pix", tmp_path / "all.tar")
    assert {d.id for d in found} == {"0000012_31", "0000012_7"}
    assert all(d.images[0].uri.startswith(f"{tmp_path}/all.tar!/shard-00/0000012/") for d in found)


def test_the_pairs_of_a_document_are_found_without_a_look_at_all_files_of_the_tar(
    tmp_path, tree, read_all, monkeypatch
):
    """Of a tar with 2 million files that took seconds for each document."""
    root = tree(**FILES)
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(f"{root}/shard-00", "shard-00")
    looks = []
    find = instructpix2pix.find_below
    monkeypatch.setattr(instructpix2pix, "find_below", lambda *given: looks.append(given) or find(*given))
    assert len(read_all("instructpix2pix", tmp_path / "all.tar")) == 2 and not looks


@pytest.mark.parametrize(
    "prompt, error", [("{", "bad_json"), ({"edit": "x"}, "bad_record"), ({"input": "x"}, "bad_record")]
)
def test_malformed_prompts_are_faults(tree, read_all, prompt, error):
    [fault] = read_all("instructpix2pix", tree(**{"0/prompt.json": prompt}))
    assert fault.error == error


def test_the_older_name_of_the_caption(tree, read_all):
    [document] = read_all(
        "instructpix2pix", tree(**{"0/prompt.json": {"input": "a barn", "edit": "x"}, "0/1_0.jpg": b"x"})
    )
    assert document.texts == ("a barn", "x")
