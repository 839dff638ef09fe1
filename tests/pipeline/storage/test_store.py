"""Values by their keys, in files of many values."""

import os

import pytest

from pipeline.storage import packs
from pipeline.storage.store import Store, content_key
from tests.pipeline.kept import values


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path / "s")
    assert store.read("abcd") is None and store.read_json("abcd") is None and not (tmp_path / "s").exists()
    store.write("abcd", b"1")
    store.write("abcd", b"1")
    store.write("ef", b"")
    assert store.read("abcd") == store.find("abcd") == b"1" and store.read_json("abcd") == 1
    assert values(tmp_path / "s") == {"abcd": b"1", "ef": b""} and len(os.listdir(tmp_path / "s")) == 1


@pytest.mark.parametrize("left", [b"", b'{"a": "w\xc3', b'{"a": [1, 2', bytes(30)])
def test_a_damaged_value_is_as_one_that_was_never_written(tmp_path, left):
    store = Store(tmp_path)
    store.write("abcd", left)
    assert store.read_json("abcd") is None


def test_a_failed_write_leaves_nothing_and_is_made_up_for_later(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    store = Store(tmp_path)
    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", full)
        store.write("abcd", b"1")
        with pytest.raises(OSError, match="No space"):
            store.flush()
        assert os.listdir(tmp_path) == []
    assert values(tmp_path) == {"abcd": b"1"}


def test_one_folder_is_one_store_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Store("s").write("abcd", b"1")
    (tmp_path / "link").symlink_to(tmp_path / "s")
    for name in (tmp_path / "s", f"../{tmp_path.name}/s", "link"):
        assert Store(name).read("abcd") == b"1"


def test_what_waits_for_a_folder_that_is_deleted_does_not_bring_it_back(tmp_path):
    Store(tmp_path / "s").write("abcd", b"1")
    packs.forget(str(tmp_path))
    packs.flush()
    assert not (tmp_path / "s").exists() and Store(tmp_path / "s").read("abcd") is None


def test_the_key_is_about_content():
    assert content_key("a", {"x": 1, "y": 2}) == content_key("a", {"y": 2, "x": 1})
    assert content_key("a", "b") != content_key("ab")
    assert len(content_key("ü")) == 64
