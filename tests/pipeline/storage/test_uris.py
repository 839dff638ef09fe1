from __future__ import annotations

import errno
import io
import os
import re
import tarfile

import pytest

from pipeline.storage.tars import tar_index
from pipeline.storage.uris import exists, find, is_http, read_bytes, split_member


@pytest.fixture
def tar(tmp_path):
    path = tmp_path / "c.tar"
    with tarfile.open(path, "w") as archive:
        for name, data in {"./docs.jsonl": b"{}", "images/a.jpg": b"0123456789"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("images/link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return str(path)


def test_members_are_read_in_place(tar):
    assert read_bytes(f"{tar}!/images/a.jpg") == b"0123456789"
    assert read_bytes(f"{tar}!/images/a.jpg", 4) == b"0123"
    assert read_bytes(f"{tar}!/docs.jsonl", 99) == b"{}"  # not the padding behind it
    assert exists(f"{tar}!/images") and exists(f"{tar}!/images/a.jpg") and not exists(f"{tar}!/images/b.jpg")


def test_a_tar_that_was_replaced_is_walked_again(tar, tmp_path):
    assert "images/a.jpg" in tar_index(tar).members and tar_index(tar) is tar_index(tar)
    with tarfile.open(tar, "w") as archive:
        archive.addfile(tarfile.TarInfo("images/other.jpg"))
    os.utime(tar, ns=(0, 0))
    assert list(tar_index(tar).members) == ["images/other.jpg"]
    assert exists(f"{tar}!/images/other.jpg") and not exists(f"{tar}!/images/a.jpg")


def test_links_are_no_members(tar):
    with pytest.raises(FileNotFoundError, match="has no images/link.jpg"):
        read_bytes(f"{tar}!/images/link.jpg")


def test_a_tar_cut_short_tells_so_and_keeps_the_rest(tar):
    os.truncate(tar, 1024 + 512 + 5)  # five bytes into images/a.jpg
    index = tar_index(tar)
    assert index.error == "unexpected end of data" and "docs.jsonl" in index.members
    assert read_bytes(f"{tar}!/images/a.jpg") == b"01234"


def test_headers_beyond_reason_end_the_walk_with_one_sentence(tmp_path):
    extended = tarfile.TarInfo("x")
    extended.type = tarfile.XHDTYPE
    (tmp_path / "p.tar").write_bytes(extended.tobuf(tarfile.USTAR_FORMAT) * 3000 + bytes(1024))
    assert tar_index(str(tmp_path / "p.tar")).error == "too many extended headers in a row"


@pytest.mark.parametrize(
    "size, says",
    [(2**62, "unexpected end of data"), (2**80, "unexpected end of data"), (-512, "damaged header at byte 0")],
)
def test_a_size_beyond_reason_ends_the_walk_with_one_sentence(tmp_path, size, says):
    """A negative one leads back to where it stands, for ever."""
    info = tarfile.TarInfo("a.jsonl")
    info.size = size
    (tmp_path / "h.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert re.search(says, tar_index(str(tmp_path / "h.tar")).error)


def test_find_takes_a_file_a_folder_or_a_glob_and_sorts(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "c.txt", "sub/d.jsonl", "[x]/e.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def names(path):
        return [os.path.relpath(found, tmp_path) for found in find(f"{tmp_path}/{path}", (".jsonl",))]

    assert names("") == ["a.jsonl", "b.jsonl"]
    assert names("a.jsonl") == ["a.jsonl"] and names("c.txt") == []
    assert names("*/*.jsonl") == ["[x]/e.jsonl", "sub/d.jsonl"]
    assert names("**/*") == ["[x]/e.jsonl", "a.jsonl", "b.jsonl", "sub/d.jsonl"]
    assert names("[x]") == ["[x]/e.jsonl"]


def test_a_disk_that_cannot_say_whether_a_file_is_there_is_an_error(tmp_path, monkeypatch):
    assert exists(str(tmp_path)) and not any(map(exists, (f"{tmp_path}/no", "a\0b", "x" * 5000)))

    def broken(path, **options):
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(os, "stat", broken)
    with pytest.raises(OSError, match="Input/output error"):
        exists(str(tmp_path / "a"))
    with pytest.raises(OSError, match="Input/output error"):
        find(str(tmp_path), (".jsonl",))


def test_uris():
    assert split_member("x/c.tar!/a/b.jpg") == ("x/c.tar", "a/b.jpg")
    assert split_member("x/c.tar") == ("", "x/c.tar")
    assert is_http("HTTPS://example.org") and not is_http("gs://bucket/http://x") and not is_http("http:/x")
