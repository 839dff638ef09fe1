from __future__ import annotations

import os
import zipfile

import pytest
import torch

from pipeline import corpora
from pipeline.corpora import comm
from schemas.errors import UserError
from schemas.records import Fault, Image, Text


def text(content):
    return {"type": "text", "content": content}


def image(name, url=None):
    return {"type": "image", "url": url, "image_path": f"demo/{name}.jpg", "image_id_path": f"demo/{name}.id"}


def record(id_="comm_demo_0001", **fields):
    return {
        "data_id": id_,
        "dataset_type": "instruction",
        "title": "Fold a paper boat",
        "summary_info": [image("boat", "https://img.example.org/boat.jpg")],
        "step_info": [
            [text(" Fold the sheet in half.\n"), image("b1", "https://img.example.org/b1.jpg")],
            [text("Fold the corners."), image("b2")],
        ],
        **fields,
    }


@pytest.fixture
def saved(tmp_path):
    def save(found):
        torch.save(found, tmp_path / "train.pth")
        return tmp_path

    return save


def test_steps_become_segments_and_the_summary_is_left_out(saved, read_all, tmp_path):
    [document] = read_all("comm", saved([record(title=None)]))
    assert (document.id, document.title, document.location) == ("comm_demo_0001", "", f"{tmp_path}/train.pth:1")
    assert document.segments == (
        Text("Fold the sheet in half."),
        Image("https://img.example.org/b1.jpg"),
        Text("Fold the corners."),
        Image(f"{tmp_path}/images/demo/b2.jpg"),
    )


def test_a_local_image_comes_before_its_address(saved, read_all, tree, tmp_path):
    tree(**{"images/demo/b1.jpg": b"x"})
    [document] = read_all("comm", saved([record()]))
    assert document.images[0].uri == f"{tmp_path}/images/demo/b1.jpg"


def test_every_malformed_record_is_one_fault(saved, read_all):
    found = read_all(
        "comm",
        saved(
            [
                record(),
                3,
                record(step_info=None),
                record(step_info=["x"]),
                record(step_info=[[{"type": "film"}]]),
                {"step_info": []},
                record(step_info=[[image("b") | {"image_path": "../../secret"}]]),
            ]
        ),
    )
    assert [f.error for f in found if isinstance(f, Fault)] == [
        "not_an_object",
        "bad_record",
        "bad_record",
        "bad_record",
        "bad_record",
        "bad_record",
    ]
    assert "type must be text or image, not …" in found[4].detail
    assert "no file name inside the corpus" in found[6].detail


def test_a_file_is_cut_for_many_workers(saved):
    parts = list(corpora.parts("comm", str(saved([record(f"c{i}") for i in range(450)]))))
    assert [(p.first, p.count) for p in parts] == [(1, 200), (201, 200), (401, 50)]
    assert [d.id for d in corpora.read(parts[2])] == [f"c{i}" for i in range(400, 450)]


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(saved, read_all, tmp_path):
    [fault] = read_all("comm", saved([record(), Evil(str(tmp_path / "ran"))]))
    assert (fault.error, "plain values" in fault.detail) == ("unreadable", True)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [b"", b"not a pickle", b"PK\x03\x04 cut"])
def test_damaged_files_are_faults(tmp_path, read_all, data):
    (tmp_path / "val.pth").write_bytes(data)
    [fault] = read_all("comm", tmp_path)
    assert fault.error == "unreadable"
    with pytest.raises(UserError, match="none of its records can be read"):
        corpora.check("comm", str(tmp_path))


def test_a_file_that_holds_no_list_is_a_fault(saved, read_all):
    [fault] = read_all("comm", saved({"weights": 2}))
    assert "holds a dict, not a list" in fault.detail


def pickled(path, operations, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + operations + b".")
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")


@pytest.mark.parametrize(
    "operations",
    [
        b"}](]K\x01e0",
        b"}]K\x01s",  # TypeError
        b"K\x01K\x02a",
        b"0",
        b"h\x05",  # KeyError
        b"K\x01}b",
        b"K\x01Q",  # AssertionError
        b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04K\x05tR",
        b"ctorch._utils\n_rebuild_parameter\n(K\x01K\x02K\x03tR",  # AttributeError
        b"X\x02\0\0\0\xff\xfe",
        b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR",  # 2 GB
        b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85\x81",
    ],
)
def test_a_pickle_of_any_operations_is_a_fault(tmp_path, read_all, operations):
    pickled(tmp_path / "train.pth", operations)
    [fault] = read_all("comm", tmp_path)
    assert fault.error == "unreadable" and "plain values" in fault.detail


def test_a_file_of_before_pytorch_1_6_is_read(read_all, tmp_path):
    torch.save([record()], tmp_path / "train.pth", _use_new_zipfile_serialization=False)
    [document] = read_all("comm", tmp_path)
    assert document.title == "Fold a paper boat"


def text_of(value):
    return b"X" + len(value).to_bytes(4, "little") + value


ITEM = b"}(" + text_of(b"type") + text_of(b"text") + text_of(b"content") + text_of(b"a" * 1000) + b"uq\1"


@pytest.mark.parametrize(
    ("operations", "error", "detail"),
    [
        (b")q\1" + b"h\1h\1\x86q\1" * 60 + b"}h\1Ns", "unreadable", "more processor time"),  # hashed for centuries
        (b"]r\xff\xff\xff\xff", "unreadable", "of memory"),  # kept under a number that takes 64 GB
        (ITEM + b"](" + b"h\1" * 10_000 + b"e", "unreadable", "5 times its size"),  # the same record
        (ITEM + b"0](" + b"h\1" * 999 + b"eq\2](" + b"h\2" * 999 + b"eq\3]}Nh\3sa", "too_long", "1,000,000 values"),
        (b"]}N" + b"]" * 3000 + b"a" * 2999 + b"sa", "bad_record", "too deep"),
    ],
)
def test_a_small_pickle_takes_neither_hours_nor_all_memory(tmp_path, read_all, monkeypatch, operations, error, detail):
    if "time" in detail:  # the others end by themselves, on a slow machine not within a second
        monkeypatch.setattr(comm, "_SECONDS", 0)
    pickled(tmp_path / "train.pth", operations)
    [fault] = read_all("comm", tmp_path)
    assert (fault.error, detail in fault.detail) == (error, True), fault.detail


def test_a_compressed_file_is_refused(tmp_path, read_all):
    text = b"X" + (50_000_000).to_bytes(4, "little") + b"a" * 50_000_000
    pickled(tmp_path / "train.pth", text, zipfile.ZIP_DEFLATED)
    [fault] = read_all("comm", tmp_path)
    assert fault.detail.endswith("it is compressed")


def test_a_text_may_name_what_a_pickle_may_not_hold(saved, read_all):
    [document] = read_all("comm", saved([record(title="builtins, bytearray")]))
    assert document.title == "builtins, bytearray"
