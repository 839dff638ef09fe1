"""Zips of several files, damage inside them, and names that nobody can spell."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile

import pytest

from pipeline import corpora
from schemas.errors import UserError
from schemas.records import Document


def text(*ids):
    return "".join(json.dumps({"id": id_, "segments": [{"text": f"Step {id_}."}]}) + "\n" for id_ in ids)


def zip_of(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)


def test_every_file_of_a_zip_is_read_in_name_order(tmp_path, read_all):
    path = zip_of(
        tmp_path / "c.jsonl.zip",
        {"d/": "", "d/b.jsonl": text("b1", "b2"), "a.jsonl": text("a1") + "?\n", "__MACOSX/._a.jsonl": b"\0"},
    )
    parts = list(corpora.parts("native", path))
    assert [(p.member, p.first, p.count) for p in parts] == [("a.jsonl", 1, None), ("d/b.jsonl", 1, None)]
    assert [(f.id.removeprefix("unread:"), f.location.removeprefix(path)) for f in read_all("native", path)] == [
        ("a1", "!/a.jsonl:1"),
        (f"{path}!/a.jsonl:2", "!/a.jsonl:2"),
        ("b1", "!/d/b.jsonl:1"),
        ("b2", "!/d/b.jsonl:2"),
    ]
    assert [d.id for d in corpora.read(corpora.limited(parts[1], 1)[0])] == ["b1"]


def test_the_only_file_of_a_zip_needs_no_name(tmp_path, read_all):
    path = zip_of(tmp_path / "c.jsonl.zip", {"d/": "", "d/b.jsonl": text("b")})
    [document] = read_all("native", path)
    assert (document.id, document.location) == ("b", f"{path}:1")
    with pytest.raises(UserError, match="holds no records"):
        corpora.check("native", zip_of(tmp_path / "none.jsonl.zip", {"d/": ""}))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_of_any_compression_is_one_fault_and_the_next_file_is_read(tmp_path, read_all, method):
    path = zip_of(
        tmp_path / "c.jsonl.zip", {"a.jsonl": text(*map(str, range(5000))), "b.jsonl": text("b")}, compression=method
    )
    with open(path, "rb+") as file:
        file.seek(200)
        file.write(b"\xff" * 30)
    *before, fault, after = read_all("native", path)
    assert all(isinstance(found, Document) for found in before) and len(before) < 5000 and after.id == "b"
    assert (fault.error, fault.location) == ("unreadable", f"{path}!/a.jsonl:{len(before) + 1}")


def test_a_zip_whose_directory_is_damaged_is_one_fault(tmp_path, read_all):
    path = zip_of(tmp_path / "c.jsonl.zip", {"a.jsonl": text("a"), "b.jsonl": text("b")})
    data = (tmp_path / "c.jsonl.zip").read_bytes()
    (tmp_path / "c.jsonl.zip").write_bytes(data.replace(b"PK\1\2", b"PK\0\0"))
    [fault] = read_all("native", path)
    assert (fault.error, fault.location, fault.detail[:11]) == ("unreadable", f"{path}:1", "BadZipFile:")


def test_a_tar_of_extended_headers_alone_stops_before_it_starts(tmp_path):
    extended = tarfile.TarInfo("x")
    extended.type = tarfile.XHDTYPE
    (tmp_path / "p.tar").write_bytes(extended.tobuf(tarfile.USTAR_FORMAT) * 3000 + bytes(1024))
    with pytest.raises(UserError, match="p.tar:1: unreadable, too many extended headers in a row"):
        corpora.check("native", f"{tmp_path}/p.tar")


def test_a_file_name_that_is_no_utf8_is_told_before_anything_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_text(text("a"))
    try:
        with open(os.fsencode(tmp_path) + b"/caf\xe9.jsonl", "w") as file:
            file.write(text("b"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    with pytest.raises(UserError, match=r"/caf\\xe9.jsonl is not UTF-8; rename it"):
        corpora.check("native", str(tmp_path))


def test_a_member_name_that_is_no_utf8_is_told_as_well(tmp_path):
    with tarfile.open(tmp_path / "c.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("caf\udce9.jsonl")
        info.size = len(text("a"))
        tar.addfile(info, io.BytesIO(text("a").encode()))
    with pytest.raises(UserError, match=r"/c.tar!/caf\\xe9.jsonl is not UTF-8; rename it"):
        corpora.check("native", f"{tmp_path}/c.tar")


def test_check_reads_no_further_than_the_first_document(tmp_path, monkeypatch):
    (tmp_path / "docs.jsonl").write_text("?\n" + text("a") + "?\n" * 5)
    seen, read = [], corpora._read
    monkeypatch.setattr(corpora, "_read", lambda part, shape: (seen.append(r) or r for r in read(part, shape)))
    corpora.check("native", f"{tmp_path}/docs.jsonl")
    assert [type(record).__name__ for record in seen] == ["Fault", "Document"]
