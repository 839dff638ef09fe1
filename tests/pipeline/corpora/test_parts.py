"""Cutting and faults, on the native format."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import pickle
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipeline import corpora
from pipeline.corpora import cut, lines
from pipeline.corpora.files import Files, cut_each
from pipeline.corpora.parts import JSONL
from pipeline.corpora.parts import read as read_with
from schemas.errors import ServiceError, UserError
from schemas.records import Document, Fault
from tests.pipeline import disk  # noqa: F401  (Beam knows file systems by their classes)


def record(i, text="Cut the board."):
    return {"id": f"d{i}", "segments": [{"text": text}]}


def ids(found):
    return [document.id for document in found]


def tar_of(path, **members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


def test_a_file_is_cut_at_line_starts(jsonl):
    path = jsonl(*map(record, range(450)))
    parts = list(corpora.parts("native", path))
    assert [(p.first, p.count) for p in parts] == [(1, 200), (201, 200), (401, 50)]
    data = Path(path).read_bytes()
    assert b"".join(data[p.offset : p.offset + p.size] for p in parts) == data
    last = list(corpora.read(parts[2]))
    assert ids(last) == [f"d{i}" for i in range(400, 450)]
    assert last[0].location == f"{path}:401"


def test_long_lines_and_a_missing_last_line_break(jsonl, monkeypatch):
    monkeypatch.setattr(lines, "_BLOCK", 1000)  # shorter than a line: a run spans blocks, a block spans runs
    path = jsonl(*(record(i, "x" * (3000 if i % 7 == 0 else 1)) for i in range(401)))
    with open(path, "rb+") as file:
        file.seek(-1, 2)
        file.truncate()
    parts = list(corpora.parts("native", path))
    assert [(p.first, p.count) for p in parts] == [(1, 200), (201, 200), (401, 1)]
    assert ids(d for p in parts for d in corpora.read(p)) == [f"d{i}" for i in range(401)]


@pytest.mark.parametrize("seed", range(20))
def test_ranges_of_any_length_hold_every_line_once_under_its_number(jsonl, read_all, tmp_path, monkeypatch, seed):
    some = random.Random(seed)
    monkeypatch.setattr(lines, "_BLOCK", some.randint(1, 3000))
    monkeypatch.setattr(lines, "PART_LINES", some.randint(1, 9))
    monkeypatch.setattr(lines, "LEAST_PART", some.randint(1, 500))
    found = [b"" if some.random() < 0.2 else record(i, "x" * some.choice([1, 1, 9, 700])) for i in range(60)]
    path = jsonl(*found)
    if seed % 2:  # without its last line break
        Path(path).write_bytes(Path(path).read_bytes()[:-1])
    data = Path(path).read_bytes()
    read = read_all("native", path)
    assert [(d.id, d.location) for d in read] == [(f"d{i}", f"{path}:{i + 1}") for i in range(60) if found[i]]
    for size in (1, 2, some.randint(3, 300), 5000, len(data) - 1):
        monkeypatch.setattr(cut, "RANGE", size)
        parts = list(corpora.parts("native", path))
        assert [r for part in parts for r in corpora.read(part)] == read
        assert b"".join(data[part.offset : part.offset + part.size] for part in parts) == data
        assert all(part.count and part.counted for part in parts)


def test_every_malformed_line_is_one_fault_and_stops_nothing(jsonl, read_all, monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE", 2000)
    path = jsonl(
        record(0),
        b'{"id": "d1", ',
        b'{"id": "\xff\xfe"}',
        b"[1, 2]",
        b"",
        {"id": "x"},
        b'{"id": 1.5, "segments": []}',
        record(7, "y" * 5000),
        b"[" * 1900,
        b'{"id": "a\\u0000b", "segments": []}',
        {"id": "t", "title": "half \ud83d", "segments": []},
        b'{"id": "z", "segments": [{"text": 3}]}',
        record(12),
    )
    found = read_all("native", path)
    assert ids(f for f in found if isinstance(f, Document)) == ["d0", "d12"]
    faults = [f for f in found if isinstance(f, Fault)]
    assert [(f.location.removeprefix(path), f.error) for f in faults] == [
        (":2", "bad_json"),
        (":3", "bad_utf8"),
        (":4", "not_an_object"),
        (":6", "bad_record"),
        (":7", "bad_record"),
        (":8", "too_long"),
        (":9", "bad_json"),
        (":10", "bad_record"),
        (":11", "bad_utf8"),
        (":12", "bad_record"),
    ]
    assert [f.id for f in faults] == [f"unread:{f.location}" for f in faults]
    assert "segments must be a list, not missing" in faults[3].detail
    assert {f.source for f in faults} == {"native"}


def test_documents_of_one_location_are_told_at_the_record(jsonl):
    """Repeats are known by it: at the end of the run, two rows of the ledger would have one id."""

    def documents(record, place):
        yield from (Document(id=name, source="s", segments=(), location=place.location) for name in record["ids"])

    [part] = corpora.parts("native", jsonl({"ids": ["a", "a", "a"]}, {"ids": ["b"]}))
    fault, good = read_with(part, corpora.Format(documents, JSONL))
    assert (fault.error, good.id) == ("reader_error", "b")


def test_a_field_that_is_not_there_is_a_fault_and_a_bug_of_the_reader_is_named_so(jsonl, caplog):
    def documents(record, place):
        yield from json_documents(record["text"].strip(), place)

    def json_documents(text, place):
        yield Document(id=text, source="s", segments=(), location=place.location)

    [part] = corpora.parts("native", jsonl({}, {"text": 3}, {"text": "d"}))
    missing, bug, good = read_with(part, corpora.Format(documents, JSONL))
    assert (missing.error, missing.detail) == ("bad_record", "KeyError: field 'text' is missing")
    assert (bug.error, bug.detail, good.id) == ("reader_error", "AttributeError: … object has no attribute …", "d")
    [logged] = [found.getMessage() for found in caplog.records if found.name == "pipeline.corpora.guard"]
    assert "AttributeError" in logged and 'record["text"].strip()' in logged


@pytest.mark.parametrize(
    "error, kind",
    [(ValueError("x"), "unreadable"), (TypeError("x"), "reader_error"), (ZeroDivisionError(), "reader_error")],
)
def test_what_cuts_or_reads_files_may_fail_too(jsonl, error, kind):
    def cut(file):
        yield dataclasses.replace(file, count=7)
        raise error

    def read(part):
        yield part.first, {"id": "d"}
        raise error

    def documents(record, place):
        yield Document(id=record["id"], source="s", segments=(), location=place.location)

    shape = corpora.Format(documents, JSONL, files=Files(cut_each(cut), read))
    parts = list(shape.files.cut(corpora.Part("native", jsonl({}), ""), shape))
    assert [(part.first, part.count, bool(part.fault)) for part in parts] == [(1, 7, False), (8, None, True)]
    document, fault = read_with(parts[0], shape)
    assert (document.id, fault.error, fault.location) == ("d", kind, f"{parts[0].file}:2")
    assert [found.error for found in read_with(parts[1], shape)] == [kind]


@pytest.mark.parametrize("error", [OSError(5, "x"), MemoryError(), UserError("x"), ServiceError("x")])
def test_what_neither_the_reader_nor_the_file_is_to_blame_for_stops_the_run(jsonl, error):
    def documents(record, place):
        raise error

    [part] = corpora.parts("native", jsonl({}))
    with pytest.raises(type(error)):
        list(read_with(part, corpora.Format(documents, JSONL)))


def test_a_record_nested_nearly_too_deeply_is_read_or_a_fault(jsonl, read_all):
    """json.loads goes deeper than json.dumps or repr may, from where they are called."""
    for depth in range(800, 1000, 5):
        deep = b"[" * depth + b"]" * depth
        for line in (
            b'{"text_list": [], "image_info": [], "x": %s}' % deep,
            b'{"text_list": ["a"], "image_info": [{"matched_text_index": %s}]}' % deep,
        ):
            [found] = read_all("mmc4", jsonl(line))
            assert isinstance(found, Document) or found.error in ("bad_json", "bad_record")


def test_folder_glob_and_name_of_a_record(jsonl, read_all, tmp_path):
    page = {"text_list": ["Cut."], "image_info": []}  # a format without ids
    jsonl(page, name="a/docs.jsonl")
    jsonl(page, page, name="b/docs.jsonl")
    (tmp_path / "b" / "notes.txt").write_text("no corpus")

    def names(path):
        return [id_.partition("-")[0] for id_ in ids(read_all("mmc4", path))]

    assert names(tmp_path / "b") == ["docs.jsonl:1", "docs.jsonl:2"]
    assert names(f"{tmp_path}/b/") == ["docs.jsonl:1", "docs.jsonl:2"]
    assert names(tmp_path / "*" / "docs.jsonl") == ["a/docs.jsonl:1", "b/docs.jsonl:1", "b/docs.jsonl:2"]


def test_an_id_that_we_give_tells_corpora_with_equal_file_names_apart(jsonl, read_all, tmp_path):
    """It depends on content and name alone, not on where the corpus lies."""

    def page(text):
        return {"text_list": [text], "image_info": [], "url": "https://example.org"}

    for corpus, text in (("a", "Cut."), ("b", "Glue."), ("elsewhere/a", "Cut.")):
        jsonl(page(text), page("\ud83d\ude00"), name=f"{corpus}/docs.jsonl")
    a, b, again = (ids(read_all("mmc4", tmp_path / corpus)) for corpus in ("a", "b", "elsewhere/a"))
    assert a[0] != b[0] and a[0].startswith("docs.jsonl:1-")
    assert a == again and len(a) == 2


def test_a_smaller_count_reads_less(jsonl, tmp_path):
    jsonl(*map(record, range(5)))
    (tmp_path / "z.jsonl.gz").write_bytes(gzip.compress((tmp_path / "docs.jsonl").read_bytes()))
    for part in corpora.parts("native", str(tmp_path)):
        assert ids(corpora.read(dataclasses.replace(part, count=2))) == ["d0", "d1"]


def test_gz_and_zip_are_one_part_each(tmp_path):
    data = "".join(json.dumps(record(i)) + "\n" for i in range(300)).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data))
    with zipfile.ZipFile(tmp_path / "b.jsonl.zip", "w") as archive:
        archive.writestr("b.jsonl", data)
    parts = list(corpora.parts("native", str(tmp_path)))
    assert [p.name for p in parts] == ["a.jsonl.gz", "b.jsonl.zip"]
    for part in parts:
        assert ids(corpora.read(part)) == [f"d{i}" for i in range(300)]


def test_damage_inside_a_compressed_file_is_one_fault_after_what_was_whole(tmp_path, read_all):
    data = "".join(json.dumps(record(i, str(i * i))) + "\n" for i in range(3000)).encode()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data)[:-2000])
    *documents, fault = read_all("native", tmp_path / "a.jsonl.gz")
    assert 0 < len(documents) < 3000 and ids(documents) == [f"d{i}" for i in range(len(documents))]
    assert (fault.error, fault.location) == ("unreadable", f"{tmp_path}/a.jsonl.gz:{len(documents) + 1}")
    (tmp_path / "c.jsonl.zip").write_bytes(b"PK no archive")
    [fault] = read_all("native", tmp_path / "c.jsonl.zip")
    assert (fault.error, fault.location) == ("unreadable", f"{tmp_path}/c.jsonl.zip:1")


def test_a_tar_is_read_in_place(tmp_path, read_all):
    text = "".join(json.dumps(record(i)) + "\n" for i in range(250)).encode()
    path = tar_of(
        tmp_path / "c.tar",
        **{"c/._docs.jsonl": b"\0", "c/images/a.jpg": b"jpg", "c/docs.jsonl": text + b"?", "c/more.txt": b"{}\n"},
    )
    parts = list(corpora.parts("native", path))
    assert [(p.first, p.count, p.member) for p in parts] == [(1, 200, "c/docs.jsonl"), (201, 51, "c/docs.jsonl")]
    *documents, fault = read_all("native", path)
    assert len(documents) == 250 and documents[249].location == f"{path}!/c/docs.jsonl:250"
    assert (fault.location, fault.error) == (f"{path}!/c/docs.jsonl:251", "bad_json")  # not what lies behind it


def test_a_damaged_tar_gives_what_lies_before_the_damage_and_a_fault(tmp_path, read_all):
    line = json.dumps(record(0)).encode() + b"\n"
    path = tar_of(tmp_path / "c.tar", **{"docs.jsonl": line, "images/a.jpg": b"x" * 600, "more.jsonl": line})
    data = bytearray(Path(path).read_bytes())
    data[1024:1034] = b"\xff" * 10  # the header of images/a.jpg
    Path(path).write_bytes(data)
    document, fault = read_all("native", path)
    assert document.id == "d0"
    assert (fault.error, fault.detail) == ("unreadable", "damaged header at byte 1024")


def test_parts_are_small_and_can_be_pickled(jsonl):
    [part] = corpora.parts("native", jsonl(record(1)))
    assert pickle.loads(pickle.dumps(part)) == part and len(pickle.dumps(part)) < 1000


def test_an_object_store_is_read_like_a_folder(jsonl, read_all, tmp_path):
    path = jsonl({"id": "d", "segments": [{"image": "a.jpg"}]})
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"x")
    for url in (f"disk:/{path}", f"disk:/{tmp_path}", f"disk:/{tmp_path}/*.jsonl"):
        corpora.check("native", url)
        [document] = read_all("native", url)
        assert document.images[0].uri == f"disk:/{tmp_path}/images/a.jpg"
        [part] = corpora.parts("native", url)
        assert part.local
    with pytest.raises(UserError, match="holds no records"):
        corpora.check("native", f"disk:/{tmp_path}/nothing")


@pytest.mark.parametrize(
    "format, path, says",
    [
        ("natvie", "docs.jsonl", "unknown corpus format 'natvie': the known ones are native, mmc4, obelics"),
        ("native", "missing.jsonl", "holds no records: there is no .*missing.jsonl$"),
        ("native", "*.json", r"no file matches .*\*.json$"),
        ("obelics", "docs.jsonl", r"looked for \*.parquet, and found only docs.jsonl$"),
        ("native", "empty.jsonl", "holds no records: empty, with 0 bytes: empty.jsonl$"),
        ("native", "blank.jsonl", "is empty"),
        ("native", "empty.jsonl.gz", "is empty"),
        ("native", "nosuchscheme://bucket/docs.jsonl", "cannot be read: .*nosuchscheme"),
        ("native", "broken.tar", "none of its records can be read; the first: .*broken.tar:1: unreadable, "),
        ("obelics", "broken.parquet", "none of its records can be read; the first: .*broken.parquet:1: unreadable, "),
        (
            "native",
            "noise.jsonl.gz",
            "none of its records can be read; the first: .*noise.jsonl.gz:1: unreadable, BadGzip",
        ),
        (
            "mmc4",
            "docs.jsonl",
            "the first: .*docs.jsonl:1: bad_record, ValueError: text_list must be a list, not missing",
        ),
    ],
)
def test_check_says_what_to_mend(tmp_path, format, path, says):
    (tmp_path / "docs.jsonl").write_text("{}\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "blank.jsonl").write_text("\n\n")
    (tmp_path / "empty.jsonl.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "broken.tar").write_bytes(b"no tar" * 1000)
    (tmp_path / "noise.jsonl.gz").write_bytes(b"no gzip" * 1000)
    (tmp_path / "broken.parquet").write_bytes(b"no parquet" * 1000)
    with pytest.raises(UserError, match=says):
        corpora.check(format, path if "://" in path else str(tmp_path / path))


def test_check_passes_when_one_file_of_several_is_good(jsonl, tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "b.tar").write_bytes(b"no tar" * 1000)
    jsonl(record(1), name="c.jsonl")
    corpora.check("native", str(tmp_path))


def test_lines_that_were_there_when_the_run_began_and_are_gone_stop_it(jsonl):
    path = Path(jsonl(*map(record, range(5))))
    [part] = corpora.parts("native", str(path))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(ServiceError, match="docs.jsonl has become shorter since the run began: 2 lines are gone"):
        list(corpora.read(part))
    assert len(list(corpora.read(dataclasses.replace(part, count=3)))) == 3


@pytest.mark.parametrize(
    "line, detail",
    [
        ('record["nam"]', "KeyError: field 'nam' is missing"),
        ('{"a": 1}[record["token"]]', "KeyError: …"),
        ('{"a": 1}["not a name"]', "KeyError: …"),
        ("[][3]", "IndexError: list index out of range"),
    ],
)
def test_a_fault_shows_a_key_only_if_the_reader_names_it(tmp_path, monkeypatch, read_one, line, detail):
    name = f"named_{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text(
        "from pipeline.corpora.parts import JSONL, Format\n\n\n"
        f"def documents(record, place):\n    yield {line}\n\n\nFORMAT = Format(documents, JSONL)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert read_one(name, {"token": "sesame", "name": "a"}).detail == detail


def test_what_is_in_a_folder_and_is_not_read_is_said(jsonl, tmp_path):
    jsonl({"id": "d", "segments": [{"text": "a"}]})
    (tmp_path / "images").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"x")
    (tmp_path / ".hidden.json").write_text("")
    assert corpora.left_out("native", str(tmp_path)) == ""
    for name in ("more/d.jsonl", "D.JSONL", "a.json", "b.csv", "c.zst"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    said = corpora.left_out("native", f"{tmp_path}/")
    assert said == (
        f"the folders more, which {tmp_path}/**/*.jsonl would take; other endings: D.JSONL, a.json, b.csv and 1 more"
    )
    assert corpora.left_out("markdown", str(tmp_path)) == ""  # taken at any depth
    assert (
        corpora.left_out("native", f"{tmp_path}/docs.jsonl") == corpora.left_out("native", f"{tmp_path}/*.jsonl") == ""
    )


@pytest.mark.parametrize(
    "names, says",
    [
        (["D.JSONL"], r"found only D.JSONL; endings are compared with their case$"),
        (
            ["a.json", "b.csv", "c.zst", "d.txt"],
            r"looked for .*\*.tar, and found only a.json, b.csv, c.zst and 1 more$",
        ),
        ([], "there are no files in "),
    ],
)
def test_why_a_folder_has_nothing_to_read(tmp_path, names, says):
    for name in names:
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match=f"holds no records: .*{says}"):
        corpora.check("native", str(tmp_path))


def test_a_path_from_home_says_that_it_is_not_expanded():
    with pytest.raises(UserError, match="there is no ~/nowhere.jsonl; ~ is not expanded here, so write the whole path"):
        corpora.check("native", "~/nowhere.jsonl")
