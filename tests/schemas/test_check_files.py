"""What the checks say of files: entries of the folder, headers of tars, samples of a shard, images."""

from __future__ import annotations

import dataclasses
import io
import tarfile

import PIL
import pytest

from pipeline.dataset import shards
from schemas.checks import files, image, shard, tarball
from schemas.folder import DIRECTORY, FILE, LINK, Found, LocalFolder
from tests.pipeline.images.hostile import encoded, photo
from tests.schemas import example


@pytest.mark.parametrize(
    "name,kind,said",
    [
        ("index.parquet", LINK, "is a link, and has to be a regular file"),
        ("index.parquet", DIRECTORY, "is a folder, and has to be a regular file"),
        ("manifest.json", "other", "is a FIFO, socket or device, and has to be a regular file"),
        ("shards", FILE, "is a file, and has to be a folder"),
        ("ledger", LINK, "is a link, and has to be a folder"),
        (".lease", DIRECTORY, "is a folder, and has to be a regular file"),
        ("notes.txt", FILE, "is no file of the set"),
    ],
)
def test_an_entry_is_what_its_name_says(name, kind, said):
    [defect] = files._kinds([Found(name, kind)], {"index.parquet": {}})
    assert (defect.file, defect.message) == (name, said)
    assert defect.kind == ("file-stray" if name == "notes.txt" else "file-type")


def test_what_belongs_into_the_folder_is_left_alone():
    right = [
        Found("shards", DIRECTORY),
        Found("ledger", DIRECTORY),
        Found("manifest.json", FILE),
        Found(".work", DIRECTORY),
    ]
    assert list(files._kinds([*right, Found("index.parquet", FILE)], {"index.parquet": {}})) == []


def test_a_header_that_is_none_says_why():
    info = tarfile.TarInfo("a" * 20 + ".json")
    good = info.tobuf(tarfile.USTAR_FORMAT)
    negative = bytearray(good)
    negative[124:136] = b"\xff" * 12  # -1 in the form for large numbers
    negative[148:156] = b"%06o\0 " % (sum(negative) - sum(negative[148:156]) + 8 * 32)
    for block, why in ((bytes(negative), "negative size"), (b"x" + good[1:], "bad checksum")):
        [problem] = tarball.entries(tarball.Reader(io.BytesIO(block + bytes(1024))))
        assert (problem.kind, problem.message) == ("tar-broken", f"no tar header at byte 0: {why}")


def test_a_sample_twice_in_one_shard(tmp_path):
    manifest = example.write(tmp_path / "set")
    one, two = example.samples(2)
    path = tmp_path / "twice" / "shards" / "leafinstruct-00000.tar"
    path.parent.mkdir(parents=True)
    entry = dataclasses.asdict(shards.write_shard(str(path), [one, two, one]))
    found = shard.check(LocalFolder(tmp_path / "twice"), entry, manifest)
    twice = [(d.kind, d.file, d.key, d.message) for d in found.defects if d.kind == "duplicate-key"]
    assert twice == [("duplicate-key", "shards/leafinstruct-00000.tar", one[1]["key"], "is there twice")]


def test_what_a_decoder_says_is_passed_on_without_addresses():
    assert image._said(PIL.UnidentifiedImageError("<_io.BytesIO object at 0x7f>")) == "no decoder knows it"
    assert image._said(ValueError("cut off")) == "cut off" and image._said(ValueError()) == "ValueError"
    data = bytearray(encoded(photo(), "PNG"))
    data[200] ^= 1
    found = list(image._pixels(bytes(data), PIL.Image.open(io.BytesIO(data)), "00.png", "/at"))
    assert found == [("image-undecodable", "00.png cannot be decoded: a wrong checksum at byte 33", "/at")]
