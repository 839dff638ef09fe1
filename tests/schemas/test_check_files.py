"""What the checks say of files: entries of the folder, headers of tars, samples of a shard, images."""

from __future__ import annotations

import dataclasses
import io
import json
import tarfile

import PIL
import pytest

from pipeline.dataset import shards
from schemas.checks import card, files, image, manifest, run, sample, shard, tarball
from schemas.defects import pointer_of
from schemas.folder import DIRECTORY, FILE, LINK, Found, LocalFolder
from schemas.report import as_sarif
from schemas.validate import Report
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


def test_a_file_of_another_size():
    found = [Found("index.parquet", FILE, 9), Found("shards/a.tar", FILE, 3)]
    expected = {"index.parquet": {"bytes": 9}, "shards/a.tar": {"bytes": 4}}
    [defect] = [d for d in files.check(found, expected) if d.kind != "file-type"]
    assert (defect.kind, defect.file, defect.shard) == ("file-size", "shards/a.tar", "a.tar")
    assert defect.message == "has 3 bytes; the manifest says 4"


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "run.json").mkdir()
    (tmp_path / "config.yaml").write_bytes(b"\xff")
    nothing, [defect] = run.load(LocalFolder(tmp_path))
    assert (nothing, defect.message) == (None, "cannot be read: is not a regular file")
    with pytest.raises(OSError, match="is not a regular file: 'run.json'"):
        LocalFolder(tmp_path).open("run.json")
    [defect] = card._config(LocalFolder(tmp_path), {"config": {}})
    assert (defect.kind, defect.file) == ("config", "config.yaml")


def test_a_manifest_in_another_form(good):
    data = (good / "manifest.json").read_bytes()
    value, [defect] = manifest.parse(data[:-1])
    assert value and (defect.kind, defect.file) == ("manifest-form", "manifest.json")
    large = {"config": {"x": "y" * manifest.MOST_CONFIG}}
    assert [pointer for _, pointer in manifest._large_config(large)] == ["/config"]


def test_what_was_not_checked_is_a_note_in_sarif():
    found = json.loads(as_sarif(Report((), (), ("the shards",)), "set"))
    [note] = found["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert note == {"level": "note", "message": {"text": "not checked: the shards"}}


def test_names_in_a_pointer_are_escaped():
    assert pointer_of(("a~b", "c/d", 0)) == "/a~0b/c~1d/0"


def test_order_and_keys_are_compared_over_a_shard_that_cannot_be_read():
    key = b"\x01" + bytes(9)  # numpy takes the zeros at the end of a text for none
    results = [
        shard.Result("a.tar", (), key, b"8", b"9"),
        shard.Result("b.tar"),
        shard.Result("c.tar", (), key, b"1", b"2"),
    ]
    found = [(defect.kind, defect.shard, defect.key) for defect in shard.across(results)]
    assert found == [("order", "c.tar", key.hex()), ("duplicate-key", "c.tar", key.hex())]


@pytest.mark.parametrize("before, behind", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_context_is_found_again_wherever_it_is_in_the_output(before, behind):
    def texts(*said):
        return [{"type": "text", "text": text} for text in said]

    instance = {"context": texts("a", "b"), "output": texts(*"x" * before, "a", "b", *"y" * behind)}
    assert [kind for kind, _, _ in sample._text(instance, {})] == ["repeat"]
    assert not list(sample._text(instance | {"output": texts("a", "x", "b")}, {}))
