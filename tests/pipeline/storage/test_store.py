"""Files named by their key."""

import os

import pytest

from pipeline.storage.store import Store, content_key


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path / "s", ".json")
    assert store.read("abcd") is None and store.read_json("abcd") is None
    store.write("abcd", b"1")
    store.write("abcd", b"1")
    assert store.read("abcd") == b"1" and store.read_json("abcd") == 1
    assert os.listdir(tmp_path / "s" / "ab") == ["abcd.json"]


@pytest.mark.parametrize("left", [b"", b'{"a": "w\xc3', b'{"a": [1, 2', bytes(30)])
def test_a_damaged_value_is_as_one_that_was_never_written(tmp_path, left):
    store = Store(tmp_path, ".json")
    store.write("abcd", left)
    assert store.read_json("abcd") is None


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        Store(tmp_path).write("abcd", b"1")
    assert os.listdir(tmp_path / "ab") == []


def test_the_key_is_about_content():
    assert content_key("a", {"x": 1, "y": 2}) == content_key("a", {"y": 2, "x": 1})
    assert content_key("a", "b") != content_key("ab")
    assert len(content_key("ü")) == 64
