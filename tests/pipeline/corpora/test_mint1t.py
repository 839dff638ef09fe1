from __future__ import annotations

import io
import json
import tarfile
import time
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pipeline import corpora
from pipeline.corpora import lines
from pipeline.images.decode import ImageFault
from pipeline.images.frames import read_bytes
from schemas.records import Fault, Text

RECORD = {
    "pdf_name": "a.pdf",
    "url": "https://example.org/a.pdf",
    "texts": ["A tent.", None, " ", None, "Pegs."],
    "images": [None, "page_0_image_3", None, "page_2_image_9", None],
}


def tiff(*shades):
    pages = [PIL.Image.new("RGB", (8, 6), (shade, 0, 0)) for shade in shades]
    data = io.BytesIO()
    pages[0].save(data, "TIFF", save_all=True, append_images=pages[1:])
    return data.getvalue()


@pytest.fixture
def tar(tmp_path):
    def write(**members):
        with tarfile.open(tmp_path / "shard.tar", "w") as file:
            for name, content in members.items():
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
        return str(tmp_path / "shard.tar")

    return write


def test_images_are_the_pages_of_the_tiff_in_their_order(tar, read_all):
    path = tar(**{"d/0001.json": RECORD, "d/0001.tiff": tiff(10, 200), "d/0002.json": RECORD | {"texts": ["x"] * 5}})
    document, second = read_all("mint1t", path)
    assert (document.url, document.location) == ("https://example.org/a.pdf", f"{path}:1")
    assert document.segments[0] == Text("A tent.") and document.segments[-1] == Text("Pegs.")
    assert [i.uri for i in document.images] == [f"{path}!/d/0001.tiff#page=0", f"{path}!/d/0001.tiff#page=1"]
    reds = [np.asarray(PIL.Image.open(io.BytesIO(read_bytes(i.uri))))[0, 0, 0] for i in document.images]
    assert reds == [10, 200]
    assert second.images[0].uri == f"{path[:-9]}shard.tar!/page_0_image_3"  # no image beside it: a missing file


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_page_that_the_tiff_does_not_have_is_a_fault_of_the_image(tar):
    path = tar(**{"1.tiff": tiff(10), "2.tiff": b"II*\0 damaged"})
    for uri in (f"{path}!/1.tiff#page=1", f"{path}!/2.tiff#page=0"):
        with pytest.raises(ImageFault) as raised:
            read_bytes(uri)
        assert raised.value.kind == "unreadable"
    with pytest.raises(FileNotFoundError):
        read_bytes(f"{path}!/3.tiff#page=0")


def test_images_that_are_members_of_their_own(tar, read_all):
    path = tar(
        **{"1.json": RECORD | {"images": [None, "one.png", None, "1.jpg", None]}, "one.png": b"x", "1.jpg": b"y"}
    )
    [document] = read_all("mint1t", path)
    assert [i.uri for i in document.images] == [f"{path}!/one.png", f"{path}!/1.jpg"]


def test_malformed_records_are_faults_and_a_damaged_tar_too(tar, read_all):
    path = tar(
        **{
            "1.json": RECORD,
            "2.json": b"{",
            "3.json": RECORD | {"texts": []},
            "4.json": RECORD | {"texts": None},
            "5.json": RECORD | {"texts": [1, None, "", None, ""]},
            "6.json": b"[]",
        }
    )
    data = Path(path).read_bytes()
    with open(path, "wb") as file:
        file.write(data.rstrip(b"\0") + b"\0" * (512 - len(data.rstrip(b"\0")) % 512) + b"damage" * 200)
    found = read_all("mint1t", path)
    assert [f.error for f in found if isinstance(f, Fault)] == [
        "bad_json",
        "bad_record",
        "bad_record",
        "bad_record",
        "not_an_object",
        "unreadable",
    ]


def test_a_tar_is_cut_for_many_workers(tar):
    path = tar(**{f"{i}.json": RECORD for i in range(250)})
    parts = list(corpora.parts("mint1t", path))
    assert [(p.first, p.count) for p in parts] == [(1, 200), (201, 50)]
    assert next(iter(corpora.read(parts[1]))).location == f"{path}:201"


def test_what_is_no_tar_is_a_fault_and_not_opened(tar, read_all, tmp_path):
    tar(**{"1.json": RECORD})
    (tmp_path / "a.tar").mkdir()
    (tmp_path / "b.tar").symlink_to("/nonexistent")
    folder, link, document = read_all("mint1t", tmp_path)
    assert (folder.error, link.error, document.texts) == ("unreadable", "unreadable", ("A tent.", "Pegs."))


def test_many_members_and_many_images_take_little_time(tar, read_all):
    members = {f"f{i}.png": b"" for i in range(3000)}
    documents = {
        "1.json": {"texts": [None] * 2000, "images": [f"nope{i}" for i in range(2000)]},
        "2.json": {"texts": [None] * 2001, "images": ["nope"] * 2001},
    }
    path = tar(**members, **documents)
    started = time.process_time()
    document, fault = read_all("mint1t", path)
    assert (len(document.images), fault.error) == (2000, "too_long") and time.process_time() - started < 5


def test_a_member_that_is_too_long_is_a_fault(tar, read_all, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 1000)
    long, good = read_all("mint1t", tar(**{"1.json": RECORD | {"x": "x" * 1000}, "2.json": RECORD}))
    assert (long.error, good.texts) == ("too_long", ("A tent.", "Pegs."))
