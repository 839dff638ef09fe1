"""Many results in one object of a bucket."""

from __future__ import annotations

import threading
import time

import pytest

from pipeline.storage import remote, segments
from pipeline.storage.segments import Segments
from schemas.errors import ServiceError
from tests.pipeline import disk


@pytest.fixture
def root(tmp_path):
    disk.operations.clear()
    return f"disk:/{tmp_path}/store"


def test_what_is_written_is_read_at_once_and_by_others_when_it_is_flushed(root):
    ours, theirs = Segments(root), Segments(root)
    assert theirs.read("a") is None
    ours.write("a", b"one")
    ours.write("b", b"")
    assert ours.read("a") == b"one" and theirs.find("a") is None
    ours.flush()
    assert theirs.read("a") is None and theirs.find("a") == b"one" and theirs.read("b") == b""
    assert ours.read("a") == Segments(root).read("a") == b"one"


def test_a_thousand_results_are_one_write_one_listing_and_one_read(root):
    store = Segments(root)
    for i in range(1000):
        store.write(str(i), b"x" * i)
    store.flush()
    store.flush()  # nothing more to write
    assert disk.operations["write"] == 1
    segments._recent._found.clear()
    disk.operations.clear()
    again = Segments(root)
    assert all(again.read(str(i)) == b"x" * i for i in range(1000))
    assert (disk.operations["list"], disk.operations["read"]) == (1, 1)


def test_a_key_of_a_large_segment_costs_its_own_bytes(root, monkeypatch):
    store = Segments(root)
    for key in "abc":
        store.write(key, key.encode() * 600_000)
    store.flush()
    asked, read = [], disk.DiskBucket.read
    monkeypatch.setattr(disk.DiskBucket, "read", lambda *a: asked.append(read(*a)) or asked[-1])
    assert Segments(root).read("b") == b"b" * 600_000
    assert len(asked) == 2 and len(asked[0]) < 100 and len(asked[1]) == 600_000


def test_what_waits_is_bounded(root, monkeypatch):
    monkeypatch.setattr(segments, "ROOM", 100)
    store = Segments(root)
    for i in range(10):
        store.write(str(i), b"x" * 30)
    assert disk.operations["write"] == 2
    store.write("9", b"y" * 30)  # of a key that waits, the room is that of its last value
    store.flush()
    assert Segments(root).read("9") == b"y" * 30 and len(remote.find(f"{root}/*.seg")) == 3


def test_what_waits_is_written_after_a_while_though_nothing_more_comes(root, monkeypatch):
    monkeypatch.setattr(segments, "EVERY", 1.0)
    store = Segments(root)
    store.write("a", b"one")
    store.write("b", b"two")
    for _ in range(300):
        if Segments(root).read("b"):
            break
        time.sleep(0.1)
    assert Segments(root).read("b") == b"two" and disk.operations["write"] == 1


def test_a_store_that_fails_in_between_is_tried_again_and_told_at_the_end(root, monkeypatch, caplog):
    monkeypatch.setattr(segments, "EVERY", 0.0)

    def broken(*_, **__):
        raise ServiceError("the store is away")

    store = Segments(root)
    with monkeypatch.context() as away:
        away.setattr(disk.DiskBucket, "write", broken)
        store.write("a", b"one")
        for _ in range(200):
            if caplog.messages:
                break
            time.sleep(0.05)
        assert caplog.messages == ["the store is away"]
        with pytest.raises(ServiceError, match="the store is away"):
            store.flush()
    store.flush()
    assert Segments(root).read("a") == b"one"


def test_a_worker_in_which_a_stage_starts_anew_sees_what_others_have_left(root):
    ours, lost = segments.of(root), Segments(root)
    assert ours.read("a") is None
    lost.write("a", b"one")
    lost.flush()
    assert ours.read("a") is None  # no listing for each key that is not there
    segments.outdated()
    disk.operations.clear()
    assert ours.read("a") == b"one" and ours.read("b") is None and disk.operations["list"] == 1


def test_the_name_of_a_store_is_no_glob(root):
    store = Segments(f"{root}/run [1]*")
    store.write("a", b"one")
    store.flush()
    assert Segments(f"{root}/run [1]*").read("a") == b"one"


def test_other_objects_in_the_folder_are_passed_over(root):
    with remote.writing(f"{root}/strange.seg") as file:
        file.write(b"{}")
    assert Segments(root).read("a") is None


def test_the_indexes_of_many_segments_are_read_at_once_and_each_once(root, monkeypatch):
    monkeypatch.setattr(segments, "CONNECTIONS", 4)
    store = Segments(root)
    for i in range(8):
        store.write(str(i), str(i).encode())
        store.flush()
    segments._recent._found.clear()
    four, read = threading.Barrier(4, timeout=30), disk.DiskBucket.read

    def waiting(*arguments):
        four.wait()
        return read(*arguments)

    disk.operations.clear()
    monkeypatch.setattr(disk.DiskBucket, "read", waiting)
    again = Segments(root)
    assert [again.read(str(i)) for i in range(8)] == [str(i).encode() for i in range(8)]
    assert (disk.operations["list"], disk.operations["read"]) == (1, 8)
