"""Groups of records, by the runner or on disk: nothing lost, nothing twice, whatever the sizes."""

from __future__ import annotations

import itertools

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from pipeline.graph import failures, grouping
from pipeline.graph.grouping import Disk, Group, Join


def sorted_values(groups):
    return groups | "Sort" >> beam.MapTuple(lambda key, values: (key, sorted(values)))


@pytest.mark.parametrize("key", [str, lambda n: n, lambda n: n.to_bytes(8)], ids=["str", "int", "bytes"])
def test_groups_have_all_values_of_their_key_from_all_inputs(key, disk):
    with beam.Pipeline(runner="FnApiRunner") as p:
        some = tuple(
            p | f"{at}" >> beam.Create([(key(n % 50), n) for n in range(1000) if n % 3 == at]) for at in range(3)
        )
        assert_that(
            sorted_values(some | Group(disk)),
            equal_to([(key(k), list(range(k, 1000, 50))) for k in range(50)]),
        )


@pytest.mark.parametrize("room, together", [(1, 1), (500, 100), (1 << 20, 1 << 20)])
def test_any_size_of_files_and_of_what_is_read_at_a_time_gives_the_same_groups(room, together, tmp_path, monkeypatch):
    monkeypatch.setattr(grouping, "ROOM", room)
    monkeypatch.setattr(grouping, "TOGETHER", together)
    folder = tmp_path / "groups"
    with beam.Pipeline(runner="FnApiRunner") as p:
        some = p | beam.Create([(f"key {n % 40}", n) for n in range(200)])
        assert_that(
            sorted_values(some | Group(Disk(str(folder), "-"))),
            equal_to([(f"key {k}", list(range(k, 200, 40))) for k in range(40)]),
        )
    sizes = sorted(path.stat().st_size - grouping._HEAD for path in folder.iterdir())
    assert len(sizes) == 200 if room == 1 else sizes[len(sizes) // 2] >= min(room, sum(sizes))  # bundles end with less


def test_a_key_is_in_the_same_piece_in_every_process():
    """Python's own hash of a text is another one in each, and would take groups apart."""
    assert [grouping._piece(key) for key in ("a", b"a", 7, "7")] == [579, 579, 642, 642]


def test_pieces_are_divided_where_they_hold_enough_and_empty_ones_are_left_out(tmp_path, monkeypatch):
    disk = Disk(str(tmp_path), "-")
    writer = grouping._Write(disk)
    writer.start_bundle()
    for n in range(300):
        assert not list(writer.process((n, "x" * 100)))
    [path] = [value.value for value in writer.finish_bundle()]
    monkeypatch.setattr(grouping, "TOGETHER", 3000)
    ranges = list(grouping._divided(disk, [path]))
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(ranges))
    sizes = [sum(len(values) for _, values in grouping._read(one, [path], disk)) for one in ranges]
    assert sum(sizes) == 300 and min(sizes) > 0
    assert len(ranges) >= 300 * 100 // 3000
    assert not list(grouping._divided(disk, []))


def test_one_piece_larger_than_what_is_read_at_a_time_is_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(grouping, "TOGETHER", 10)
    with beam.Pipeline(runner="FnApiRunner") as p:
        some = p | beam.Create([("one", "x" * 1000)] * 30 + [("two", "y")])
        groups = some | Group(Disk(f"{tmp_path}/groups", "-")) | beam.MapTuple(lambda key, values: (key, len(values)))
        assert_that(groups, equal_to([("one", 30), ("two", 1)]))


def test_joined_values_stay_apart_and_a_key_may_be_missing_on_either_side(disk):
    with beam.Pipeline(runner="FnApiRunner") as p:
        left = p | "left" >> beam.Create([("a", 1), ("b", 2), ("a", 3)])
        right = p | "right" >> beam.Create([("a", "x"), ("c", "y")])
        joined = (left, right) | Join(disk) | beam.MapTuple(lambda key, both: (key, sorted(both[0]), sorted(both[1])))
        assert_that(joined, equal_to([("a", [1, 3], ["x"]), ("b", [2], []), ("c", [], ["y"])]))


def test_no_records_are_no_groups(disk):
    with beam.Pipeline(runner="FnApiRunner") as p:
        assert_that(p | beam.Create([]) | Group(disk), equal_to([]))


def test_a_folder_that_cannot_be_written_is_a_service_error_and_no_bug(tmp_path):
    (tmp_path / "groups").write_text("a file, where a folder should be")
    with pytest.raises(Exception, match="exists"), beam.Pipeline(runner="FnApiRunner") as p:
        _ = p | beam.Create([("a", 1)]) | Group(Disk(f"{tmp_path}/groups", f"{tmp_path}/failures"))
    found = failures.read(f"{tmp_path}/failures")
    assert found and found.kind == failures.SERVICE and "groups" in found.message
