"""Many values in one file, on a disk or in a bucket."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.storage import bucket, packs
from pipeline.storage.files import directly_in, write_bytes
from pipeline.storage.packs import Packs
from pipeline.storage.recent import Recent
from schemas.errors import ServiceError
from tests.pipeline import disk
from tests.pipeline.runs import ROOT


@pytest.fixture
def root(tmp_path):
    disk.operations.clear()
    return f"disk:/{tmp_path}/store"


@pytest.fixture(params=["disk", "bucket"])
def anywhere(request, root, tmp_path):
    return root if request.param == "bucket" else str(tmp_path / "store")


def test_what_is_written_is_read_at_once_and_by_others_when_it_is_flushed(anywhere):
    ours, theirs = Packs(anywhere), Packs(anywhere)
    assert theirs.read("a") is None
    ours.write("a", b"one")
    ours.write("b", b"")
    assert ours.read("a") == b"one" and theirs.find("a") is None
    ours.flush()
    assert theirs.find("a") == b"one" and theirs.read("b") == b""
    assert ours.read("a") == Packs(anywhere).read("a") == b"one"


def test_a_thousand_results_are_one_write_one_listing_and_one_read(root):
    store = Packs(root)
    for i in range(1000):
        store.write(str(i), b"x" * i)
    store.flush()
    store.flush()  # nothing more to write
    assert disk.operations["write"] == 1
    packs._recent._found.clear()
    disk.operations.clear()
    again = Packs(root)
    assert all(again.read(str(i)) == b"x" * i for i in range(1000))
    assert (disk.operations["list"], disk.operations["read"]) == (1, 1)


def test_a_key_of_a_large_pack_costs_its_own_bytes(root, monkeypatch):
    store = Packs(root)
    for key in "abc":
        store.write(key, key.encode() * 600_000)
    store.flush()
    asked, read = [], disk.DiskBucket.read
    monkeypatch.setattr(disk.DiskBucket, "read", lambda *a: asked.append(read(*a)) or asked[-1])
    assert Packs(root).read("b") == b"b" * 600_000
    assert len(asked) == 2 and len(asked[0]) < 100 and len(asked[1]) == 600_004


def test_what_waits_is_bounded(anywhere, monkeypatch):
    monkeypatch.setattr(packs, "ROOM", 100)
    store = Packs(anywhere)
    for i in range(10):
        store.write(str(i), b"x" * 30)
    assert len(directly_in(anywhere)) == 2
    store.write("9", b"y" * 30)  # of a key that waits, the room is that of its last value
    store.flush()
    assert Packs(anywhere).read("9") == b"y" * 30 and len(directly_in(anywhere)) == 3


def test_what_waits_is_written_after_a_while_though_nothing_more_comes(anywhere, monkeypatch):
    monkeypatch.setattr(packs, "EVERY", packs.SOON)
    store = Packs(anywhere)
    store.write("a", b"one")
    store.write("b", b"two")
    for _ in range(300):
        if Packs(anywhere).read("b"):
            break
        time.sleep(0.1)
    assert Packs(anywhere).read("b") == b"two" and len(directly_in(anywhere)) == 1


def test_a_store_that_fails_in_between_is_tried_again_and_told_at_the_end(root, monkeypatch, caplog):
    monkeypatch.setattr(packs, "EVERY", 0.0)

    def broken(*_, **__):
        raise ServiceError("the store is away")

    store = Packs(root)
    with monkeypatch.context() as away:
        away.setattr(disk.DiskBucket, "write", broken)
        store.write("a", b"one")
        for _ in range(200):
            if caplog.messages:
                break
            time.sleep(0.05)
        assert caplog.messages == ["the store is away"]
        for again in (store.flush, lambda: store.write("b", b"two")):
            with pytest.raises(ServiceError, match="the store is away"):
                again()
    store.write("c", b"three")
    assert [Packs(root).read(key) for key in "abc"] == [b"one", b"two", b"three"]


def test_a_worker_in_which_a_stage_starts_anew_sees_what_others_have_left(root):
    ours, lost = packs.of(root), Packs(root)
    assert ours.read("a") is None
    lost.write("a", b"one")
    lost.flush()
    assert ours.read("a") is None  # no listing for each key that is not there
    packs.outdated()
    disk.operations.clear()
    assert ours.read("a") == b"one" and ours.read("b") is None and disk.operations["list"] == 1


def test_a_store_that_could_not_be_listed_is_listed_at_the_next_read(anywhere, monkeypatch):
    """Else all that it has would count as never written, and be made again."""
    store = Packs(anywhere)
    store.write("a", b"one")
    store.flush()
    again = Packs(anywhere)
    with monkeypatch.context() as away, pytest.raises(ServiceError):
        away.setattr(packs, "directly_in", lambda _: (_ for _ in ()).throw(ServiceError("the store is away")))
        again.read("a")
    assert again.read("a") == b"one"


def test_a_store_that_goes_takes_along_what_waits_and_leaves_its_neighbours(tmp_path):
    with packs.temporary() as folder:
        gone = packs.of(f"{folder}/store")
        gone.write("a", b"one")
    assert not gone._waiting and gone._timer is None and not os.path.exists(folder)
    stores = [packs.of(f"{tmp_path}/{name}") for name in ("work", "work/images", "work 2")]
    packs.forget(str(tmp_path / "work"))
    again = [packs.of(store.root) is store for store in stores]
    packs.forget(str(tmp_path))
    assert again == [False, False, True]


def test_a_forked_process_has_stores_and_connections_of_its_own(root, monkeypatch):
    monkeypatch.setattr(packs, "_all", functools.lru_cache(maxsize=1)(packs._all.__wrapped__))
    store, (opened, _) = packs.of(root), bucket.split(root)
    assert packs.of(root) is store and bucket.split(root)[0] is opened
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert packs.of(root) is not store and bucket.split(root)[0] is not opened


def test_the_name_of_a_store_is_no_glob(anywhere):
    store = Packs(f"{anywhere}/run [1]*")
    store.write("a", b"one")
    store.flush()
    assert Packs(f"{anywhere}/run [1]*").read("a") == b"one"


def test_other_objects_in_the_folder_are_passed_over(anywhere):
    write_bytes(f"{anywhere}/strange.pack", b"{}")
    assert Packs(anywhere).read("a") is None


def test_the_indexes_of_many_packs_are_read_at_once_and_each_once(root, monkeypatch):
    monkeypatch.setattr(packs, "CONNECTIONS", 4)
    store = Packs(root)
    for i in range(8):
        store.write(str(i), str(i).encode())
        store.flush()
    packs._recent._found.clear()
    four, read = threading.Barrier(4, timeout=30), disk.DiskBucket.read

    def waiting(*arguments):
        four.wait()
        return read(*arguments)

    disk.operations.clear()
    monkeypatch.setattr(disk.DiskBucket, "read", waiting)
    again = Packs(root)
    assert [again.read(str(i)) for i in range(8)] == [str(i).encode() for i in range(8)]
    assert (disk.operations["list"], disk.operations["read"]) == (1, 8)


@pytest.mark.parametrize("cut", [lambda data: data[:-1], lambda data: bytes(len(data)), lambda data: b""])
def test_a_pack_that_a_power_failure_damaged_holds_nothing(tmp_path, cut, caplog):
    store = Packs(str(tmp_path))
    for key in "ab":
        store.write(key, b"one")
        store.flush()
    first, _ = map(Path, directly_in(str(tmp_path)))
    first.write_bytes(cut(first.read_bytes()))
    again = Packs(str(tmp_path))
    assert (again.read("a"), again.read("b")) == (None, b"one") and str(first) in caplog.messages[0]
    again.write("a", b"one")
    again.flush()
    assert Packs(str(tmp_path)).read("a") == b"one"


def test_no_flipped_bit_gives_another_value(anywhere, tmp_path, caplog, monkeypatch):
    store = Packs(anywhere)
    store.write("key", b"0.2127")
    store.flush()
    (pack,) = (tmp_path / "store").glob("*.pack")
    whole = pack.read_bytes()
    for at in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        pack.write_bytes(flipped)
        monkeypatch.setattr(packs, "_recent", Recent(packs.WHOLE))
        caplog.clear()
        again = Packs(anywhere)
        assert again.read("key") is None and "what it held is made again" in caplog.messages[0]
    again.write("key", b"0.2127")
    again.flush()
    assert Packs(anywhere).read("key") == b"0.2127"


def test_a_value_at_the_place_of_another_key_is_none(anywhere):
    store = Packs(anywhere)
    for key in "ab":
        store.write(key, b"0.2127")
    store.flush()
    assert packs._value("a", *store._places.get("a")) == b"0.2127"
    assert packs._value("a", *store._places.get("b")) is None


def test_what_is_made_again_counts_although_a_clock_was_ahead(anywhere, monkeypatch):
    with monkeypatch.context() as ahead:
        ahead.setattr(time, "time_ns", lambda: 2 * 10**18)
        store = Packs(anywhere)
        store.write("a", b"fault")
        store.flush()
    store = Packs(anywhere)
    assert store.read("a") == b"fault"
    store.write("a", b"picture")
    store.flush()
    assert Packs(anywhere).read("a") == b"picture"


def test_folders_whose_time_is_in_whole_seconds_hide_no_pack(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "REST", 0)
    ours, theirs = Packs(str(tmp_path)), Packs(str(tmp_path))
    now = time.time_ns()
    for key in "abc":
        ours.write(key, b"1")
        ours.flush()
        os.utime(tmp_path, ns=(now, now))
        assert theirs.read(key) == b"1"


def test_small_packs_are_read_whole_only_as_far_as_there_is_room(root, monkeypatch):
    monkeypatch.setattr(packs, "_recent", Recent(4_000))
    monkeypatch.setattr(packs, "TOGETHER", 1)
    for key in range(9):
        store = Packs(root)
        store.write(str(key), bytes(1_000))
        store.flush()
    monkeypatch.setattr(packs, "_recent", Recent(4_000))
    asked, read = [], disk.DiskBucket.read
    monkeypatch.setattr(disk.DiskBucket, "read", lambda *a: asked.append(read(*a)) or asked[-1])
    store = Packs(root)
    assert store.read("nothing") is None
    assert sorted(len(data) > 1_000 for data in asked) == [False] * 7 + [True] * 2
    assert all(store.read(str(key)) == bytes(1_000) for key in range(9))


def test_of_a_key_that_was_written_twice_the_newer_value_counts(anywhere):
    for value in range(20):
        store = Packs(anywhere)
        store.write("a", str(value).encode())
        store.flush()
        assert Packs(anywhere).read("a") == str(value).encode()


def test_an_older_value_that_is_found_late_does_not_count(anywhere, monkeypatch):
    late, reader, newer = Packs(anywhere), Packs(anywhere), Packs(anywhere)
    written = []
    for at in range(2):
        with monkeypatch.context() as before:
            before.setattr(time, "time_ns", lambda at=at: 10**18 + at)
            late.write("a", b"old")
            late.write(f"only here {at}", b"one")
            written += _flushed_elsewhere(late, monkeypatch)
    newer.write("a", b"new")
    newer.flush()
    assert reader.read("a") == b"new"
    for at, pack in enumerate(written):
        write_bytes(*pack)
        assert reader.find(f"only here {at}") == b"one"
        assert reader.read("a") == b"new"


def _flushed_elsewhere(store: Packs, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """The packs that a flush would write."""
    written = []
    with monkeypatch.context() as kept:
        kept.setattr(packs, "write_bytes", lambda path, data, lasting: written.append((path, data)))
        store.flush()
    return written


def test_on_a_disk_a_process_sees_what_another_has_written_since_it_looked(tmp_path):
    ours, theirs = Packs(str(tmp_path)), Packs(str(tmp_path))
    assert theirs.read("a") is None
    ours.write("a", b"one")
    ours.flush()
    for _ in range(200):
        if theirs.read("a"):
            break
        time.sleep(0.05)
    assert theirs.read("a") == b"one"


def test_packs_that_vanish_while_they_are_read_hold_nothing(tmp_path, monkeypatch):
    store = Packs(str(tmp_path))
    store.write("a", b"one")
    store.flush()
    monkeypatch.setattr(
        packs, "directly_in", lambda folder: [*directly_in(folder), directly_in(folder)[0][:-5] + "9.pack"]
    )
    assert Packs(str(tmp_path)).read("a") == b"one"
    again = Packs(str(tmp_path))
    assert again.find("a") == b"one"
    Path(directly_in(str(tmp_path))[0]).unlink()
    assert again.read("a") is None


def test_values_that_wait_when_a_process_ends_are_written(tmp_path):
    script = f"from pipeline.storage.store import Store; Store({str(tmp_path)!r}).write('a', b'one')"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
    assert Packs(str(tmp_path)).read("a") == b"one"


@pytest.mark.parametrize("how", ["slow", "stopped", "failed"])
def test_values_whose_flush_was_under_way_when_the_process_ends_are_written(tmp_path, how):
    program = f"""
import sys, time
from pipeline.storage import bucket, packs

write, tries = packs.write_bytes, []

def meanwhile(*arguments, **options):
    tries.append(1)
    if len(tries) == 1 and "{how}" == "slow":
        time.sleep(1)
    if len(tries) == 1 and "{how}" == "stopped":
        raise KeyboardInterrupt
    if "{how}" == "failed":
        print("tried")
        raise OSError("no")
    write(*arguments, **options)

packs.write_bytes, packs.SOON = meanwhile, 0.1
store = packs.of({str(tmp_path)!r})
store.write("a", b"1")
if "{how}" == "slow":
    while not tries:
        time.sleep(0.01)
else:
    store.flush()
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if how == "failed":  # it was told, and there is no use in trying again
        assert ended.stdout == "tried\n" and "OSError: no" in ended.stderr
    else:
        assert Packs(str(tmp_path)).read("a") == b"1"
