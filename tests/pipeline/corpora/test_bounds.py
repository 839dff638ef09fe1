"""Corpora that are made to fill the memory, to take hours, or to reach files outside: faults, soon, and in our words."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import struct
import tarfile
import time
import zipfile
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import corpora
from pipeline.corpora import limits
from schemas.errors import UserError
from schemas.records import Document, Fault

SECRET = "correct horse battery"


def document(**fields):
    return {"id": "d", "segments": [{"text": "Cut the board."}, {"image": "a.jpg"}], **fields}


def faults(found):
    return [(f.error, f.detail) if isinstance(f, Fault) else f.id for f in found]


@pytest.mark.parametrize(
    "name, record",
    [
        ("id", document(id="x" * 1001)),
        ("source", document(source="x" * 201)),
        ("title", document(title="x" * 2001)),
        ("license", document(license="x" * 501)),
        ("url", document(url="x" * 8001)),
        ("text", document(segments=[{"text": "x" * 1_000_001}])),
        ("uri", document(segments=[{"image": "x" * 9000}])),
        ("alt", document(segments=[{"image": "a.jpg", "alt": "x" * 10_001}])),
        ("caption", document(segments=[{"image": "a.jpg", "caption": "x" * 10_001}])),
        ("4,500,000 characters of text", document(segments=[{"text": "x" * 900_000}] * 5)),
        ("20,001 segments", document(segments=[{"text": "x"}] * 20_001)),
        ("2,001 images", document(segments=[{"image": "a.jpg"}] * 2001)),
    ],
)
def test_every_field_has_a_limit_with_a_name(read_one, name, record):
    fault = read_one("native", record)
    assert fault.error == "too_long" and fault.detail.startswith(name)


def test_no_field_holds_a_control_character(read_one):
    """They could steer a terminal, and no instance may hold one; tabs and newlines stay."""
    dirty, clean = "a\x1b[31mb\x00\x9b\tc\r\nd", "a[31mb\tc\nd"
    segments = [{"text": dirty}, {"text": "\x07"}, {"image": "a.jpg", "alt": dirty, "caption": dirty}]
    found = read_one("native", document(source=dirty, url=dirty, license=dirty, segments=segments))
    text, image = found.segments
    for value in (found.source, found.url, found.license, text.text, image.alt, image.caption):
        assert value == clean


def test_no_text_has_characters_that_nobody_sees_and_accents_are_in_one_form(read_one):
    """They split words and hide repeated texts. Names of files and ids keep theirs, and so do joiners that show."""
    dirty, clean = "\ufeffin\u00adfor\u200bma\u2060tion cre\u0300me", "information cr\u00e8me"
    segments = [{"text": dirty}, {"text": "\u200b"}, {"image": "cre\u0300me.jpg", "alt": dirty, "caption": dirty}]
    found = read_one("native", document(id="cre\u0300me\u00ad", title=dirty, segments=segments))
    text, image = found.segments
    for value in (found.title, text.text, image.alt, image.caption):
        assert value == clean
    assert image.uri.endswith("cre\u0300me.jpg") and found.id == "cre\u0300me\u00ad"
    joined = "\u0645\u06cc\u200c\u0631\u0648\u062f \U0001f469\u200d\U0001f373 plain"
    assert read_one("native", document(segments=[{"text": joined}])).texts == (joined,)


def test_an_id_or_a_source_of_which_nothing_would_be_left_is_a_fault(read_one, tmp_path):
    assert read_one("native", document(source="\x07")).error == "bad_record"
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/a\x1b[2J.md").write_text("# A board\n\nCut it.\n")
    found = faults(f for part in corpora.parts("markdown", str(tmp_path / "pages")) for f in corpora.read(part))
    assert found == [("bad_record", "a control character in the id")]


def test_what_is_as_long_as_it_may_be_is_read(read_one):
    longest = {name: "x" * limits.MOST[name] for name in ("id", "source", "title", "license", "url")}
    image = {"image": "a.jpg", "alt": "x" * limits.MOST["alt"], "caption": "x" * limits.MOST["caption"]}
    assert isinstance(read_one("native", document(**longest, segments=[{"text": "x" * 1_000_000}, image])), Document)


def test_a_line_of_very_many_values_is_not_decoded(jsonl, read_all):
    found = read_all("native", jsonl(b'{"a": [' + b"0," * 2_000_000 + b"0]}", b'{"a": ' + b"[" * 1_500_000, document()))
    assert [fault[0] for fault in faults(found)[:2]] == ["too_long", "too_long"] and found[2].id == "d"


@pytest.mark.parametrize(
    "filling", [b"\0" * 100, b"\n" * 100, b" \n" * 50, b"{}\n" * 30], ids=["zeros", "breaks", "blanks", "objects"]
)
def test_a_gzip_bomb_is_one_fault(tmp_path, read_all, filling):
    (tmp_path / "a.jsonl.gz").write_bytes(
        gzip.compress(json.dumps(document()).encode() + b"\n") + gzip.compress(filling * 4_000_000, 1)
    )
    started = time.process_time()
    found = faults(corpora.read(next(corpora.parts("native", f"{tmp_path}/a.jsonl.gz"))))
    read = sum(fault[0] == "bad_record" for fault in found)
    assert found[0] == "d" and found[-1][0] == "too_long" and read < 2_000_000
    assert time.process_time() - started < 20  # the whole of it would take minutes


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_bomb_is_one_fault_for_each_file(tmp_path, read_all, method):
    with zipfile.ZipFile(tmp_path / "a.jsonl.zip", "w", method) as archive:
        archive.writestr("a.jsonl", json.dumps(document()) + "\n" + " " * 200_000_000)
        archive.writestr("b.jsonl", json.dumps(document(id="e")))
    first, bomb, last = faults(read_all("native", tmp_path / "a.jsonl.zip"))
    assert (first, bomb[0], last) == ("d", "too_long", "e")


def test_a_zip_whose_files_overlap_or_that_has_very_many_is_one_fault(tmp_path, read_all):
    data = zlib.compress(b" " * 5_000_000, 9)[2:-4]
    kernel = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(data), 5_000_000, 7, 0) + b"a.jsonl" + data
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(data), 5_000_000, 7, 0, 0, 0, 0, 0, 0
    )

    def directory(count):
        size = (len(entry) + 7) * count
        names = (f"{i:07d}".encode() if i else b"a.jsonl" for i in range(count))
        return b"".join(entry + name for name in names) + struct.pack(
            "<4sHHHHIIH", b"PK\5\6", 0, 0, min(count, 65535), min(count, 65535), size, len(kernel), 0
        )

    for count, says in ((50, "overlap"), (100_000, "directory of")):
        (tmp_path / "a.jsonl.zip").write_bytes(kernel + directory(count))
        [(kind, detail)] = faults(read_all("native", tmp_path / "a.jsonl.zip"))
        assert kind == "unreadable" and says in detail


def nulls(values):
    array = pa.ListArray.from_arrays(pa.array([0, values], pa.int32()), pa.nulls(values, pa.string()))
    return pa.table({"texts": array, "images": array})


def repeated(times):
    words = pa.DictionaryArray.from_arrays(pa.array([0] * times, pa.int32()), pa.array(["x" * 1_000_000]))
    array = pa.ListArray.from_arrays(pa.array([0, times], pa.int32()), words)
    return pa.table({"texts": array, "images": array})


@pytest.mark.parametrize(
    "table, options, kind",
    [
        (lambda: nulls(20_000_000), {}, "too_long"),
        (lambda: repeated(200_000), {}, "too_long"),
        (
            lambda: repeated(150).cast(pa.schema([(name, pa.list_(pa.string())) for name in ("texts", "images")])),
            {},
            "too_long",
        ),
        (
            lambda: pa.table({"texts": ["\0" * 300_000_000]}),
            {"compression": "zstd", "use_dictionary": False, "write_statistics": False},
            "too_long",
        ),
        (lambda: pa.table({"texts": pa.nulls(5_000_000, pa.string())}), {"row_group_size": 5_000_000}, "unreadable"),
    ],
    ids=["nulls", "dictionary", "repeated", "one value", "rows"],
)
def test_a_parquet_bomb_is_one_fault(tmp_path, read_all, table, options, kind):
    pq.write_table(table(), tmp_path / "a.parquet", **options)
    pq.write_table(pa.table({"texts": [["Cut."]], "images": [[None]]}), tmp_path / "b.parquet")
    fault, good = read_all("obelics", tmp_path)
    assert fault.error == kind and good.texts == ("Cut.",)
    assert os.path.getsize(tmp_path / "a.parquet") < 1_000_000


@pytest.mark.parametrize("depth", [40, 400])
def test_parquet_of_many_levels(tmp_path, read_all, depth):
    kind = pa.string()
    for _ in range(depth):
        kind = pa.struct([("a", kind)])
    pq.write_table(pa.table({"texts": pa.nulls(1, kind), "images": pa.nulls(1, pa.string())}), tmp_path / "a.parquet")
    [fault] = read_all("obelics", tmp_path)
    assert fault.error in ("bad_record", "unreadable")


def test_damaged_parquet_ends_in_faults_whatever_is_damaged(tmp_path, read_all):
    """A page's header that claims 2 GB, a footer of other offsets: the reader may crash, the run does not."""
    record = {
        "texts": ["Cut the board.", None],
        "images": [None, "https://example.org/a.jpg"],
        "general_metadata": json.dumps({"url": "https://example.org"}),
    }
    pq.write_table(pa.Table.from_pylist([record] * 50), tmp_path / "a.parquet", row_group_size=25)
    data = (tmp_path / "a.parquet").read_bytes()
    for at in range(4, len(data), max(len(data) // 40, 1)):
        (tmp_path / "a.parquet").write_bytes(data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :])
        found = read_all("obelics", tmp_path / "a.parquet")
        faults = [one for one in found if isinstance(one, Fault)]
        assert all(isinstance(one, (Document, Fault)) for one in found)
        assert faults or len(found) == 50, at


def test_digits_in_a_tar_s_extended_header_take_no_time(tmp_path):
    """tarfile's pattern for such a header (CVE-2024-6232) takes a minute for these."""

    def header(data):
        info = tarfile.TarInfo("x")
        info.type, info.size = tarfile.XHDTYPE, len(data)
        return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)

    started = time.process_time()
    for data, says in (
        (b"1" * 60_000, "damaged extended header"),
        (b"1" * 70_000, "extended header of 70,000 bytes"),
        (b"99 path=x\n", "damaged extended header"),
        (b"10 size=" + b"9" * 50, "damaged extended header"),
    ):
        (tmp_path / "a.tar").write_bytes(header(data) + bytes(1024))
        with pytest.raises(UserError, match=says):
            corpora.check("native", f"{tmp_path}/a.tar")
    assert time.process_time() - started < 2


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_a_tar_of_every_format_is_read_as_tarfile_reads_it(tmp_path, format):
    names = ["a.jsonl", "d/" * 40 + "b.jsonl"] + (
        [] if format == tarfile.USTAR_FORMAT else ["é" * 90 + ".jsonl", "l" * 300]
    )
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as tar:
        for name in [*names, names[0]]:  # the last one replaces the first
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()[: len(name)]))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo(f"other{kind.decode()}")
            info.type, info.linkname, info.size = kind, "/etc/passwd", 700
            tar.addfile(info)
    from pipeline.storage.tars import tar_index

    with tarfile.open(tmp_path / "a.tar") as tar:
        expected = {m.name.removeprefix("./"): (m.offset_data, m.size) for m in tar if m.isreg()}
    index = tar_index(f"{tmp_path}/a.tar")
    assert index.error == "" and index.members == expected


