"""Dictionaries as side inputs."""

import pickle

import apache_beam as beam
import pytest
from apache_beam.pvalue import AsSingleton
from apache_beam.testing.util import assert_that, equal_to

from pipeline.graph import table
from pipeline.graph.table import AsTable, table_of


def looked_up(key, entries):
    return key, entries.get(key, "nothing"), key in entries


@pytest.mark.parametrize(
    "entries, found",
    [
        ([("a", 1), ("b", {"c": 2})], [("a", 1, True), ("b", {"c": 2}, True), ("z", "nothing", False)]),
        ([], [("a", "nothing", False), ("b", "nothing", False), ("z", "nothing", False)]),
    ],
)
def test_entries_are_found_and_no_entries_too(entries, found):
    with beam.Pipeline() as pipeline:
        packed = pipeline | beam.Create(entries, reshuffle=False) | AsTable()
        asked = pipeline | "Ask" >> beam.Create(["a", "b", "z"]) | beam.Map(looked_up, AsSingleton(packed))
        assert_that(asked, equal_to(found))


def test_keys_of_one_hash_are_told_apart(monkeypatch):
    monkeypatch.setattr(table, "_hash", lambda key: b"12345678" if key != "c" else b"87654321")
    monkeypatch.setattr(table, "_unpacked", {})
    both = table_of({"a": 1, "b": 2, "c": 3, b"a": 4})
    assert [both.get(key) for key in ("a", "b", "c", b"a", "d")] == [1, 2, 3, 4, None]


def test_it_is_that_of_a_dictionary_of_any_size_in_any_order():
    entries = {
        key: (n, str(n))
        for n, key in enumerate([*map(str, range(3000)), *(bytes([n % 256, n // 256]) for n in range(3000))])
    }
    found = table_of(entries)
    assert all(found.get(key) == value and key in found for key, value in entries.items())
    assert found == table_of(dict(reversed(entries.items())))
    assert "3000" not in found and found.get(b"", "nothing") == "nothing"


def test_it_is_unpacked_once_and_few_are_kept(monkeypatch):
    monkeypatch.setattr(table, "_unpacked", {})
    first = pickle.loads(pickle.dumps(table_of({"a": 1})))
    assert first._all() is pickle.loads(pickle.dumps(first))._all()
    for n in range(20):
        assert table_of({"a": n}).get("a") == n
    assert len(table._unpacked) <= 4 and first.get("a") == 1