def test_a_file_of_empty_lines_has_few_parts(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"\n" * 2_000_000)
    assert len(list(corpora.parts("native", f"{tmp_path}/a.jsonl"))) < 600


@pytest.fixture
def corpus(tmp_path):
    """A corpus folder with one good file, and a secret beside it."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "good.jsonl").write_text(json.dumps(document()) + "\n")
    (tmp_path / "secret.jsonl").write_text(json.dumps(document(id=SECRET)) + "\n")
    return folder


def test_a_link_that_leads_out_is_a_fault_and_one_inside_is_read(corpus, read_all):
    (corpus / "a.jsonl").symlink_to(corpus.parent / "secret.jsonl")
    (corpus / "b.jsonl").symlink_to("/etc/passwd")
    (corpus / "c.jsonl").symlink_to("good.jsonl")
    (corpus / "d.jsonl").symlink_to("nowhere")
    found = read_all("native", corpus)
    assert [f.error if isinstance(f, Fault) else f.id for f in found] == [
        "unreadable",
        "unreadable",
        "d",
        "unreadable",
        "d",
    ]
    assert "leads out of the corpus" in found[0].detail and SECRET not in str(found)
    [own] = read_all("native", corpus / "a.jsonl")  # whoever names it, means it
    assert own.id == SECRET


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "device"])
def test_what_is_no_regular_file_is_a_fault_at_once(corpus, read_all, kind):
    path = corpus / "a.jsonl"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    elif os.geteuid() == 0:
        try:
            os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero
        except OSError:
            pytest.skip("this machine lets nobody make a device")
    else:
        pytest.skip("needs root, to make a device")
    assert faults(read_all("native", corpus)) == [("unreadable", "it is no regular file"), "d"]


def test_no_fault_quotes_the_file(tmp_path, read_all):
    """A file that nobody was to see may lie where a record should: what the ledger says of it is published."""
    secret = SECRET.encode()
    utf16 = SECRET.encode("utf-16")
    (tmp_path / "a.jsonl").write_bytes(
        b"\n".join(
            [
                secret,
                b'"' + secret,
                b"{" + secret,
                utf16,
                secret + b"\xff",
                b'{"id": "' + secret + b'"}',
                json.dumps(document(id=SECRET + "\0")).encode(),
                json.dumps({"id": SECRET, "segments": [{"image": f"../{SECRET}"}]}).encode(),
                json.dumps({"id": SECRET, "segments": [{"text": {SECRET: 1}}]}).encode(),
                json.dumps({"id": SECRET, "segments": [{"image": "a", "width": SECRET}]}).encode(),
                json.dumps({"id": f"unread:{SECRET}", "segments": []}).encode(),
            ]
        )
    )
    for name, data in {
        "b.jsonl.gz": secret,
        "c.jsonl.zip": secret,
        "d.tar": secret * 200,
        "e.jsonl.zip": b"PK\3\4" + secret * 20 + b"PK\5\6" + secret,
    }.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "f.parquet").write_bytes(b"PAR1" + secret * 20 + b"PAR1")
    found = read_all("native", tmp_path) + read_all("obelics", tmp_path)
    assert len(found) >= 15 and all(isinstance(fault, Fault) for fault in found)
    for fault in found:
        assert not any(word in fault.detail for word in SECRET.split()), fault
